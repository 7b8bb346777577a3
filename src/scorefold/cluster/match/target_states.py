"""How far each target of a search has got, for whoever watches."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from scorefold.cluster.match.run import MatchRun
from scorefold.planning.node import Node

TOLD_TARGETS = 100
"""Targets that are told of: those that changed last."""

WAITING, SEARCHING, SEARCHED, PICKED, DRAWN = "waiting", "searching", "searched", "picked", "drawn"


class TargetStates:
    """How far each target of a search has got.

    Parameters
    ----------
    run : MatchRun
        The search, with nothing due.
    """

    def __init__(self, run: MatchRun) -> None:
        self._plan = run.plan
        self._names = [target.name for target in run.job.targets]
        self._leaves: Counter[int] = Counter()
        self._due: dict[str, set[int]] = {"write_result": set(), "call_picks": set(), "render": set()}
        self._latest: dict[int, None] = {}

    @cached_property
    def _states(self) -> Counter[str]:
        """Number of targets by state, once all that is due is known."""
        return Counter(self.state(target) for target in range(len(self._names)))

    def due(self, node: Node) -> None:
        """Note a piece of work that is not done."""
        if node.stage == "score_leaf":
            self._leaves[node.batch] += 1
        elif node.stage in self._due:
            self._due[node.stage].add(node.batch if node.stage == "write_result" else node.target)

    def ended(self, node: Node) -> None:
        """Note that a piece of work is done."""
        if node.stage in ("score_leaf", "write_result"):
            targets: Sequence[int] = self._plan.targets_of(node.batch)
        elif node.stage in self._due:
            targets = [node.target]
        else:
            return
        self._states.subtract(self.state(target) for target in targets)
        if node.stage == "score_leaf":
            self._leaves[node.batch] -= 1
        else:
            self._due[node.stage].discard(node.batch if node.stage == "write_result" else node.target)
        self._states.update(self.state(target) for target in targets)
        for target in targets:
            self._latest.pop(target, None)
            self._latest[target] = None
        while len(self._latest) > TOLD_TARGETS:
            self._latest.pop(next(iter(self._latest)))

    def searched(self, target: int) -> float:
        """Return the fraction of a target's leaves that are done."""
        batches = self._plan.batches_of(target)
        blocks = [-(-self._plan.step_count // self._plan.group_of(batch).rotation_block) for batch in batches]
        left = sum(self._leaves[batch] for batch in batches)
        return 1 - left / sum(blocks)

    def state(self, target: int) -> str:
        """Return what has been done with a target."""
        if target not in self._due["call_picks"]:
            return PICKED if target in self._due["render"] else DRAWN
        if not self._due["write_result"].intersection(self._plan.batches_of(target)):
            return SEARCHED
        return SEARCHING if self.searched(target) > 0 else WAITING

    def latest(self) -> list[tuple[str, float, str]]:
        """Return name, searched fraction and state of the targets that changed last, the latest first."""
        latest = reversed(self._latest)
        return [
            (self._names[target], round(self.searched(target), 4), self.state(target)) for target in latest
        ]

    def count(self) -> dict[str, int]:
        """Return the number of targets by state."""
        return {state: count for state, count in self._states.items() if count}
