"""The compressed engine: the score maps of neighbouring rotations as sums of the maps of a low-rank basis."""

import functools
import math
from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import (
    AbstractAnalyzer,
    AnalyzerProduct,
    ApproximateMoments,
    ApproximateScoreMoments,
    MaxScoreOverRotations,
    ScoreMoments,
)
from scorefold.errors import InputError
from scorefold.rotations import RotationCells, grid_orbits, grid_rotations, rotation_cells, turned_with_grid
from scorefold.scoring.basis import RANKS, Basis, Principal
from scorefold.scoring.engine import Analyzer, ExactEngine
from scorefold.scoring.fused import fold_terms, folds_in_place, window_sums
from scorefold.scoring.score import LinearScore, Score, TargetTile
from scorefold.scoring.synthesis import fold_cell, sum_of_maps
from scorefold.scoring.template import NEGLIGIBLE_WEIGHT, Template
from scorefold.scoring.tile import Tile, Window

Array = NDArray[Any]

FINER = 6.0
"""How many times less the finer bases leave out, by which candidates are looked at."""

SAMPLED_CELLS = 12
"""How many cells, at most, have a rotation that is scored exactly too, for the statistics of the scores."""

SAMPLED_ROTATIONS = 64
"""Of so many rotations one is, at most, unless there are fewer: it takes what it does with the exact engine."""


def check_compressible(score: Score, template: Template) -> LinearScore:
    """Return the score, if score maps of it and the template can be sums of others.

    Raises
    ------
    InputError
        If the score is not linear in the template, or the mask changes when it is rotated.
    """
    if not template.invariant:
        raise InputError(
            "engine compressed: the mask changes when it is rotated. Use --mask disk (sphere for volumes), or "
            "--engine exact."
        )
    if not isinstance(score, LinearScore) or score.margin:
        raise InputError(
            f"engine compressed: score {score.name} is not linear in the template. Use --engine exact, or a disk or "
            "sphere as --mask with --score FLCSphericalMask."
        )
    return score


def turns_with_grid(template: Template, rotations: NDArray[np.float64]) -> bool:
    """Tell whether turns by the rotations of a grid take a rotation set and the template's mask into themselves.

    Templates that are turned so are the same array, its axes exchanged and reversed, and so are their bases.
    """
    mask, box = template.fixed_mask, template.box
    if len(set(box)) > 1 or grid_orbits(rotations) is None:
        return False
    turned = [turned_with_grid(mask, turn) for turn in grid_rotations(len(box))]
    return all(
        np.array_equal(one > 0, mask > 0) and np.abs(one - mask).max() <= NEGLIGIBLE_WEIGHT * mask.max()
        for one in turned
    )


def search_cells(template: Template, rotations: NDArray[np.float64], angle: float) -> RotationCells:
    """Cut a rotation set into cells for a template: turns of one another, where all allows it."""
    return rotation_cells(rotations, angle, turned=turns_with_grid(template, rotations))


class CellFilters:
    """The filters of the rotations of each cell, and their bases.

    Parameters
    ----------
    template : Template
        What is searched for; its values have been through ``score.template_values``.
    rotations : ndarray, shape (n, d, d)
        The rotation set.
    score : Score
        How template and target are compared.
    cells : RotationCells
        How the rotation set is cut.

    Raises
    ------
    InputError
        If score or mask do not allow bases.
    """

    def __init__(
        self, template: Template, rotations: NDArray[np.float64], score: Score, cells: RotationCells
    ) -> None:
        self.score = check_compressible(score, template)
        self.template = template
        self.rotations = rotations
        self.cells = cells
        self.inside = template.fixed_mask > 0

    def of_rotation(self, rotation_id: int) -> NDArray[np.float32]:
        """Return the filter of a rotation under the mask, shape (v,)."""
        return self.score.filter_of(self.template.under_mask(self.rotations[rotation_id])).astype(np.float32)

    def bases(self, cell: int, tolerance: float) -> tuple[Basis, Basis]:
        """Return the basis of a cell, whose root mean square residual is at most the tolerance, and a finer one.

        The finer one's residuals are `FINER` times smaller, or as small as ranks allow. What the first finds in whole
        maps is looked at with the second, at the few positions where something was found.
        """
        ids = self.cells.ids(cell)
        rows = np.empty((len(ids), int(self.inside.sum())), np.float32)
        for row, rotation_id in zip(rows, ids, strict=True):
            row[:] = self.of_rotation(int(rotation_id))
        principal = Principal(rows)
        basis = principal.compressed(tolerance)
        finer = min(principal.rank(tolerance / FINER), RANKS[-1])
        return basis, principal.basis(max(finer, basis.rank))

    def of_model(self, basis: Basis, cell: int) -> Basis:
        """Return the basis of a cell by that of its model."""
        turn = cell % self.cells.turns
        if not turn:
            return basis
        rows = self.cells.model_rows(cell)
        return Basis(
            np.take(basis.vectors.T, self._places[turn], axis=0).T,  # whole rows, where they lie so
            basis.coefficients[rows],
            basis.residuals[rows],
        )

    @functools.cached_property
    def _places(self) -> list[NDArray[np.intp]]:
        """From where, of what lies under the mask, values come when they are turned by the rotations of a grid."""
        number = np.cumsum(self.inside).reshape(self.inside.shape) - 1
        turns = grid_rotations(self.inside.ndim)
        return [turned_with_grid(number, turn)[self.inside] for turn in turns]

    def in_box(self, vector: Array) -> Array:
        """Return what lies under the mask as an array of the search box."""
        values = np.zeros(self.template.box, vector.dtype)
        values[self.inside] = vector
        return values


