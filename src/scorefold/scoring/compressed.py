"""The compressed engine: the score maps of neighbouring rotations as sums of the maps of a low-rank basis."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
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
from scorefold.scoring.basis import Basis, MaskBasis
from scorefold.scoring.cell_filters import CellFilters
from scorefold.scoring.engine import Analyzer, ExactEngine
from scorefold.scoring.fused import fold_terms, folds_in_place, window_sums
from scorefold.scoring.local_synthesis import LocalMaps, centre, fold_local_cell, scattered, variance_floor
from scorefold.scoring.score import LocalScore, TargetTile
from scorefold.scoring.synthesis import fold_cell, sum_of_maps
from scorefold.scoring.tile import Tile, Window

Array = NDArray[Any]

SAMPLED_CELLS = 12
"""How many cells, at most, have a rotation that is scored exactly too, for the statistics of the scores."""

SAMPLED_ROTATIONS = 64
"""Of so many rotations one is, at most, unless there are fewer: it takes what it does with the exact engine."""


class CompressedEngine:
    """Folds whole cells of the rotation set: their score maps are sums of the maps of a few basis filters.

    Scores are off by the residual of the basis: |Δscore| ≤ residual for normalised scores, and on noise the error has a
    standard deviation of residual × that of the scores. The statistics are corrected by exact scores of a sample of
    rotations. Where the mask turns with the template, the local variances are made of the maps of basis masks, and
    scores may be off by more where the contrast jumps at the edge of a mask.

    Parameters
    ----------
    exact : ExactEngine
        The engine that would score every rotation; transforms, score and template are taken from it.
    filters : CellFilters
        The cells and their filters.
    basis : callable
        Returns the basis of the filters of a cell.
    masks : callable, optional
        Returns the basis of the masks of a cell, where each rotation has one of its own.
    """

    def __init__(
        self,
        exact: ExactEngine,
        filters: CellFilters,
        basis: Callable[[int], Basis],
        masks: Callable[[int], MaskBasis | None] = lambda _: None,
    ) -> None:
        self.exact = exact
        self.filters = filters
        self.basis = basis
        self.masks = masks
        samples = min(SAMPLED_CELLS, max(1, len(filters.rotations) // SAMPLED_ROTATIONS))
        self.sampled_every = math.ceil(len(filters.cells) / samples)

    def prepare(
        self, tiles: Sequence[Tile], pixels: Sequence[TargetTile], analyzers: Sequence[Analyzer]
    ) -> "CompressedBatch":
        """Transform the tiles; see `Engine.prepare`."""
        kind = LocalCompressedBatch if self.filters.masks_turn else CompressedBatch
        return kind(self, tiles, pixels, analyzers)


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
        self._weights: list[Array | None] = [None] * len(tiles)
        self._maps = np.empty(0, engine.exact.correlator.dtype)

    def fold(self, cell: int, states: list[Any]) -> list[Any]:
        """Fold all rotations of a cell into the states of all tiles; its basis is transformed once."""
        engine, exact = self._engine, self._engine.exact
        basis = engine.basis(cell)
        ids = engine.filters.cells.ids(cell)
        prepared = self._prepare_cell(cell, basis)
        row, sampled = basis.typical(cell % engine.filters.cells.turns), None
        if cell % engine.sampled_every == 0:
            sampled = exact.prepare_rotation(exact.rotations[ids[row]])
        folded = []
        for i, (tile, target) in enumerate(zip(self._tiles, self._prepared, strict=True)):
            terms = self._terms(i, ids, basis, prepared)
            if sampled is not None:
                rotation, support = sampled
                terms.sampled(row, *exact.terms(tile, target, rotation), exact.window(tile, support))
            folded.append(_fold_cell(self._analyzers[i], states[i], terms))
        return folded

    def _prepare_cell(self, cell: int, basis: Basis) -> Any:  # noqa: ARG002
        """Return the transforms of a cell's bases."""
        return self._transformed(self._engine.filters.score.prepare_filter, basis)

    def _transformed(self, prepare: Callable[..., Any], basis: Basis) -> Iterable[Any]:
        """Return the transforms of the vectors of a basis; for a single tile only while it looks at them."""
        filters, correlator = self._engine.filters, self._engine.exact.correlator
        made = (prepare(filters.in_box(vector), correlator) for vector in basis.vectors)
        return made if len(self._tiles) == 1 else list(made)

    def _terms(self, i: int, ids: NDArray[np.int32], basis: Basis, prepared: Any) -> "_CellTerms":
        """Return what folding a cell into the states of a tile needs; the next call overwrites its maps."""
        exact, tile = self._engine.exact, self._tiles[i]
        window = exact.window(tile, exact.template.fixed_support)
        maps = self._room_for(basis.rank, tile)
        weight = None
        for vector, into in zip(prepared, maps, strict=True):
            into[...], weight = exact.terms(tile, self._prepared[i], vector)
        kept = self._weights[i]
        if kept is None:
            inside = tuple(slice(first, stop) for first, stop in window)
            kept = np.full(tile.shape, np.nan, maps.dtype)
            kept[inside] = 1 if weight is None else weight[inside]
            self._weights[i] = kept
        return _WeightedTerms(ids, exact.rotations, basis.coefficients, maps, kept, window)

    def _room_for(self, count: int, tile: Tile) -> Array:
        """Return so many maps of a tile, one after the other."""
        wanted = count * math.prod(tile.shape)
        if self._maps.size < wanted:
            self._maps = np.empty(wanted, self._maps.dtype)
        return self._maps[:wanted].reshape(count, *tile.shape)


