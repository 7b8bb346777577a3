"""Exact scores where a synthesis found high ones, with masks that turn with the template."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.scoring.basis import Basis, MaskBasis, one_thread
from scorefold.scoring.cell_filters import CellFilters
from scorefold.scoring.kernels import FLAT_VARIANCE
from scorefold.scoring.local_synthesis import scattered, variance_floor
from scorefold.scoring.rescoring import HELD_BYTES, ROUGH_STDS, TOGETHER, TURN_PRODUCTS, Rescorer
from scorefold.scoring.score import TargetTile

Array = NDArray[Any]

MASK_STDS = 3.0
"""Standard deviations of what the basis of the masks lacks of a local variance that are allowed for."""


@dataclass(frozen=True, eq=False)
class LocalWindows:
    """What lies in the search box at voxels, and what follows from that alone.

    Attributes
    ----------
    values, squares : ndarray of float32, shape (n, v)
        Pixels less their mean, and their squares.
    floor : ndarray of float32, shape (n,)
        The least variance that is believed; see `variance_floor`.
    fourth : ndarray of float64, shape (n,)
        Means of the squares of squares.
    """

    values: NDArray[np.float32]
    squares: NDArray[np.float32]
    floor: NDArray[np.float64]
    fourth: NDArray[np.float64]

    def __getitem__(self, some: Any) -> "LocalWindows":
        """Return some of the windows, or one."""
        return LocalWindows(*(getattr(self, field.name)[some] for field in fields(self)))


class LocalRescorer(Rescorer):
    """A `Rescorer` for masks that turn with the template.

    In the place of weights it is given how much of the search box lies inside of the target at every voxel, shape
    (n, d, 2): the first and the last index per axis.

    Parameters
    ----------
    filters, coarse, finer, std
        As for `Rescorer`.
    masks : callable
        Returns the basis of the masks of a cell that others are turns of.
    """

    def __init__(
        self,
        filters: CellFilters,
        coarse: Callable[[int], Basis],
        finer: Callable[[int], Basis],
        masks: Callable[[int], MaskBasis],
        *,
        std: float,
    ) -> None:
        super().__init__(filters, coarse, finer, std=std)
        self._masks = masks
        held = max(TOGETHER, HELD_BYTES // (8 * int(filters.inside.sum())))
        self._with_mask = lru_cache(held)(filters.with_mask)
        ball, self._least_weight = filters.template.central_core
        self._ball = ball[filters.inside].astype(np.float32)
        self._total = float(filters.template.mask.sum())

    @property
    def products(self) -> int:
        """As for `Rescorer`; masks are turned, too."""
        turned = self._with_mask.cache_info().misses
        return super().products + 2 * turned * TURN_PRODUCTS * int(self._filters.inside.sum())

    def windows(self, places: Sequence[Sequence[int]], pixels: TargetTile) -> LocalWindows:
        """Return what lies in the search box at voxels; see `Rescorer.windows`."""
        values = super().windows(places, pixels)
        values -= values.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
        squares = values**2
        with one_thread():
            of_ball = values @ self._ball, squares @ self._ball
        held = self._least_weight * scattered(of_ball[0], of_ball[1] - self._ball.sum(), self._ball.sum())
        return LocalWindows(
            values,
            squares,
            variance_floor(held, squares.sum(axis=1), self._total),
            np.einsum("nv,nv->n", squares, squares, dtype=np.float64) / squares.shape[1],
        )

    def _of_cells(self, windows: LocalWindows, weights: Array, signal: Array) -> tuple[Array, Array]:
        cells = self._filters.cells
        highest, lowest = np.full((len(cells), len(weights)), -np.inf), np.full(len(weights), -np.inf)
        for model in range(0, len(cells), cells.turns):
            rough = self._rough(model)
            for cell in range(model, model + cells.turns):
                low, high = self._bounds(cell, rough, windows, weights, signal, ROUGH_STDS)
                highest[cell], lowest = high.max(axis=0), np.maximum(lowest, low.max(axis=0))
        return highest, lowest

    def _turned_back(self, windows: LocalWindows, turn: int) -> LocalWindows:
        turned = super()._turned_back
        return replace(windows, values=turned(windows.values, turn), squares=turned(windows.squares, turn))

    def _scores(
        self,
        cell: int,
        basis: Basis,
        windows: LocalWindows,
        weights: Array,
        turned: Callable[[Basis, int], Basis],
    ) -> tuple[Array, Array]:
        masks = turned(self._masks(self._filters.cells.model(cell)), cell)
        assert isinstance(masks, MaskBasis)  # as it was
        self._count(masks, 2 * len(weights))
        total = masks.totals[:, np.newaxis]
        values, first, second = (
            (one.coefficients @ (one.vectors @ of.T)) / total
            for one, of in ((basis, windows.values), (masks, windows.values), (masks, windows.squares))
        )
        variance = second - first**2
        # What the basis of the masks lacks is taken for noise, with the squares of the pixels as its weights.
        off = MASK_STDS * masks.residuals[:, np.newaxis] * np.sqrt(windows.fourth / total)
        lies = (masks.supports[:, np.newaxis, :, 0] >= weights[..., 0]).all(axis=2)
        lies &= (masks.supports[:, np.newaxis, :, 1] <= weights[..., 1]).all(axis=2)
        ends = [
            np.clip(values / np.sqrt(np.maximum(one, windows.floor)), -1.0, 1.0)
            for one in (variance + off, variance - off)
        ]
        return np.where(lies, np.minimum(*ends), -np.inf), np.where(lies, np.maximum(*ends), -np.inf)

    def _exact_scores(self, ids: list[int], window: LocalWindows, weight: Any) -> list[float]:  # noqa: ARG002
        scores = []
        values = window.values.astype(np.float64)
        squares = values**2
        self._products += 3 * len(ids) * len(values)
        for rotation_id in ids:
            filter_, mask, _ = self._with_mask(rotation_id)
            total = float(mask.sum(dtype=np.float64))
            variance = float(mask @ squares) / total - (float(mask @ values) / total) ** 2
            flat = variance <= FLAT_VARIANCE
            scores.append(0.0 if flat else float(filter_ @ values) / (total * math.sqrt(variance)))
        return scores