class CompressedEngine:
    """Folds whole cells of the rotation set: their score maps are sums of the maps of a few basis filters.

    Scores are off by the residual of the basis: |Δscore| ≤ residual for normalised scores, and on noise the error has a
    standard deviation of residual × that of the scores. The statistics are corrected by exact scores of a sample of
    rotations.

    Parameters
    ----------
    exact : ExactEngine
        The engine that would score every rotation; transforms, score and template are taken from it.
    filters : CellFilters
        The cells and their filters.
    basis : callable
        Returns the basis of a cell.
    """

    def __init__(self, exact: ExactEngine, filters: CellFilters, basis: Callable[[int], Basis]) -> None:
        self.exact = exact
        self.filters = filters
        self.basis = basis
        samples = min(SAMPLED_CELLS, max(1, len(filters.rotations) // SAMPLED_ROTATIONS))
        self.sampled_every = math.ceil(len(filters.cells) / samples)

    def prepare(
        self, tiles: Sequence[Tile], pixels: Sequence[TargetTile], analyzers: Sequence[Analyzer]
    ) -> "CompressedBatch":
        """Transform the tiles; see `Engine.prepare`."""
        return CompressedBatch(self, tiles, pixels, analyzers)


class CompressedBatch:
    """Tiles whose spectra are held while cells pass by."""

    def __init__(
        self,
        engine: CompressedEngine,
        tiles: Sequence[Tile],
        pixels: Sequence[TargetTile],
        analyzers: Sequence[Analyzer],
    ) -> None:
        self._engine = engine
        self._tiles = tiles
        self._analyzers = analyzers
        self._prepared = engine.exact.prepare_tiles(tiles, pixels)
        self._windows = [engine.exact.window(tile, engine.exact.template.fixed_support) for tile in tiles]
        self._weights: list[Array | None] = [None] * len(tiles)
        self._maps = np.empty(0, engine.exact.correlator.dtype)

    def fold(self, cell: int, states: list[Any]) -> list[Any]:
        """Fold all rotations of a cell into the states of all tiles; its basis is transformed once."""
        engine, exact = self._engine, self._engine.exact
        basis = engine.basis(cell)
        ids = engine.filters.cells.ids(cell)
        vectors = [
            engine.filters.score.prepare_filter(engine.filters.in_box(vector), exact.correlator)
            for vector in basis.vectors
        ]
        row, sampled = 0, None
        if cell % engine.sampled_every == 0:
            row = basis.typical(cell % engine.filters.cells.turns)
            sampled, _ = exact.prepare_rotation(exact.rotations[ids[row]])
        folded = []
        for i, (tile, target) in enumerate(zip(self._tiles, self._prepared, strict=True)):
            maps, weights = self._basis_maps(i, tile, target, vectors)
            terms = _CellTerms(ids, exact.rotations, basis.coefficients, maps, weights, self._windows[i])
            if sampled is not None:
                terms.sampled(row, *exact.terms(tile, target, sampled))
            folded.append(_fold_cell(self._analyzers[i], states[i], terms))
        return folded

    def _basis_maps(self, i: int, tile: Tile, target: Any, vectors: list[Any]) -> tuple[Array, Array]:
        """Return the numerators of the basis vectors at the positions of a tile, and the weights there.

        The maps, of shape (k, *tile), are overwritten by the next call.
        """
        wanted = len(vectors) * math.prod(tile.shape)
        if self._maps.size < wanted:
            self._maps = np.empty(wanted, self._maps.dtype)
        maps: Array = self._maps[:wanted].reshape(len(vectors), *tile.shape)
        weight = None
        for vector, into in zip(vectors, maps, strict=True):
            numerator, weight = self._engine.exact.terms(tile, target, vector)
            into[...] = numerator
        kept = self._weights[i]
        if kept is None:
            inside = tuple(slice(first, stop) for first, stop in self._windows[i])
            kept = np.full(tile.shape, np.nan, maps.dtype)
            kept[inside] = 1 if weight is None else weight[inside]
            self._weights[i] = kept
        return maps, kept


class _CellTerms:
    """What the analyzers of a tile need to fold the rotations of a cell."""

    def __init__(
        self,
        ids: NDArray[np.int32],
        rotations: NDArray[np.float64],
        coefficients: NDArray[np.float32],
        maps: Array,
        weights: Array,
        window: Window,
    ) -> None:
        self.ids = ids
        self.rotations = rotations
        self.maps = maps
        self.weights = weights
        self.window = window
        self.moments = ApproximateMoments()
        self._coefficients = coefficients
        self._folded = False

    def numerator(self, row: int) -> Array:
        """Return the approximate numerators of one rotation of the cell."""
        flat = self.maps.reshape(len(self.maps), -1)
        return sum_of_maps(self._coefficients[row], flat).reshape(self.maps.shape[1:])

    def sampled(self, row: int, numerator: Array, weight: Array | None) -> None:
        """Compare the approximate scores of one rotation of the cell with the exact ones."""
        sums = [
            ScoreMoments.moments_of_sums(*window_sums(*terms, self.window))
            for terms in ((self.numerator(row), self.weights), (numerator, weight))
        ]
        self.moments += ApproximateMoments(sample=sums[0], exact=sums[1])

    def fold(self, best: Array, held: Array) -> None:
        """Fold all rotations into the best scores, and keep the sums of all scores."""
        flat = self.maps.reshape(len(self.maps), -1)
        sums = fold_cell(
            self._coefficients, flat, self.weights.ravel(), self.ids, best.reshape(-1), held.reshape(-1)
        )
        if not self._folded:
            self.moments += ApproximateMoments(ScoreMoments.moments_of_sums(*sums))
        self._folded = True

    def all_moments(self) -> ApproximateMoments:
        """Return the sums of all scores, and of the sample."""
        if not self._folded:
            self.fold(np.empty(self.weights.shape, self.maps.dtype), np.empty(self.weights.shape, np.int32))
        return self.moments


@singledispatch
def _fold_cell(analyzer: AbstractAnalyzer[Any, Any], state: Any, terms: _CellTerms) -> Any:
    """Fold the rotations of a cell into a state, score map by score map."""
    for row, rotation_id in enumerate(terms.ids.tolist()):
        state = fold_terms(
            analyzer,
            state,
            terms.numerator(row),
            terms.weights,
            terms.window,
            terms.rotations[rotation_id],
            rotation_id,
        )
    return state


@_fold_cell.register
def _(analyzer: AnalyzerProduct, state: Any, terms: _CellTerms) -> Any:
    if type(analyzer) is not AnalyzerProduct:
        return _fold_cell.dispatch(object)(analyzer, state, terms)
    return tuple(_fold_cell(part, held, terms) for part, held in zip(analyzer.analyzers, state, strict=True))


@_fold_cell.register
def _(analyzer: MaxScoreOverRotations, state: Any, terms: _CellTerms) -> Any:
    if not folds_in_place(analyzer, state, terms.maps.dtype):
        return _fold_cell.dispatch(object)(analyzer, state, terms)
    with state.lock:
        terms.fold(state.scores, state.rotations)
    return state


@_fold_cell.register
def _(analyzer: ApproximateScoreMoments, state: Any, terms: _CellTerms) -> Any:  # noqa: ARG001
    return state + terms.all_moments()