class LocalCompressedBatch(CompressedBatch):
    """Tiles whose spectra are held while cells pass by, in each of which the mask turns with the template."""

    def __init__(
        self,
        engine: CompressedEngine,
        tiles: Sequence[Tile],
        pixels: Sequence[TargetTile],
        analyzers: Sequence[Analyzer],
    ) -> None:
        super().__init__(engine, tiles, pixels, analyzers)
        score = engine.filters.score
        if not isinstance(score, LocalScore):
            raise TypeError(f"score {score.name}: no rotation changes its weights")
        self._score = score
        self._known = self._floors_and_means()
        self._last_cell = -1
        # Of the cell before, or of the tile before where no other cell has the same.
        self._sums: list[Array] = [np.empty(0)] * (len(tiles) if engine.filters.same_masks > 1 else 1)

    def _prepare_cell(self, cell: int, basis: Basis) -> Any:
        masks = self._engine.masks(cell)
        if masks is None:
            raise ValueError(f"cell {cell}: no basis of its masks")
        known = cell % self._engine.filters.cells.turns % self._engine.filters.same_masks > 0
        spectra = None
        if not known or self._last_cell != cell - 1:
            spectra = self._transformed(self._score.prepare_mask, masks)
        self._last_cell = cell
        return super()._prepare_cell(cell, basis), masks, spectra

    def _terms(self, i: int, ids: NDArray[np.int32], basis: Basis, prepared: Any) -> "_CellTerms":
        exact, tile, target = self._engine.exact, self._tiles[i], self._prepared[i]
        vectors, masks, spectra = prepared
        positions = tuple(slice(0, n) for n in tile.shape)
        floor, means = self._known[i]
        numerators = self._room_for(basis.rank, tile)
        for vector, into in zip(vectors, numerators, strict=True):
            into[...] = self._score.numerator(target, vector, exact.correlator)[positions]
        slot = i % len(self._sums)
        if spectra is not None:
            if self._sums[slot].shape != (2, masks.rank, *tile.shape):
                self._sums[slot] = np.empty((2, masks.rank, *tile.shape), numerators.dtype)
            for spectrum, first, second in zip(spectra, *self._sums[slot], strict=True):
                sums = self._score.local_sums(target, spectrum, exact.correlator)
                centre((sums[0][positions], sums[1][positions]), means, spectrum.total, first, second)
        maps = LocalMaps(numerators, self._sums[slot][0], self._sums[slot][1], floor)
        windows = np.array([exact.window(tile, support) for support in masks.supports.tolist()])
        return _LocalTerms(ids, exact.rotations, basis, masks, maps, windows)

    def _floors_and_means(self) -> list[tuple[Array, Array]]:
        """Return the least variances that are believed at the positions of each tile, and the means in the box."""
        exact, template = self._engine.exact, self._engine.exact.template
        ball, weight = template.central_core
        prepared = [
            self._score.prepare_mask(mask.astype(np.float64), exact.correlator)
            for mask in (ball, self._engine.filters.inside)
        ]
        known = []
        for tile, target in zip(self._tiles, self._prepared, strict=True):
            positions, spread = tuple(slice(0, n) for n in tile.shape), []
            for mask in prepared:
                first, second = self._score.local_sums(target, mask, exact.correlator)
                spread.append(scattered(first[positions], second[positions], mask.total))
                means = first[positions] / (mask.total or 1.0)  # at last those in the search box
            floor = variance_floor(weight * spread[0], spread[1], float(template.mask.sum()))
            known.append((floor.astype(exact.correlator.dtype), means.astype(exact.correlator.dtype)))
        return known


