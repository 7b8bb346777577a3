"""What is known of the runs on a cluster, from the events that reach its scheduler."""

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from scorefold.events import STOPPED, WORKING, DriverEvent, LeafEvent, Preview

MOST_RUNS = 50
"""Runs that are remembered; the one that was silent longest goes first."""

MOST_PREVIEWS = 100
MOST_FAILURES = 1000
MOST_WORST = 20
MOST_SCORES = 4096

RATE_SECONDS = 120.0
"""Over which rates are taken: longer than a leaf takes."""

SILENT_SECONDS = 90.0
"""After how long a driver that says nothing counts as gone."""

_EVENTS: dict[str, TypeAdapter[DriverEvent] | TypeAdapter[LeafEvent]] = {
    DriverEvent.what: TypeAdapter(DriverEvent),
    LeafEvent.what: TypeAdapter(LeafEvent),
}


@dataclass(eq=False)
class TargetView:
    """What is known of a target.

    Attributes
    ----------
    best : float
        Best score so far.
    cells : ndarray of float32
        Best score of each cell of its preview; NaN where nothing is known.
    """

    best: float
    cells: NDArray[np.float32]

    def add(self, preview: Preview) -> None:
        """Take in what was found in a part of the target."""
        part = np.frombuffer(preview.cells, "<f4").reshape(preview.shape)
        region = tuple(slice(a, a + n) for a, n in zip(preview.start, preview.shape, strict=True))
        self.cells[region] = np.fmax(self.cells[region], part)
        self.best = max(self.best, preview.best)


@dataclass(eq=False)
class RunView:
    """What is known of a run; all of it is a live estimate.

    Attributes
    ----------
    location : str
        Where the run is.
    driver : DriverEvent
        What its driver told last.
    heard : float
        When that was, in seconds of the clock.
    targets : dict
        By name, those heard of last.
    best : float
        Best score of all targets so far; NaN where nothing is known.
    rotations : float
        Pairs of a target and a rotation that were scored; a retry counts twice.
    seconds : defaultdict of str to float
        Of workers, by stage.
    verdicts : Counter
        Images by verdict.
    worst : list of (str, float)
        The most anomalous images.
    scores : deque of float
        Of the images heard of last.
    failures : dict of str to str
        Inputs that failed, with the reason.
    """

    location: str
    driver: DriverEvent
    heard: float
    began: float
    targets: dict[str, TargetView] = field(default_factory=dict)
    best: float = math.nan
    rotations: float = 0.0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    verdicts: Counter[str] = field(default_factory=Counter)
    worst: list[tuple[str, float]] = field(default_factory=list)
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_SCORES))
    failures: dict[str, str] = field(default_factory=dict)
    recent: deque[tuple[float, float]] = field(default_factory=deque)

    @property
    def fraction(self) -> float:
        """The part of all pieces of work that is done."""
        total = sum(self.driver.total.values())
        return sum(self.driver.done.values()) / total if total else 0.0

    def state(self, now: float) -> str:
        """Return whether the run is worked on; a driver that was killed does not say so."""
        silent = self.driver.state == WORKING and now - self.heard > SILENT_SECONDS
        return STOPPED if silent else self.driver.state

    def rate(self, now: float) -> float:
        """Return how many pairs of a target and a rotation are scored a second."""
        self._forget(now)
        over = min(RATE_SECONDS, max(now - self.began, 1.0))
        return sum(count for _, count in self.recent) / over

    def _forget(self, now: float) -> None:
        """Forget what is too long ago to be part of a rate."""
        while self.recent and now - self.recent[0][0] > RATE_SECONDS:
            self.recent.popleft()

    def add(self, event: LeafEvent, now: float) -> None:
        """Take in what a worker told."""
        self.rotations += event.rotations
        if event.rotations:
            self.recent.append((now, event.rotations))
            self._forget(now)
        self.seconds[event.stage] += event.seconds
        for preview in event.previews:
            known = self.targets.pop(preview.target, None)
            if known is None or known.cells.shape != preview.grid:
                known = TargetView(-np.inf, np.full(preview.grid, np.nan, np.float32))
            known.add(preview)
            self.best = max(preview.best, self.best)  # in this order, since no number is less than NaN
            self.targets[preview.target] = known
        while len(self.targets) > MOST_PREVIEWS:
            self.targets.pop(next(iter(self.targets)))
        self.verdicts.update(event.verdicts)
        self.scores.extend(event.scores)
        worst = {**dict(self.worst), **dict(event.worst)}
        self.worst = sorted(worst.items(), key=lambda image: -image[1])[:MOST_WORST]
        self.failures.update(event.failures)
        while len(self.failures) > MOST_FAILURES:
            self.failures.pop(next(iter(self.failures)))


class Runs:
    """The runs on a cluster.

    Parameters
    ----------
    clock : callable
        Returns seconds.

    Attributes
    ----------
    version : int
        Grows with every event.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.version = 0
        self._runs: dict[str, RunView] = {}

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take in an event; what is none is left out, since anybody on the cluster may log one."""
        try:
            event = _EVENTS[message["what"]].validate_python(message)
        except (KeyError, TypeError, ValueError):
            return
        if isinstance(event, DriverEvent):
            self._hear_driver(event)
        else:
            self._view(event.run).add(event, self.clock())
        self.version += 1

    def views(self) -> list[RunView]:
        """Return the runs, the one that began last first."""
        return sorted(self._runs.values(), key=lambda view: -view.began)

    def get(self, location: str) -> RunView | None:
        """Return a run by its location."""
        return self._runs.get(location)

    def _hear_driver(self, event: DriverEvent) -> None:
        known = self._runs.get(event.run)
        if known is not None and known.driver.driver not in ("", event.driver):
            if event.state != WORKING:
                return  # the end of a driver whose run was taken over
            del self._runs[event.run]  # another driver begins, and counts anew
        view = self._view(event.run)
        view.driver, view.heard = event, self.clock()

    def _view(self, location: str) -> RunView:
        now = self.clock()
        if location not in self._runs:
            while len(self._runs) >= MOST_RUNS:
                del self._runs[min(self._runs.values(), key=lambda view: view.heard).location]
            self._runs[location] = RunView(location, DriverEvent(location), now, now)
        return self._runs[location]
