"""A result map as later stages and users read it: where it is sliced, and compared with the run's records."""

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from scorefold.cluster.match.run import MatchRun
from scorefold.store import ResultMaps


class ResultMap:
    """A result map of one target; what is read of it is compared with the records of who wrote it.

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

    Raises
    ------
    DamagedPartialError
        If it is not written yet, cannot be read, or differs from its records; also when it is sliced.
    """

    def __init__(self, run: MatchRun, target: int, name: str) -> None:
        self._name = name
        self._maps = ResultMaps(run.store, run.job.targets[target].name)
        self._unchecked: dict[tuple[int, ...], tuple[str, dict[str, Any]]] = {}
        for batch in run.plan.batches_of(target):
            key = run.plan.write_node(batch).key
            tiles = run.store.require_commit(key).summary["tiles"]
            own = (tile for tile in tiles if tile["index"] == target)
            self._unchecked |= {tuple(tile["start"]): (key, tile) for tile in own}
        self._stored = self._maps.opened(name, run.plan.write_node(run.plan.batches_of(target).start).key)
        self.shape = run.job.targets[target].shape
        self.dtype = self._stored.dtype
        self.ndim = len(self.shape)

    @property
    def zarr(self) -> "zarr.Array[Any]":
        """Where it is stored, for what goes past the comparison."""
        return self._stored.zarr

    def __getitem__(self, selection: Any) -> Any:
        touched = _extent(selection, self.shape)
        for start, (key, tile) in list(self._unchecked.items()):
            shape = tuple(tile["shape"])
            bounds = zip(start, shape, touched, strict=True)
            if all(a < stop and first < a + n for a, n, (first, stop) in bounds):
                self._maps.check_tile(key, start, shape, {self._name: tile["digests"][self._name]})
                self._unchecked.pop(start, None)  # another thread may have compared it, too
        return self._stored[selection]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{self._maps.path}/{self._name}, {self.dtype}{list(self.shape)}>"


def _extent(selection: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return first and one after last index of a selection along each axis; of unusual ones the whole axis."""
    parts = selection if isinstance(selection, tuple) else (selection,)
    if sum(part is Ellipsis for part in parts) > 1 or len(parts) > len(shape) + 1:
        return [(0, n) for n in shape]
    place = next((number for number, part in enumerate(parts) if part is Ellipsis), None)
    if place is not None:
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
