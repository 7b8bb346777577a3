"""How long the work that is under way may take, from how long it has taken so far."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from scorefold.planning.node import STAGES

STAGE_NAMES = {stage for stages in STAGES.values() for stage in stages}


@dataclass(frozen=True)
class TimeLeft:
    """How long a stage may take.

    Attributes
    ----------
    stage : str
        Of the stages that are under way, the one that will take longest.
    seconds : float
        Until it ends, at the pace so far.
    """

    stage: str
    seconds: float

    @classmethod
    def from_json(cls, value: object) -> Self | None:
        """Return what `dataclasses.asdict` took apart; None if it is something else."""
        if not isinstance(value, dict):
            return None
        stage, seconds = value.get("stage"), value.get("seconds")
        if not isinstance(stage, str) or stage not in STAGE_NAMES or not isinstance(seconds, float):
            return None
        if not (math.isfinite(seconds) and seconds >= 0):
            return None
        return cls(stage, seconds)


class Pace:
    """Watches pieces of work end.

    Parameters
    ----------
    clock : callable
        Returns seconds.

    Examples
    --------
    >>> seconds = iter([0.0, 10.0, 20.0])
    >>> pace = Pace(clock=lambda: next(seconds))
    >>> pace.ended("score_leaf")
    >>> pace.left({"score_leaf": 1}, {"score_leaf": 4})
    TimeLeft(stage='score_leaf', seconds=60.0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._began: dict[str, float] = {}
        self._ended: Counter[str] = Counter()

    def ended(self, stage: str) -> None:
        """Note that a piece of work of a stage is done."""
        now = self._clock()
        # A stage begins when what was done before it ended.
        self._began.setdefault(stage, self._last)
        self._ended[stage] += 1
        self._last = now

    def waits(self) -> None:
        """Note that nobody is there to work: the time until now counts for nothing."""
        self._last = self._clock()

    def left(self, done: Mapping[str, int], total: Mapping[str, int]) -> TimeLeft | None:
        """Return what is left of the stages that are under way; None if none is.

        Parameters
        ----------
        done, total : mapping of str to int
            Pieces of work by stage.
        """
        now = self._clock()
        found = [
            TimeLeft(stage, (total[stage] - done[stage]) * (now - self._began[stage]) / ended)
            for stage, ended in self._ended.items()
            if done[stage] < total[stage]
        ]
        return max(found, key=lambda left: left.seconds, default=None)
