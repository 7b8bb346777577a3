"""The result maps of a target: best scores and rotation ids, by tile, with coarser levels for viewers."""

import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import DamagedPartialError, in_one_line
from scorefold.store.blobs import is_outage
from scorefold.store.chunked_array import ChunkedArray, describe_array
from scorefold.store.commit import checksum
from scorefold.store.descriptions import GROUP_FILE, describe_group, describe_parents, restore
from scorefold.store.run_store import RunStore

Array = NDArray[Any]

SMALLEST_LEVEL = 512
"""Coarser levels are made until the longest axis is at most this long."""

NO_ROTATION = -1

MAPS = ("scores", "rotations")


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shapes of the levels of a pyramid that halves every axis.

    Examples
    --------
    >>> level_shapes((1500, 400))
    [(1500, 400), (750, 200), (375, 100)]
    """
    shapes = [tuple(shape)]
    while max(shapes[-1]) > SMALLEST_LEVEL:
        shapes.append(tuple((n + 1) // 2 for n in shapes[-1]))
    return shapes


class ResultMaps:
    """The maps of a target below ``results/<target>``: ``scores`` and ``rotations``.

    Each is an OME-Zarr image with levels 0, 1, …. A tile is written as whole chunks, so that no two tasks
    write one chunk.

    Parameters
    ----------
    run : RunStore
        The run.
    target : str
        The target's name.
    """

    def __init__(self, run: RunStore, target: str) -> None:
        self._run = run
        self.path = f"results/{target}"
        self._opened: dict[tuple[str, int], ChunkedArray] = {}

    def create(
        self,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        attributes: Mapping[str, Mapping[str, Any]],
        fill: float,
    ) -> dict[str, str]:
        """Create both maps unless they are there; make descriptions anew that are damaged.

        Parameters
        ----------
        shape, chunks : tuple of int
            Of the finest level.
        attributes : mapping
            Attributes of the groups "scores" and "rotations".
        fill : float
            Score of positions that no tile covers.

        Returns
        -------
        dict of str to str
            SHA-256 of the descriptions by name.
        """
        described = describe_parents(f"{self.path}/scores")
        for name in MAPS:
            described[f"{self.path}/{name}/{GROUP_FILE}"] = describe_group(attributes[name])
            for level, level_shape in enumerate(level_shapes(shape)):
                described[f"{self.path}/{name}/{level}/{GROUP_FILE}"] = describe_array(
                    level_shape,
                    tuple(min(c, n) for c, n in zip(chunks, level_shape, strict=True)),
                    "float32" if name == "scores" else "int32",
                    fill if name == "scores" else NO_ROTATION,
                    compressed=name == "rotations",
                    axes=("z", "y", "x")[-len(shape) :],
                )
        return restore(self._run.blobs, described)

    def level(self, name: str, level: int = 0) -> ChunkedArray:
        """Return "scores" or "rotations" at a level."""
        known = self._opened.get((name, level))
        if known is None:  # to open an array is a request
            known = ChunkedArray(self._run.blobs, f"{self.path}/{name}/{level}")
            self._opened[name, level] = known
        return known

    def opened(self, name: str, key: str) -> ChunkedArray:
        """Return the finest level of "scores" or "rotations".

        Raises
        ------
        DamagedPartialError
            If it cannot be read; it names `key`, work that wrote to it.
        """
        try:
            return self.level(name)
        except Exception as error:  # damaged descriptions raise exceptions of many kinds
            if is_outage(error):
                raise
            raise DamagedPartialError(
                key, f"{self.path}/{name} cannot be read ({in_one_line(error)})"
            ) from error

    @property
    def level_count(self) -> int:
        """Number of levels."""
        return len(level_shapes(self.level("scores").shape))

    def write_tile(self, start: tuple[int, ...], scores: Array, rotations: Array) -> dict[str, str]:
        """Write one tile of both maps; return the digests that its record is to carry."""
        digests = {}
        for name, values, dtype in (("scores", scores, "<f4"), ("rotations", rotations, "<i4")):
            stored = values.astype(dtype, copy=False)
            self.level(name).write(start, stored)
            digests[name] = checksum(stored)
        return digests

    def check_tile(
        self, key: str, start: tuple[int, ...], shape: tuple[int, ...], digests: Mapping[str, str]
    ) -> None:
        """Compare one tile with its record.

        Raises
        ------
        DamagedPartialError
            If it differs or cannot be read; it names `key`, the work that wrote the tile.
        """
        region = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
        for name, expected in digests.items():
            try:
                found = checksum(self.level(name)[region])
            except Exception as error:  # codecs raise exceptions of many kinds on damaged bytes
                if is_outage(error):
                    raise
                raise DamagedPartialError(
                    key, f"{self.path}/{name} cannot be read ({in_one_line(error)})"
                ) from error
            if found != expected:
                raise DamagedPartialError(key, f"{self.path}/{name} at {list(start)} differs from its record")

    def build_levels(self) -> dict[str, str]:
        """Fill the coarser levels: of each 2×2(×2) block the best score, and the rotation that reached it.

        Returns
        -------
        dict of str to str
            SHA-256 of their chunks by name.
        """
        digests = {}
        for level in range(1, self.level_count):
            fine_scores, fine_rotations = self.level("scores", level - 1), self.level("rotations", level - 1)
            scores, rotations = self.level("scores", level), self.level("rotations", level)
            for region in _chunk_regions(scores.shape, scores.chunks):
                source = tuple(
                    slice(2 * r.start, min(2 * r.stop, n))
                    for r, n in zip(region, fine_scores.shape, strict=True)
                )
                start = tuple(r.start for r in region)
                pooled = _pool(fine_scores[source], fine_rotations[source])
                for array, values in zip((scores, rotations), pooled, strict=True):
                    for stored, data in array.write(start, values).items():
                        digests[stored] = hashlib.sha256(data).hexdigest()
        return digests


def _chunk_regions(shape: tuple[int, ...], chunks: tuple[int, ...]) -> list[tuple[slice, ...]]:
    counts = [range(0, n, c) for n, c in zip(shape, chunks, strict=True)]
    grids = np.stack(np.meshgrid(*[list(c) for c in counts], indexing="ij"), axis=-1).reshape(-1, len(shape))
    return [
        tuple(slice(int(a), min(int(a) + c, n)) for a, c, n in zip(start, chunks, shape, strict=True))
        for start in grids
    ]


def _pool(scores: Array, rotations: Array) -> tuple[Array, Array]:
    """Return the best score of each 2×2(×2) block, the first of equal ones, and its rotation."""
    first, *others = itertools.product((0, 1), repeat=scores.ndim)
    every_second = tuple(slice(o, None, 2) for o in first)
    best, ids = scores[every_second].copy(), rotations[every_second].copy()
    for offset in others:
        every_second = tuple(slice(o, None, 2) for o in offset)
        candidates = scores[every_second]
        inside = tuple(slice(0, n) for n in candidates.shape)  # the last blocks may be smaller
        higher = candidates > best[inside]
        np.copyto(best[inside], candidates, where=higher)
        np.copyto(ids[inside], rotations[every_second], where=higher)
    return best, ids
