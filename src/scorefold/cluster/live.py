"""Telling the dashboard how a run gets on: the driver where it stands, workers what they have found so far."""

import contextlib
import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.match.target_states import TargetStates
from scorefold.events import FINISHED, STOPPED, TOPIC, WORKING, DriverEvent, Event, State
from scorefold.planning.node import Node
from scorefold.store import reason_of_end

if TYPE_CHECKING:
    from scorefold.cluster.driver import Progress
    from scorefold.cluster.run import Run

TELL_SECONDS = 1.0
"""Between two events of a driver, at least."""


class Listener(Protocol):
    """Who is told: an executor."""

    def tell(self, message: dict[str, Any], *, last: bool = False) -> None:
        """Pass a message on, without waiting unless it is the last."""
        ...


class LiveDriver:
    """Tells where a run stands, about once a second.

    Parameters
    ----------
    run : Run
        The run.
    listener : Listener
        Who is told.
    clock : callable
        Returns seconds.
    """

    def __init__(self, run: "Run", listener: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._listener = listener
        self._clock = clock
        self._name = uuid.uuid4().hex
        self._told = -math.inf
        self._targets: TargetStates | None = None
        self._progress: Progress | None = None

    def watched(self, missing: Iterator[Node]) -> Iterator[Node]:
        """Yield what there is to do, and note it."""
        if not isinstance(self._run, MatchRun):
            yield from missing
            return
        if self._targets is None:
            self._targets = TargetStates(self._run)
        self._targets.begin()
        for node in missing:
            self._targets.due(node)
            yield node

    def update(self, progress: "Progress") -> None:
        """Tell where the run stands, unless that was just told.

        A driver that has nothing new to say is to call this, too: one that is silent counts as gone.
        """
        self._progress = progress
        ended = progress.last
        if self._targets is not None and ended is not None and ended.error is None:
            self._targets.ended(ended.node)
        now = self._clock()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            self._tell(progress, WORKING)

    def end(self, state: State, reason: str = "") -> None:
        """Tell how the driver ended."""
        if self._progress is not None:
            self._tell(self._progress, state, reason)

    def _tell(self, progress: "Progress", state: State, reason: str = "") -> None:
        event = DriverEvent(
            self._run.store.location,
            self._name,
            self._run.kind,
            self._run.title,
            state,
            progress.done,
            progress.total,
            None if progress.left is None else progress.left.seconds,
            [] if self._targets is None else self._targets.told(),
            {} if self._targets is None else self._targets.count(),
            reason,
        )
        self._listener.tell(event.message(), last=state != WORKING)


@contextlib.contextmanager
def live_driver(run: "Run", listener: Listener) -> Iterator[LiveDriver]:
    """Provide what tells where a run stands; how its driver ends is told at the end."""
    live = LiveDriver(run, listener)
    try:
        yield live
    except BaseException as error:
        live.end(STOPPED, reason_of_end(error))
        raise
    live.end(FINISHED)


def is_heard() -> bool:
    """Tell whether this is a task of a Dask worker, so that events have somewhere to go."""
    return _worker() is not None


def tell(event: Event) -> None:
    """Tell the scheduler of the worker that this is a task of; elsewhere nothing happens."""
    worker = _worker()
    if worker is not None:
        with contextlib.suppress(Exception):  # the work that it tells of is done
            worker.log_event(TOPIC, event.message())


def _worker() -> Any:
    distributed = sys.modules.get("distributed")
    if distributed is None:  # a run without Dask
        return None
    try:
        return distributed.get_worker()
    except ValueError:
        return None


def told_failures(failures: Mapping[str, str], most: int = 20) -> dict[str, str]:
    """Return some of the failures of a piece of work."""
    return dict(list(failures.items())[:most])
