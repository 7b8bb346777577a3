"""Exact scores of what a synthesis from bases found: the best rotations at a position and next to it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.scoring.basis import Basis
from scorefold.scoring.compressed import CellFilters
from scorefold.scoring.local import LocalScores
from scorefold.scoring.score import TargetTile
from scorefold.scoring.tile import Tile

Array = NDArray[Any]

NEIGHBOURS = 1.5
"""Cells whose centres lie within so many cell angles of the own cell's centre are looked at."""

NOISE_STDS = 3.5
"""Standard deviations of what noise does to the residual of a score that are allowed for.

Of the 100 000 rotations next to candidates in noise none was off by more than 3.4.
"""

HELD_BYTES = 2**25
"""Memory for turned templates, which the voxels next to a candidate share."""

TOGETHER = 8
"""Rotations that are scored before the best so far is looked at."""


@dataclass(frozen=True)
class Candidate:
    """What a synthesis found.

    Attributes
    ----------
    voxel : tuple of int
        In the coordinates of the target.
    rotation_id : int
        The rotation with the best approximate score there.
    score : float
        That score.
    """

    voxel: tuple[int, ...]
    rotation_id: int
    score: float


@dataclass(frozen=True)
class ExactScores:
    """The best exact scores at the voxels next to a candidate.

    Attributes
    ----------
    tile : Tile
        The voxels.
    scores : ndarray
        Their scores; NaN where none is defined.
    rotations : ndarray of int32
        Ids of the rotations that gave them; -1 where none did.
    """

    tile: Tile
    scores: Array
    rotations: NDArray[np.int32]


class Rescorer:
    """Finds the best exact score over all rotations near those that a synthesis found.

    The bases of a cell and its neighbours give approximate scores of all their rotations for the price of a few
    products. What they lack is known: with residual ρ, a score s of a signal lacks at most about ρ² s, and noise whose
    scores have standard deviation σ changes it by about ρ σ. Rotations are scored exactly in the order of these bounds,
    until the best exact score exceeds the next bound. Positions next to the candidate are bounded alike, so that none
    of them can be higher unnoticed.

    Parameters
    ----------
    filters : CellFilters
        The cells of the rotation set.
    basis : callable
        Returns the basis of a cell.
    local : LocalScores
        Of the same template and score.
    """

    def __init__(self, filters: CellFilters, basis: Callable[[int], Basis], local: LocalScores) -> None:
        self._filters = filters
        self._basis = basis
        self._local = local
        held = max(TOGETHER, HELD_BYTES // (4 * int(filters.inside.sum())))
        self._filter = lru_cache(held)(filters.of_rotation)

    def exact(
        self,
        candidate: Candidate,
        whole: Tile,
        pixels: TargetTile,
        *,
        std: float,
        at_least: float,
        everywhere: bool = False,
    ) -> ExactScores | None:
        """Return the exact scores at a candidate and next to it, or None if they stay below a bound.

        Parameters
        ----------
        candidate : Candidate
            What was found.
        whole : Tile
            A tile that contains the candidate.
        pixels : TargetTile
            Its pixels.
        std : float
            Standard deviation of all scores.
        at_least : float
            When the most promising rotations score less everywhere, the others are not looked at.
        everywhere : bool
            Whether the best scores next to the candidate are wanted even where they are lower than its own.
        """
        around = self._local.around(candidate.voxel, whole, pixels)
        tile, weights = around.tile, around.weights(self._filters.rotations[candidate.rotation_id])
        windows = self._windows(tile, whole, pixels)
        middle = np.ravel_multi_index(np.subtract(candidate.voxel, tile.start), tile.shape)
        ids, bounds = self._bounds(candidate, windows, weights.ravel(), std)
        best = np.full(weights.size, -np.inf)
        held = np.full(weights.size, -1, np.int32)
        for first in range(0, len(ids), TOGETHER):
            best_to_beat = best if everywhere else np.maximum(best, best[middle])
            if not (bounds[first:] >= best_to_beat).any():
                break
            some = np.sort(ids[first : first + TOGETHER])
            filters = np.stack([self._filter(int(i)) for i in some])
            for rotation_id, scores in zip(some, (filters @ windows.T) * weights.ravel(), strict=True):
                better = (scores > best) | ((scores == best) & (rotation_id < held))
                best[better], held[better] = scores[better], rotation_id
            if first == 0 and best.max() < at_least:
                return None
        best[held < 0] = np.nan
        return ExactScores(tile, best.reshape(tile.shape), held.reshape(tile.shape))

    def _bounds(
        self, candidate: Candidate, windows: Array, weights: Array, std: float
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return nearby rotation ids, and the highest scores they may have by position, the most promising first."""
        cells = self._filters.cells
        nearby = cells.neighbours(int(cells.cell_of[candidate.rotation_id]), NEIGHBOURS * cells.angle)
        bases = [self._basis(int(cell)) for cell in nearby]
        ids = np.concatenate([cells.ids(int(cell)) for cell in nearby])
        residuals = np.concatenate([basis.residuals for basis in bases]).astype(np.float64)
        scores = np.concatenate([basis.coefficients @ (basis.vectors @ windows.T) for basis in bases])
        # A position without scores, whose weight is NaN, has no bound that anything reaches.
        scores = np.where(np.isnan(weights), -np.inf, scores.astype(np.float64) * weights)
        signal = np.outer(residuals**2, np.maximum(scores.max(axis=0), 0.0))
        bounds = scores + np.hypot(signal, NOISE_STDS * std * residuals[:, np.newaxis])
        order = np.argsort(-bounds.max(axis=1), kind="stable")
        return ids[order], bounds[order]

    def _windows(self, tile: Tile, whole: Tile, pixels: TargetTile) -> NDArray[np.float32]:
        """Return what lies under the mask at every position of a tile, shape (positions, v)."""
        inside = self._filters.inside
        windows = np.empty((int(np.prod(tile.shape)), int(inside.sum())), np.float32)
        for row, place in zip(windows, np.ndindex(tile.shape), strict=True):
            start = [p + a - b for p, a, b in zip(place, tile.start, whole.start, strict=True)]
            row[:] = pixels.cut(start, inside.shape).values[inside]
        return windows
