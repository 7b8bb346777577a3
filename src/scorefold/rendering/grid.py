"""The grid of a panel: how many target voxels make a panel pixel, and where a coordinate lands."""

from dataclasses import dataclass
from math import ceil, isqrt, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALL_PANEL = 900
"""Longest side, in pixels, up to which small targets are enlarged."""

_LONGEST_SIDE = 4
"""Longest side of a panel in units of the side of a square panel of the same area."""


@dataclass(frozen=True)
class PanelGrid:
    """How an array becomes a panel: reduced by an integer factor, or enlarged by one.

    Parameters
    ----------
    reduction : int
        Array elements along each axis that make one pixel; 1 when enlarged.
    enlargement : int
        Pixels along each axis that an element makes; 1 when reduced.
    factor : int
        Target voxels along each axis in an element of the array (the caller's own reduction).
    """

    reduction: int = 1
    enlargement: int = 1
    factor: int = 1

    @property
    def pixels_per_voxel(self) -> float:
        """Panel pixels per voxel of the full-resolution target."""
        return self.enlargement / (self.reduction * self.factor)

    def length(self, elements: int) -> int:
        """Return the pixels that so many elements of the array make along an axis."""
        return ceil(elements / self.reduction) * self.enlargement

    def to_panel(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """Turn target coordinates into panel coordinates; both have centres at integers."""
        return (np.asarray(coordinates, dtype=np.float64) + 0.5) * self.pixels_per_voxel - 0.5

    def reduce_mean(self, array: NDArray[Any]) -> NDArray[np.float64]:
        """Return the 2D array on the panel's grid, averaging; for images."""
        return self._enlarge(np.mean(self._blocks(array).astype(np.float64), axis=(1, 3)))

    def reduce_maximum(self, array: NDArray[Any]) -> NDArray[np.float64]:
        """Return the 2D array on the panel's grid, keeping maxima so that no peak is lost; for scores."""
        blocks = self._blocks(array).astype(np.float64)
        return self._enlarge(np.fmax.reduce(np.fmax.reduce(blocks, axis=3), axis=1))

    def _blocks(self, array: NDArray[Any]) -> NDArray[Any]:
        """View the array as (rows, reduction, columns, reduction), its border repeated to fill the last."""
        rows, columns = (ceil(length / self.reduction) for length in array.shape)
        fill = [
            (0, n * self.reduction - length) for n, length in zip((rows, columns), array.shape, strict=True)
        ]
        filled = np.pad(array, fill, mode="edge")
        return filled.reshape(rows, self.reduction, columns, self.reduction)

    def _enlarge(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        return array.repeat(self.enlargement, axis=0).repeat(self.enlargement, axis=1)


def fit_panel(shape: tuple[int, int], maximum_pixels: int, factor: int = 1) -> PanelGrid:
    """Choose the grid on which an array of `shape` fills a panel of at most `maximum_pixels`.

    Examples
    --------
    >>> fit_panel((4096, 4096), 1_440_000)
    PanelGrid(reduction=4, enlargement=1, factor=1)
    >>> fit_panel((100, 80), 1_440_000)
    PanelGrid(reduction=1, enlargement=9, factor=1)
    """
    height, width = shape
    longest = max(shape)
    longest_side = _LONGEST_SIDE * sqrt(maximum_pixels)
    reduction = max(ceil(sqrt(height * width / maximum_pixels)), ceil(longest / longest_side), 1)
    if reduction > 1:
        return PanelGrid(reduction=reduction, factor=factor)
    enlargement = min(
        int(min(SMALL_PANEL, longest_side)) // longest, isqrt(maximum_pixels // (height * width))
    )
    return PanelGrid(enlargement=max(1, enlargement), factor=factor)
