"""Tiles: which positions of a target are scored together, and the pixels that are read for them."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.scoring.score import TargetTile

Read = Callable[[tuple[slice, ...]], NDArray[Any]]
Shape = tuple[int, ...]
Window = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Tile:
    """A box of positions of one target.

    A position is the index of the voxel at, or half a voxel below, the template's rotation centre.

    Attributes
    ----------
    start, shape : tuple of int
        First position and number of positions per axis.
    target_shape : tuple of int
        Shape of the whole target.
    """

    start: Shape
    shape: Shape
    target_shape: Shape

    def read(
        self,
        read: Read,
        box: Shape,
        *,
        mean: float,
        std: float,
        margin: int = 0,
        pad_edges: bool = False,
        read_weights: Read | None = None,
    ) -> TargetTile:
        """Read the pixels under the search box at every position of the tile.

        Parameters
        ----------
        read : callable
            Returns the pixels of a region of the target.
        box : tuple of int
            The search box.
        mean, std : float
            Of the whole target.
        margin : int
            More voxels on every side. With a margin, what lies outside of the target is its mirror image.
        pad_edges : bool
            Outside of the target take its mirror image instead of its mean, also without a margin.
        read_weights : callable, optional
            Returns the target mask of a region.

        Returns
        -------
        TargetTile
            Values of shape ``self.shape + box - 1 + 2 * margin``; index 0 lies ``(box - 1)//2 + margin``
            before `start`.
        """
        inside, missing = self._extent(box, margin)
        values = (read(inside).astype(np.float64) - mean) / std
        weights = None if read_weights is None else read_weights(inside).astype(np.float64)
        if any(before or after for before, after in missing):
            # What looks at a voxel's neighbours needs some beyond the border too.
            mirror = pad_edges or margin > 0
            values = np.pad(values, missing, mode="symmetric" if mirror else "constant")
            weights = np.ones([s.stop - s.start for s in inside]) if weights is None else weights
            weights = np.pad(weights, missing)
        return TargetTile(values, weights, mean, std)

    def cut(self, pixels: TargetTile, inner: "Tile", box: Shape, margin: int = 0) -> TargetTile:
        """Return those pixels that a tile inside of this one needs.

        Parameters
        ----------
        pixels : TargetTile
            What was read for this tile.
        inner : Tile
            The other tile.
        box, margin
            As they were read with.
        """
        return pixels.cut(
            [a - b for a, b in zip(inner.start, self.start, strict=True)],
            [n + b - 1 + 2 * margin for n, b in zip(inner.shape, box, strict=True)],
        )

    def _extent(self, box: Shape, margin: int) -> tuple[tuple[slice, ...], list[tuple[int, int]]]:
        inside, missing = [], []
        for start, length, size, whole in zip(self.start, self.shape, box, self.target_shape, strict=True):
            first = start - (size - 1) // 2 - margin
            stop = start + length + size // 2 + margin
            inside.append(slice(max(first, 0), min(stop, whole)))
            missing.append((max(-first, 0), max(stop - whole, 0)))
        return tuple(inside), missing

    def window(self, support: Window, box: Shape) -> Window:
        """Return the positions (as ranges within the tile) at which a support lies inside the target.

        Parameters
        ----------
        support : tuple of (int, int)
            Per axis first and last index of the box that counts.
        box : tuple of int
            The search box.
        """
        ranges = []
        for start, length, size, whole, (low, high) in zip(
            self.start, self.shape, box, self.target_shape, support, strict=True
        ):
            origin = start - (size - 1) // 2
            first = min(max(-origin - low, 0), length)
            stop = min(max(whole - high - origin, first), length)
            ranges.append((first, stop))
        return tuple(ranges)

    def voxels(self) -> Iterator[Shape]:
        """Yield the positions of the tile in C order, in the coordinates of the target."""
        return itertools.product(
            *(range(start, start + length) for start, length in zip(self.start, self.shape, strict=True))
        )

    @property
    def everywhere(self) -> Window:
        """All positions of the tile."""
        return tuple((0, n) for n in self.shape)
