"""How far each target of a search has got, for whoever watches."""

from collections import Counter
from collections.abc import Sequence

from scorefold.cluster.match.run import MatchRun
from scorefold.planning.node import Node

TOLD_TARGETS = 100
"""Targets that are told of: those that changed last."""

WAITING, SEARCHING, SEARCHED, PICKED, DONE = "waiting", "searching", "searched", "picked", "done"

_LATER_STAGES = ("write_result", "call_picks", "render")


class TargetStates:
    """How far each target of a search has got.

    Parameters
    ----------
    run : MatchRun
        The search.
    """

    def __init__(self, run: MatchRun) -> None:
        self._plan = run.plan
        self._targets = run.job.targets
        self._told = dict.fromkeys(range(min(len(self._targets), TOLD_TARGETS)))
        self.begin()

    def begin(self) -> None:
        """Forget what is due, before it is noted once more."""
        self._leaves: Counter[int] = Counter()
        self._due: dict[str, set[int]] = {stage: set() for stage in _LATER_STAGES}
        self._states: Counter[str] | None = None

    def due(self, node: Node) -> None:
        """Note a piece of work that is not done."""
        if node.stage == "score_leaf":
            self._leaves[node.batch] += 1
        elif node.stage in self._due:
            self._due[node.stage].add(_subject(node))

    def ended(self, node: Node) -> None:
        """Note that a piece of work is done."""
        if node.stage in ("score_leaf", "write_result"):
            targets: Sequence[int] = self._plan.targets_of(node.batch)
        elif node.stage in self._due:
            targets = [node.target]
        else:
            return
        states = self._counted()
        states.subtract(self.state(target) for target in targets)
        if node.stage == "score_leaf":
            self._leaves[node.batch] -= 1
        else:
            self._due[node.stage].discard(_subject(node))
        states.update(self.state(target) for target in targets)
        for target in targets:
            self._told.pop(target, None)
            self._told[target] = None
        while len(self._told) > TOLD_TARGETS:
            self._told.pop(next(iter(self._told)))

    def searched(self, target: int) -> float:
        """Return the fraction of a target's leaves that are done."""
        batches = self._plan.batches_of(target)
        leaves = sum(map(self._leaves_of, batches))
        return 1 - sum(self._leaves[batch] for batch in batches) / leaves

    def state(self, target: int) -> str:
        """Return what has been done with a target."""
        if target not in self._due["call_picks"]:
            return PICKED if target in self._due["render"] else DONE
        batches = self._plan.batches_of(target)
        # The last ones are the last to be written, as a rule, and the first ones the first to be begun.
        if not any(map(self._is_to_be_written, reversed(batches))):
            return SEARCHED
        begun = any(self._leaves[batch] < self._leaves_of(batch) for batch in batches)
        return SEARCHING if begun else WAITING

    def told(self) -> list[tuple[str, float, str]]:
        """Return name, searched fraction and state of the targets that changed last, in the order of the job."""
        return [
            (self._targets[target].name, round(self.searched(target), 4), self.state(target))
            for target in sorted(self._told)
        ]

    def count(self) -> dict[str, int]:
        """Return the number of targets by state."""
        return {state: count for state, count in self._counted().items() if count}

    def _counted(self) -> Counter[str]:
        """Return the number of targets by state, which is kept from when all that is due is known."""
        if self._states is None:
            self._states = Counter(self.state(target) for target in range(len(self._targets)))
        return self._states

    def _is_to_be_written(self, batch: int) -> bool:
        """Tell whether the result maps of a batch are due."""
        return (
            bool(self._leaves[batch]) if self._plan.is_direct(batch) else batch in self._due["write_result"]
        )

    def _leaves_of(self, batch: int) -> int:
        """Return the number of leaves of a batch."""
        return -(-self._plan.step_count // self._plan.group_of(batch).rotation_block)


def _subject(node: Node) -> int:
    """Return the batch or target that work is on."""
    return node.batch if node.stage == "write_result" else node.target
