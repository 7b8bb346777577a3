"""Cutting a target into tiles: transform sizes that are fast, fit the memory and waste few positions."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scipy.fft import next_fast_len

from scorefold.errors import InputError
from scorefold.planning.memory import MemoryModel
from scorefold.scoring.tile import Tile

Shape = tuple[int, ...]

LARGEST_TRANSFORM = 2**23
"""Voxels of the largest transform of ordinary templates: above it transforms take longer for every voxel."""

WORTH = 1.05
"""By how much the work must fall for a larger transform, whose tiles need more memory."""

_MOST_CUTS = 4096


@dataclass(frozen=True)
class Tiling:
    """How targets of one shape are cut.

    Attributes
    ----------
    target_shape : tuple of int
        Shape of every target that this applies to.
    cell : tuple of int
        Tiles belong to the cells of a regular grid of this spacing; a cell is a chunk of the result maps.
    reach : tuple of (int, int)
        Per axis how many positions at both ends of a target are never scored, because the template would
        stick out.
    fft_shape : tuple of int
        Shape of the transforms.
    """

    target_shape: Shape
    cell: Shape
    reach: tuple[tuple[int, int], ...]
    fft_shape: Shape

    @property
    def grid(self) -> Shape:
        """Number of cells per axis."""
        return tuple(-(-n // c) for n, c in zip(self.target_shape, self.cell, strict=True))

    def tiles(self) -> Iterator[Tile]:
        """Yield the tiles in C order of their cells; cells without a position to score have none."""
        for index in itertools.product(*(range(n) for n in self.grid)):
            tile = self._tile(index)
            if tile is not None:
                yield tile

    def _tile(self, index: Shape) -> Tile | None:
        start, shape = [], []
        for i, cell, whole, (before, after) in zip(
            index, self.cell, self.target_shape, self.reach, strict=True
        ):
            first = max(i * cell, before)
            stop = min((i + 1) * cell, whole - after)
            if stop <= first:
                return None
            start.append(first)
            shape.append(stop - first)
        return Tile(tuple(start), tuple(shape), self.target_shape)

    def to_json(self) -> dict[str, Any]:
        """Return the tiling as JSON values."""
        return {
            "target_shape": list(self.target_shape),
            "cell": list(self.cell),
            "reach": [list(r) for r in self.reach],
            "fft_shape": list(self.fft_shape),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Tiling":
        """Read what `to_json` wrote."""
        return cls(
            tuple(value["target_shape"]),
            tuple(value["cell"]),
            tuple((before, after) for before, after in value["reach"]),
            tuple(value["fft_shape"]),
        )


def _cuts(length: int) -> list[int]:
    """Return the numbers of pieces to try for an axis: all small ones, then in growing steps."""
    counts: list[int] = []
    count = 1
    while count <= min(length, _MOST_CUTS):
        counts.append(count)
        count += max(1, count // 8)
    return [*counts, length]  # one position each, in case nothing larger fits


def _axis_choices(length: int, box: int, reach: tuple[int, int]) -> list[tuple[int, int]]:
    """Return (cell, transform length) pairs for one axis, the useful ones only."""
    choices: dict[int, int] = {}
    for count in _cuts(length):
        cell = -(-length // count)
        scored = length - sum(reach) if count == 1 else cell
        transform = next_fast_len(max(scored, 1) + box - 1, real=True)
        if count > 1:
            cell = min(transform - box + 1, length)  # use the whole fast length
        if transform not in choices or cell > choices[transform]:
            choices[transform] = cell
    return [(cell, transform) for transform, cell in choices.items()]


def choose_tiling(
    target_shape: Shape, box: Shape, reach: tuple[tuple[int, int], ...], memory: MemoryModel
) -> Tiling:
    """Choose the smallest transform among those that fit the memory and take hardly more work than the least.

    Parameters
    ----------
    target_shape : tuple of int
        Shape of the targets.
    box : tuple of int
        The search box.
    reach : tuple of (int, int)
        Positions per axis and end that are never scored.
    memory : MemoryModel
        Bytes that a leaf of one tile needs, and the limit.

    Raises
    ------
    InputError
        If no tile fits the memory limit.
    """
    # A transform twice as long as the box on every axis, and some more for a fast length, is worth its cost.
    largest = max(LARGEST_TRANSFORM, 3 ** len(box) * math.prod(box))
    fitting: list[tuple[float, int, Tiling]] = []
    smallest = math.inf
    for work, tiling in all_tilings(target_shape, box, reach):
        voxels = math.prod(tiling.fft_shape)
        needed = max(
            memory.leaf_bytes(tiling.fft_shape, tiles=1), memory.refine_bytes(tiling.fft_shape, target_shape)
        )
        smallest = min(smallest, needed)
        if needed <= memory.limit and voxels <= largest:
            fitting.append((work, voxels, tiling))
    if not fitting:
        raise InputError(
            f"memory limit {memory.limit / 2**20:.0f} MiB: the smallest tile for targets of shape "
            f"{target_shape} and a search box of {box} needs {smallest / 2**20:.0f} MiB per worker. "
            f"Raise --memory-limit to at least that{', or use --engine exact' if memory.bases else ''}."
        )
    most = WORTH * min(work for work, *_ in fitting)
    return min((one for one in fitting if one[0] <= most), key=lambda one: (one[1], one[0]))[2]


def all_tilings(
    target_shape: Shape, box: Shape, reach: tuple[tuple[int, int], ...]
) -> Iterator[tuple[float, Tiling]]:
    """Yield the useful ways to cut targets, whatever memory they need, each after the work of its transforms.

    Parameters
    ----------
    target_shape, box, reach
        As for `choose_tiling`.
    """
    axes = [_axis_choices(n, b, r) for n, b, r in zip(target_shape, box, reach, strict=True)]
    for choice in itertools.product(*axes):
        tiling = Tiling(target_shape, tuple(c for c, _ in choice), reach, tuple(f for _, f in choice))
        voxels = math.prod(tiling.fft_shape)
        yield math.prod(tiling.grid) * voxels * math.log2(voxels), tiling