class _CellTerms(ABC):
    """What the analyzers of a tile need to fold the rotations of a cell."""

    def __init__(self, ids: NDArray[np.int32], rotations: NDArray[np.float64]) -> None:
        self.ids = ids
        self.rotations = rotations
        self.moments = ApproximateMoments()
        self._folded = False

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the tile."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Of the scores."""

    @abstractmethod
    def terms(self, row: int) -> tuple[Array, Array | None, Window]:
        """Return the approximate numerators of one rotation of the cell, their weights, and where it is scored."""

    @abstractmethod
    def _fold(self, best: Array, held: Array) -> tuple[int, float, float]:
        """Fold all rotations into the best scores; return number, sum and sum of squares of all scores."""

    def sampled(self, row: int, numerator: Array, weight: Array | None, window: Window) -> None:
        """Compare the approximate scores of one rotation of the cell with the exact ones."""
        sums = [
            ScoreMoments.moments_of_sums(*window_sums(*terms))
            for terms in (self.terms(row), (numerator, weight, window))
        ]
        self.moments += ApproximateMoments(sample=sums[0], exact=sums[1])

    def fold(self, best: Array, held: Array) -> None:
        """Fold all rotations into the best scores, and keep the sums of all scores."""
        sums = self._fold(best, held)
        if not self._folded:
            self.moments += ApproximateMoments(ScoreMoments.moments_of_sums(*sums))
        self._folded = True

    def all_moments(self) -> ApproximateMoments:
        """Return the sums of all scores, and of the sample."""
        if not self._folded:
            self.fold(np.empty(self.shape, self.dtype), np.empty(self.shape, np.int32))
        return self.moments


class _WeightedTerms(_CellTerms):
    """Those of a score whose weights no rotation changes."""

    def __init__(
        self,
        ids: NDArray[np.int32],
        rotations: NDArray[np.float64],
        coefficients: NDArray[np.float32],
        maps: Array,
        weights: Array,
        window: Window,
    ) -> None:
        super().__init__(ids, rotations)
        self._coefficients = coefficients
        self._maps = maps.reshape(len(maps), -1)
        self._weights = weights
        self._window = window

    @property
    def shape(self) -> tuple[int, ...]:
        return self._weights.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._maps.dtype

    def terms(self, row: int) -> tuple[Array, Array | None, Window]:
        numerator = sum_of_maps(self._coefficients[row], self._maps).reshape(self.shape)
        return numerator, self._weights, self._window

    def _fold(self, best: Array, held: Array) -> tuple[int, float, float]:
        return fold_cell(
            self._coefficients,
            self._maps,
            self._weights.ravel(),
            self.ids,
            best.reshape(-1),
            held.reshape(-1),
        )


class _LocalTerms(_CellTerms):
    """Those of a score with a mask that turns."""

    def __init__(
        self,
        ids: NDArray[np.int32],
        rotations: NDArray[np.float64],
        basis: Basis,
        masks: MaskBasis,
        maps: LocalMaps,
        windows: Array,
    ) -> None:
        super().__init__(ids, rotations)
        self._basis = basis
        self._masks = masks
        self._maps = maps
        self._windows = windows

    @property
    def shape(self) -> tuple[int, ...]:
        return self._maps.floor.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._maps.floor.dtype

    def terms(self, row: int) -> tuple[Array, Array | None, Window]:
        scores, held = np.full(self.shape, -np.inf, self.dtype), np.zeros(self.shape, np.int32)
        fold_local_cell(self._basis, self._masks, self._maps, self._windows, self.ids, scores, held, only=row)
        return scores, None, tuple((int(first), int(stop)) for first, stop in self._windows[row])

    def _fold(self, best: Array, held: Array) -> tuple[int, float, float]:
        return fold_local_cell(self._basis, self._masks, self._maps, self._windows, self.ids, best, held)


@singledispatch
def _fold_cell(analyzer: AbstractAnalyzer[Any, Any], state: Any, terms: _CellTerms) -> Any:
    """Fold the rotations of a cell into a state, score map by score map."""
    for row, rotation_id in enumerate(terms.ids.tolist()):
        state = fold_terms(analyzer, state, *terms.terms(row), terms.rotations[rotation_id], rotation_id)
    return state


@_fold_cell.register
def _(analyzer: AnalyzerProduct, state: Any, terms: _CellTerms) -> Any:
    if type(analyzer) is not AnalyzerProduct:
        return _fold_cell.dispatch(object)(analyzer, state, terms)
    return tuple(_fold_cell(part, held, terms) for part, held in zip(analyzer.analyzers, state, strict=True))


@_fold_cell.register
def _(analyzer: MaxScoreOverRotations, state: Any, terms: _CellTerms) -> Any:
    if not folds_in_place(analyzer, state, terms.dtype):
        return _fold_cell.dispatch(object)(analyzer, state, terms)
    with state.lock:
        terms.fold(state.scores, state.rotations)
    return state


@_fold_cell.register
def _(analyzer: ApproximateScoreMoments, state: Any, terms: _CellTerms) -> Any:  # noqa: ARG001
    return state + terms.all_moments()
