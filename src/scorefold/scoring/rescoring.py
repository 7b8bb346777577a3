"""Exact scores of what a synthesis from bases found: the best rotations at a position and next to it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.scoring.basis import Basis, one_thread
from scorefold.scoring.compressed import CellFilters
from scorefold.scoring.local import LocalScores
from scorefold.scoring.score import TargetTile
from scorefold.scoring.tile import Tile

Array = NDArray[Any]

NOISE_STDS = 3.5
"""Standard deviations of what noise does to the residual of a score that are allowed for.

One in two thousand scores of Gaussian noise is further off.
"""

HELD_BYTES = 2**25
"""Memory for turned templates, which the voxels next to a candidate share."""

LEAST_RESIDUAL = 1e-3
"""Smaller ones are lost in the rounding of single precision."""

TOGETHER = 8
"""Rotations that are scored before the best so far is looked at."""


def synthesis_slack(scores: Any, residual: Any, std: float) -> Any:
    """Return how far a synthesised score is believed to be from the exact one, at most.

    A signal lacks the square of the residual; noise, whose scores have a standard deviation, changes it by the residual
    times that.

    Examples
    --------
    >>> round(float(synthesis_slack(0.5, residual=0.2, std=0.0)), 6)
    0.02
    """
    rho = np.maximum(residual, LEAST_RESIDUAL)
    return np.hypot(rho**2 * np.maximum(scores, 0.0), NOISE_STDS * rho * std)


@dataclass(frozen=True)
class Candidate:
    """What a synthesis found.

    Attributes
    ----------
    voxel : tuple of int
        In the coordinates of the target.
    rotation_id : int
        The rotation with the best score there.
    score : float
        That score.
    """

    voxel: tuple[int, ...]
    rotation_id: int
    score: float


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A candidate, and what decides the scores at the voxels next to it.

    Attributes
    ----------
    candidate : Candidate
        What was found.
    tile : Tile
        The voxels.
    places : ndarray of int, shape (voxels,)
        Those of them that are looked at, counted in C order.
    windows : ndarray of float32, shape (v, voxels)
        What lies under the mask at each of these.
    weights : ndarray, shape (voxels,)
        Factor between numerators and scores; NaN where there is no score.
    """

    candidate: Candidate
    tile: Tile
    places: NDArray[np.intp]
    windows: NDArray[np.float32]
    weights: Array

    @property
    def middle(self) -> int:
        """Which of the voxels that are looked at is the candidate's own."""
        return int(np.searchsorted(self.places, _place_of(self.candidate, self.tile)))


@dataclass(frozen=True)
class ExactScores:
    """The best exact scores at the voxels next to a candidate.

    Attributes
    ----------
    tile : Tile
        The voxels.
    scores : ndarray
        Their scores; NaN where none was found.
    rotations : ndarray of int32
        Ids of the rotations that gave them; -1 where none did.
    """

    tile: Tile
    scores: Array
    rotations: NDArray[np.int32]


