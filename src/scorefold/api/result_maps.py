"""Result maps of a search, as Python sees them: read where they are sliced, and compared with the run's records."""

from collections.abc import Iterator, Mapping
from typing import Any

from scorefold.cluster import MatchRun, ResultMap, repairable


class RepairableMap(ResultMap):
    """A result map that says how to repair it when it is found damaged; see `ResultMap`.

    Parameters
    ----------
    run, target, name
        As there.
    """

    def __init__(self, run: MatchRun, target: int, name: str) -> None:
        super().__init__(run, target, name)
        self._run = run

    def __getitem__(self, selection: Any) -> Any:
        with repairable(self._run):
            return super().__getitem__(selection)


class MapCollection(Mapping[str, RepairableMap]):
    """Result maps by target, each read where it is sliced.

    Parameters
    ----------
    run : MatchRun
        The run.
    name : {"scores", "rotations"}
        Which map.
    """

    def __init__(self, run: MatchRun, name: str) -> None:
        self._run = run
        self._name = name

    def __getitem__(self, target: str) -> RepairableMap:
        index = self._run.index_of[target]
        writers = [self._run.plan.write_node(batch).key for batch in self._run.plan.batches_of(index)]
        with repairable(self._run):
            if any(self._run.store.read_commit(key) is None for key in writers):
                raise KeyError(f"{target}: not finished")
            return RepairableMap(self._run, index, self._name)

    def __contains__(self, target: object) -> bool:
        return target in self._run.index_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._run.index_of)

    def __len__(self) -> int:
        return len(self._run.job.targets)

    def __repr__(self) -> str:
        return f"<{self._name} of {len(self)} targets>"
