"""Result maps of a search, as Python sees them: read where they are sliced, and compared with the run's records."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.api.running import repairable, unfinished
from scorefold.cluster import MatchRun
from scorefold.errors import StoreError, in_one_line
from scorefold.store import ResultMaps


class ResultMap:
    """A result map of one target, read where it is sliced; what is read is compared with the run's records.

    Parameters
    ----------
    run : MatchRun
        The run.
    target : int
        Index of the target.
    name : {"scores", "rotations"}
        Which map.

    Attributes
    ----------
    shape, dtype, ndim
        As of an array.
    zarr : zarr.Array
        Where it is stored, for what goes past the comparison.
    """

    def __init__(self, run: MatchRun, target: int, name: str) -> None:
        self._run = run
        self._target = target
        self._name = name
        self._maps = ResultMaps(run.store, run.job.targets[target].name)
        self.zarr = self._maps.level(name)
        self.shape = self.zarr.shape
        self.dtype = self.zarr.dtype
        self.ndim = self.zarr.ndim

    @cached_property
    def _unchecked(self) -> list[tuple[str, dict[str, Any]]]:
        """Key and record of the tiles that were not compared yet."""
        found = []
        for batch in self._run.plan.batches_of(self._target):
            key = self._run.plan.write_node(batch).key
            record = self._run.store.read_commit(key)
            if record is None:
                raise unfinished(self._run.store.location)
            found += [(key, tile) for tile in record.summary["tiles"] if tile["index"] == self._target]
        return found

    def __getitem__(self, selection: Any) -> Any:
        with repairable(self._run):
            touched = _extent(selection, self.shape)
            for key, tile in list(self._unchecked):
                start, shape = tuple(tile["start"]), tuple(tile["shape"])
                if all(
                    a < stop and first < a + n
                    for a, n, (first, stop) in zip(start, shape, touched, strict=True)
                ):
                    digests = {self._name: tile["digests"][self._name]}
                    self._maps.check_tile(key, start, shape, digests)
                    self._unchecked.remove((key, tile))
        return self.zarr[selection]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return (
            f"<{self._name} of {self._run.job.targets[self._target].name!r}, {self.dtype}{list(self.shape)}>"
        )


def _extent(selection: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return first and one after last index of a selection along each axis; of unusual ones the whole axis."""
    parts = selection if isinstance(selection, tuple) else (selection,)
    if sum(part is Ellipsis for part in parts) > 1 or len(parts) > len(shape) + 1:
        return [(0, n) for n in shape]
    if Ellipsis in parts:
        place = parts.index(Ellipsis)
        parts = (*parts[:place], *(slice(None),) * (len(shape) - len(parts) + 1), *parts[place + 1 :])
    parts = (*parts, *(slice(None),) * (len(shape) - len(parts)))
    extent = []
    for part, n in zip(parts, shape, strict=False):
        if isinstance(part, int | np.integer):
            first = int(part) + (n if part < 0 else 0)
            extent.append((first, first + 1))
        elif isinstance(part, slice) and part.step in (None, 1):
            first, stop, _ = part.indices(n)
            extent.append((first, stop))
        else:
            extent.append((0, n))
    return extent


class MapCollection(Mapping[str, ResultMap]):
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

    def __getitem__(self, target: str) -> ResultMap:
        names = list(self)
        if target not in names:
            raise KeyError(target)
        try:
            return ResultMap(self._run, names.index(target), self._name)
        except FileNotFoundError:
            raise KeyError(f"{target}: not finished") from None
        except Exception as error:  # damaged descriptions raise exceptions of many kinds
            location = self._run.store.location
            raise StoreError(
                f'run "{location}": the {self._name} of "{target}" are damaged ({in_one_line(error)}). Repair it '
                f"with: scorefold verify --discard {location}, then scorefold resume {location}"
            ) from error

    def __contains__(self, target: object) -> bool:
        return any(target == known.name for known in self._run.job.targets)

    def __iter__(self) -> Iterator[str]:
        return (target.name for target in self._run.job.targets)

    def __len__(self) -> int:
        return len(self._run.job.targets)

    def __repr__(self) -> str:
        return f"<{self._name} of {len(self)} targets>"