class Rescorer:
    """Finds the best exact score over all rotations where a synthesis found a high one.

    The bases give approximate scores of all rotations at one position for the price of a few products. What they lack
    is known: with residual ρ, a score s of a signal lacks at most about ρ² s, and noise whose scores have standard
    deviation σ changes it by about ρ σ. Rotations are scored exactly in the order of these bounds, until the best exact
    score exceeds the next bound. Positions next to the candidate are bounded alike, by the synthesis and then by finer
    bases, so that one that is higher is noticed.

    Parameters
    ----------
    filters : CellFilters
        The cells of the rotation set.
    coarse, basis : callable
        Return the bases of a cell: that of the synthesis, and the one by which candidates are looked at.
    local : LocalScores
        Of the same template and score.
    std : float
        Standard deviation of all scores.
    at_least : float
        Scores below this are of no interest.
    residual : float
        Of the synthesis that found the candidates, the largest.
    """

    def __init__(
        self,
        filters: CellFilters,
        coarse: Callable[[int], Basis],
        basis: Callable[[int], Basis],
        local: LocalScores,
        *,
        std: float,
        at_least: float,
        residual: float,
    ) -> None:
        self._filters = filters
        self._coarse = coarse
        self._basis = basis
        self._local = local
        self._std = std
        self._at_least = at_least
        self._residual = residual
        held = max(TOGETHER, HELD_BYTES // (4 * int(filters.inside.sum())))
        self._filter = lru_cache(held)(filters.of_rotation)

    def surroundings(
        self, candidate: Candidate, whole: Tile, pixels: TargetTile, synthesised: Array | None = None
    ) -> Surroundings:
        """Return what is looked at of a candidate.

        Parameters
        ----------
        candidate : Candidate
            What was found.
        whole : Tile
            A tile that contains it.
        pixels : TargetTile
            The tile's pixels.
        synthesised : ndarray, optional
            The tile's best synthesised scores, or what they do not exceed: voxels next to the candidate that are not
            believed to be higher than it, or to be of interest, are passed over. Default: all are looked at.
        """
        around = self._local.around(candidate.voxel, whole, pixels)
        tile = around.tile
        kept = np.ones(math.prod(tile.shape), bool)
        if synthesised is not None:
            slack = synthesis_slack(candidate.score, self._residual, self._std)
            starts = np.subtract(tile.start, whole.start)
            next_to = synthesised[
                tuple(slice(a, a + n) for a, n in zip(starts, tile.shape, strict=True))
            ].ravel()
            kept = next_to + slack >= max(self._at_least, candidate.score - slack)
            kept[_place_of(candidate, tile)] = True
        places = np.flatnonzero(kept)
        voxels = list(tile.voxels())
        return Surroundings(
            candidate,
            tile,
            places,
            np.stack([self._window(voxels[place], whole, pixels) for place in places], axis=1),
            around.weights(self._filters.rotations[candidate.rotation_id]).ravel()[places],
        )

    def cells(self, given: Sequence[Surroundings], *, everywhere: bool = False) -> list[list[int]]:
        """Return, for each candidate, the cells in which a rotation may have the best exact score there or next to it.

        Every coarse basis is looked at once for all of them; the finer ones only where the coarse do not rule it out.

        Parameters
        ----------
        given : sequence of Surroundings
            The candidates.
        everywhere : bool
            Whether the best score of each voxel is wanted, or that of all of them.
        """
        windows = np.concatenate([one.windows for one in given], axis=1)
        weights = np.concatenate([one.weights for one in given])
        sizes = [one.weights.size for one in given]
        stops = np.cumsum(sizes)
        scores = np.repeat([one.candidate.score for one in given], sizes)
        middles = np.array([one.middle for one in given]) + stops - sizes
        reached = np.ones((len(self._filters.cells), len(weights)), bool)
        # How low the best score of all may be.
        lowest = np.full(len(weights), -np.inf)
        for basis_of in (self._coarse, self._basis):
            # How high the scores of a cell may be.
            highest = np.full(reached.shape, -np.inf)
            with one_thread():
                for cell in np.flatnonzero(reached.any(axis=1)):
                    basis, some = basis_of(int(cell)), np.flatnonzero(reached[cell])
                    columns = windows if len(some) == len(weights) else windows[:, some]
                    synthesised = _scores(basis, columns, weights[some])
                    highest[cell, some] = self._highest(synthesised, scores[some], basis.residuals).max(
                        axis=0
                    )
                    low = synthesised - synthesis_slack(
                        synthesised, basis.residuals[:, np.newaxis], self._std
                    )
                    lowest[some] = np.maximum(lowest[some], low.max(axis=0))
            to_reach = lowest if everywhere else np.repeat(lowest[middles], sizes)
            reached = highest >= np.maximum(to_reach, self._at_least)
        return [np.flatnonzero(part.any(axis=1)).tolist() for part in np.split(reached, stops[:-1], axis=1)]

    def exact(
        self, given: Surroundings, cells: Sequence[int], *, everywhere: bool = False
    ) -> ExactScores | None:
        """Return the exact scores at a candidate and next to it, or None if none is of interest.

        Parameters
        ----------
        given : Surroundings
            The candidate.
        cells : sequence of int
            The cells whose rotations may be the best.
        everywhere : bool
            Whether the best scores next to the candidate are wanted even where they are lower than its own.
        """
        if not cells:
            return None
        tile, weights = given.tile, given.weights
        best = np.full(weights.size, -np.inf)
        held = np.full(weights.size, -1, np.int32)
        # Always as many rows: the last bits of a product depend on the shapes.
        filters = np.zeros((TOGETHER, len(given.windows)), np.float32)
        with one_thread():
            ids, bounds = self._bounds(cells, given.windows, weights)
            while True:
                to_beat = np.maximum(
                    best if everywhere else np.maximum(best, best[given.middle]), self._at_least
                )
                promising = (bounds >= to_beat).any(axis=1)
                ids, bounds = ids[promising], bounds[promising]
                if not ids.size:
                    break
                some = np.sort(ids[:TOGETHER])
                for row, rotation_id in enumerate(some):
                    filters[row] = self._filter(int(rotation_id))
                for rotation_id, scores in zip(some, (filters @ given.windows) * weights, strict=False):
                    better = (scores > best) | ((scores == best) & (rotation_id < held))
                    best[better], held[better] = scores[better], rotation_id
                ids, bounds = ids[TOGETHER:], bounds[TOGETHER:]
        if best.max() < self._at_least:
            return None
        best[held < 0] = np.nan
        all_scores, all_rotations = np.full(tile.shape, np.nan), np.full(tile.shape, -1, np.int32)
        all_scores.flat[given.places], all_rotations.flat[given.places] = best, held
        return ExactScores(tile, all_scores, all_rotations)

    def _bounds(
        self, cells: Sequence[int], windows: Array, weights: Array
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return rotation ids, and the highest scores they may have by position, the most promising first."""
        ids, scores, residuals = [], [], []
        for cell in cells:
            basis = self._basis(cell)
            ids.append(self._filters.cells.ids(cell))
            scores.append(_scores(basis, windows, weights))
            residuals.append(basis.residuals)
        all_scores = np.concatenate(scores)
        bounds = self._highest(all_scores, all_scores.max(axis=0), np.concatenate(residuals))
        order = np.argsort(-bounds.max(axis=1), kind="stable")
        return np.concatenate(ids)[order], bounds[order]

    def _highest(self, scores: Array, of_signal: Array, residuals: Array) -> NDArray[np.float64]:
        """Return how high the exact scores of synthesised ones may be; of a signal with the highest such score."""
        rho = residuals.astype(np.float64)[:, np.newaxis]
        highest: NDArray[np.float64] = scores + synthesis_slack(of_signal, rho, self._std)
        return highest

    def _window(self, voxel: tuple[int, ...], whole: Tile, pixels: TargetTile) -> NDArray[np.float32]:
        """Return what lies under the mask at a voxel."""
        inside = self._filters.inside
        start = [v - a for v, a in zip(voxel, whole.start, strict=True)]
        return pixels.cut(start, inside.shape).values[inside].astype(np.float32)


def _place_of(candidate: Candidate, tile: Tile) -> int:
    """Return a candidate's voxel as one of a tile, counted in C order."""
    return int(np.ravel_multi_index(np.subtract(candidate.voxel, tile.start), tile.shape))


def _scores(basis: Basis, windows: Array, weights: Array) -> NDArray[np.float64]:
    """Return the scores of a cell's rotations by its basis, (n, positions); -inf at positions without scores."""
    numerators = (basis.coefficients @ (basis.vectors @ windows)).astype(np.float64)
    scores: NDArray[np.float64] = np.where(np.isnan(weights), -np.inf, numerators * weights)
    return scores
