"""Exact scores where a synthesis from bases found high ones: the best rotations of voxels."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import compiled
from scorefold.scoring.basis import Basis, one_thread
from scorefold.scoring.cell_filters import CellFilters
from scorefold.scoring.score import TargetTile

Array = NDArray[Any]

NOISE_STDS = 3.5
"""Standard deviations of what noise does to the residual of a score that are allowed for.

One in two thousand scores of Gaussian noise is further off.
"""

CANDIDATE_STDS = 3.0
"""The same for positions that are judged by their best synthesised score alone.

Few copies lie barely above a threshold, and much noise barely below it.
"""

HELD_BYTES = 2**25
"""Memory for turned templates, which the voxels next to a candidate share, and as much for the rough parts of bases."""

ROUGH = 0.5
"""Residual of the parts of bases by which most cells are ruled out: a quarter of the vectors often leaves no more."""

ROUGH_STDS = 4.5
"""`NOISE_STDS` for them: of all rotations the best one gains from noise what they leave out."""

LEAST_RESIDUAL = 1e-3
"""Smaller ones are lost in the rounding of single precision."""

BLOCK_ROWS, BLOCK_BYTES = 128, 2**25
"""Basis templates that windows are multiplied with together, at most, and memory for them."""

VOXEL_PRODUCTS, TURN_PRODUCTS, GRID_PRODUCTS, GROUP_PRODUCTS = 500_000, 64, 8, 100_000
"""Products that take as long as all that is done once for a voxel, a voxel of a template that is turned, one that is
turned with the grid, and a group of rotations that are scored together (measured)."""

TOGETHER = 8
"""Rotations that are scored before the best so far is looked at; always as many, whose products round alike."""


def synthesis_slack(scores: Any, residual: Any, std: float, noise_stds: float = NOISE_STDS) -> Any:
    """Return how far a synthesised score is believed to be from the exact one, at most.

    A signal lacks half of the square of the residual; noise, whose scores have a standard deviation, changes it by the
    residual times that.

    Examples
    --------
    >>> round(float(synthesis_slack(0.5, residual=0.2, std=0.0)), 6)
    0.01
    """
    rho = np.maximum(residual, LEAST_RESIDUAL)
    return np.sqrt((rho**2 / 2 * np.maximum(scores, 0.0)) ** 2 + (noise_stds * rho * std) ** 2)


_slack = compiled(synthesis_slack)


def voxel_bytes(filters: CellFilters) -> int:
    """Return the memory for a voxel that is looked at.

    Its window and a copy, both with squares where masks turn; products; scores and bounds of cells.
    """
    cells = filters.cells
    windows = 8 * int(filters.inside.sum()) * (2 if filters.masks_turn else 1)
    return windows + 4 * BLOCK_ROWS + 9 * len(cells) + 32 * cells.largest


def held_bytes(filters: CellFilters, windows: int) -> int:
    """Return what a rescorer that looks at so many windows together may hold, beside whole bases and these.

    Turned templates, the rough parts of bases, turned windows, and a block of basis templates and its turn.
    """
    inside = 4 * int(filters.inside.sum())
    templates = inside * len(filters.rotations)
    of_masks = 2 if filters.masks_turn else 1
    turned = inside * of_masks * windows * filters.cells.turns
    block = max(min(BLOCK_BYTES, inside * BLOCK_ROWS), inside)
    return sum(min(HELD_BYTES, size) for size in (templates * of_masks, templates, turned)) + 2 * block


@dataclass(frozen=True, eq=False)
class BestScores:
    """The best exact scores of some voxels.

    Attributes
    ----------
    scores : ndarray of float64, shape (n,)
        Of all rotations; NaN where no rotation reaches what was asked for.
    rotations : ndarray of int32, shape (n,)
        Ids of the rotations that gave them; -1 where there is none.
    highest : ndarray of float64, shape (n,)
        What the exact scores are believed not to exceed.
    """

    scores: NDArray[np.float64]
    rotations: NDArray[np.int32]
    highest: NDArray[np.float64]


class Rescorer:
    """Finds the best exact score over all rotations of voxels at which a synthesis found high ones.

    The bases give approximate scores of all rotations at one position for the price of a few products. What they lack
    is known: with residual ρ, a score s of a signal lacks at most about ρ² s/2, and noise whose scores have standard
    deviation σ changes it by about ρ σ. Few vectors of the coarse bases rule out most cells, all of them most of the
    others; finer bases are looked at for the rest.
    Rotations are scored exactly in the order of these bounds, until the best exact score exceeds the next bound.

    Parameters
    ----------
    filters : CellFilters
        The cells of the rotation set.
    coarse, finer : callable
        Return the bases of a cell that others are turns of: that of the synthesis, and the one by which its finds are
        looked at. Bases are turned for its turns, or windows, whatever is less.
    std : float
        Standard deviation of all scores.
    """

    def __init__(
        self,
        filters: CellFilters,
        coarse: Callable[[int], Basis],
        finer: Callable[[int], Basis],
        *,
        std: float,
    ) -> None:
        self._products = 0
        self._filters = filters
        self._coarse = coarse
        self._finer = finer
        self._std = std
        self._held_rough: dict[int, Basis] = {}
        self._rough_bytes = 0
        held = max(TOGETHER, HELD_BYTES // (4 * int(filters.inside.sum())))
        self._filter = lru_cache(held)(filters.of_rotation)

    @property
    def products(self) -> int:
        """What all that was done so far takes, in products of two numbers, of which a core does ten in a nanosecond.

        It is counted, not timed, so that it is the same everywhere.
        """
        turned = self._filter.cache_info().misses
        return self._products + turned * TURN_PRODUCTS * int(self._filters.inside.sum())

    @property
    def voxel_bytes(self) -> int:
        """Memory for every voxel that is looked at."""
        return voxel_bytes(self._filters)

    def windows(self, places: Sequence[Sequence[int]], pixels: TargetTile) -> Any:
        """Return what lies under the mask at voxels, shape (n, v).

        Parameters
        ----------
        places : sequence of sequence of int
            The voxels, counted from the first of a tile.
        pixels : TargetTile
            The tile's pixels.
        """
        inside = self._filters.inside
        windows = np.empty((len(places), int(inside.sum())), np.float32)
        for row, place in zip(windows, places, strict=True):
            row[:] = pixels.cut(place, inside.shape).values[inside]
        return windows

    def best(self, windows: Any, weights: Array, synthesised: Array, at_least: Array) -> BestScores:
        """Return the best exact scores of voxels, as far as they are of interest.

        The rough part of every coarse basis is looked at once for all voxels.

        Parameters
        ----------
        windows
            What `windows` returned of the voxels.
        weights : ndarray, shape (n,)
            Factor between numerators and scores; NaN where there is no score.
        synthesised : ndarray, shape (n,)
            The best synthesised scores.
        at_least : ndarray, shape (n,)
            Scores below this are of no interest.
        """
        self._products += VOXEL_PRODUCTS * len(weights)
        signal = np.maximum(synthesised, at_least)
        with one_thread():
            highest, lowest = self._of_cells(windows, weights, signal)
            lowest = np.maximum(lowest, at_least)
            places, ids, bounds = self._promising(windows, weights, signal, highest, lowest)
            scores, rotations = np.full(len(weights), np.nan), np.full(len(weights), -1, np.int32)
            for place, first, stop in _runs(places):
                score, rotation = self._exact(
                    windows[place], weights[place], ids[first:stop], bounds[first:stop], at_least[place]
                )
                if rotation >= 0 and score >= at_least[place]:
                    scores[place], rotations[place] = score, rotation
        reachable = np.minimum(highest.max(axis=0), np.nextafter(at_least, -np.inf))
        return BestScores(scores, rotations, np.where(rotations < 0, reachable, scores))

    def _of_cells(self, windows: Any, weights: Array, signal: Array) -> tuple[Array, Array]:
        """Return how high the scores of each cell may be by the rough bases, and how low the best of all."""
        filters, cells = self._filters, self._filters.cells
        highest, lowest = np.full((len(cells), len(weights)), -np.inf), np.full(len(weights), -np.inf)
        # Few windows are turned once and for all.
        held = windows.nbytes * cells.turns <= HELD_BYTES
        turned = [self._turned_back(windows, turn) for turn in range(cells.turns if held else 0)]
        for bases in _blocks((model, self._rough(model)) for model in range(0, len(cells), cells.turns)):
            # One product for many bases: windows are too large to be read from memory for each.
            vectors = np.asfortranarray(np.concatenate([basis.vectors for _, basis in bases]))
            for turn in range(cells.turns):
                maps = vectors @ turned[turn].T if held else self._turned(vectors, turn) @ windows.T
                first = 0
                for model, basis in bases:
                    self._count(basis, len(weights))
                    own = filters.rows_of_model(basis, model + turn)
                    numerators = own.coefficients @ maps[first : first + basis.rank]
                    first += basis.rank
                    _extremes(
                        numerators,
                        weights,
                        signal,
                        own.residuals,
                        self._std,
                        ROUGH_STDS,
                        highest[model + turn],
                        lowest,
                    )
        return highest, lowest

    def _rough(self, model: int) -> Basis:
        """Return the leading part of a coarse basis: held for the first cells, as memory allows."""
        basis = self._held_rough.get(model)
        if basis is None:
            basis = self._coarse(model).leading(ROUGH)
            if self._rough_bytes + basis.vectors.nbytes <= HELD_BYTES:
                self._held_rough[model] = basis
                self._rough_bytes += basis.vectors.nbytes
        return basis

    def _turned(self, vectors: Array, turn: int) -> Array:
        self._products += GRID_PRODUCTS * vectors.size * (turn > 0)
        return self._filters.turned(vectors, turn)

    def _turned_back(self, windows: Any, turn: int) -> Any:
        self._products += GRID_PRODUCTS * windows.size * (turn > 0)
        return self._filters.turned_back(windows, turn)

    def _promising(
        self, windows: Any, weights: Array, signal: Array, highest: Array, lowest: Array
    ) -> tuple[Array, Array, Array]:
        """Return voxels, rotations that may be the best there, and how high their scores may be by the finer bases.

        They come in the order of voxels; of one voxel the highest bound first. What is known of cells, `highest`, and
        of the best scores, `lowest`, is made narrower.
        """
        pairs: list[tuple[Array, Array, Array]] = []
        cells = self._filters.cells
        for cell in np.flatnonzero((highest >= lowest).any(axis=1)).tolist():
            model, ids = cells.model(cell), cells.ids(cell)
            for basis in (self._coarse, self._finer):
                some = np.flatnonzero(highest[cell] >= lowest)
                if not some.size:  # others have turned out to be higher meanwhile
                    break
                low, bounds = self._bounds(cell, basis(model), windows[some], weights[some], signal[some])
                lowest[some] = np.maximum(lowest[some], low.max(axis=0))
                highest[cell, some] = np.minimum(highest[cell, some], bounds.max(axis=0))
            if not some.size:
                continue
            rows, columns = np.nonzero((bounds >= lowest[some]) & (bounds > -np.inf))
            pairs.append((some[columns], ids[rows], bounds[rows, columns]))
        if not pairs:
            return np.empty(0, np.intp), np.empty(0, np.int32), np.empty(0)
        places, ids, bounds = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        kept = bounds >= lowest[places]
        places, ids, bounds = places[kept], ids[kept], bounds[kept]
        order = np.lexsort((ids, -bounds, places))
        return places[order], ids[order], bounds[order]

    def _bounds(
        self,
        cell: int,
        basis: Basis,
        windows: Any,
        weights: Array,
        signal: Array,
        noise_stds: float = NOISE_STDS,
    ) -> tuple[Array, Array]:
        """Return how low and how high the scores of a cell's rotations may be at voxels; -inf where there is none.

        By the basis of its model: whatever is less is turned, that or the windows.
        """
        self._count(basis, len(weights))
        turned = self._of_cell
        if len(weights) < basis.rank:
            windows = self._turned_back(windows, cell % self._filters.cells.turns)
            turned = self._filters.rows_of_model
        basis = turned(basis, cell)
        low, high = self._scores(cell, basis, windows, weights, turned)
        rho = basis.residuals.astype(np.float64)[:, np.newaxis]
        above, below = (synthesis_slack(one, rho, self._std, noise_stds) for one in (signal, low))
        return low - below, high + above

    def _of_cell(self, basis: Basis, cell: int) -> Basis:
        self._products += GRID_PRODUCTS * basis.vectors.size * (cell % self._filters.cells.turns > 0)
        return self._filters.of_model(basis, cell)

    def _count(self, basis: Basis, voxels: int) -> None:
        self._products += voxels * (basis.vectors.size + basis.coefficients.size)

    def _scores(
        self,
        cell: int,  # noqa: ARG002
        basis: Basis,
        windows: Any,
        weights: Array,
        turned: Callable[[Basis, int], Basis],  # noqa: ARG002
    ) -> tuple[Array, Array]:
        """Return the scores of the rotations of a cell at voxels by its basis, -inf where there is none.

        The second ones are as high as they may be where weights are not known. `turned` returns another basis of the
        cell by that of its model, as fits the windows.
        """
        numerators = (basis.coefficients @ (basis.vectors @ windows.T)).astype(np.float64)
        scores = np.where(np.isnan(weights), -np.inf, numerators * weights)
        return scores, scores

    def _exact(
        self, window: Any, weight: Any, ids: Array, bounds: Array, at_least: float
    ) -> tuple[float, int]:
        """Return the best of the exact scores of some rotations, given in the order of their bounds, and its id."""
        best, held = -np.inf, -1
        for start in range(0, len(ids), TOGETHER):
            if bounds[start] < max(best, at_least):
                break
            self._products += GROUP_PRODUCTS
            some = ids[start : start + TOGETHER].tolist()
            for rotation_id, score in zip(some, self._exact_scores(some, window, weight), strict=False):
                if score > best or (score == best and rotation_id < held):
                    best, held = score, rotation_id
        return best, held

    def _exact_scores(self, ids: list[int], window: Any, weight: Any) -> list[float]:
        """Return the exact scores of up to `TOGETHER` rotations at a voxel."""
        self._products += TOGETHER * len(window)
        filters = np.zeros((TOGETHER, len(window)), np.float32)
        for row, rotation_id in zip(filters, ids, strict=False):
            row[:] = self._filter(rotation_id)
        scores: list[float] = ((filters @ window) * weight).tolist()
        return scores


def _blocks(bases: Iterable[tuple[int, Basis]]) -> Iterator[list[tuple[int, Basis]]]:
    """Yield cells and their bases, as many together as a product of matrices likes."""
    block: list[tuple[int, Basis]] = []
    for cell, basis in bases:
        rows = sum(each.rank for _, each in block) + basis.rank
        if block and (rows > BLOCK_ROWS or rows * basis.vectors[:1].nbytes > BLOCK_BYTES):
            yield block
            block = []
        block.append((cell, basis))
    yield block


@compiled
def _extremes(
    numerators: Array,
    weights: Array,
    signal: Array,
    residuals: Array,
    std: float,
    noise_stds: float,
    highest: Array,
    lowest: Array,
) -> None:
    """Raise how high scores may be, and how low the best may be, by the synthesised ones of a cell."""
    for row in range(numerators.shape[0]):
        rho = np.float64(residuals[row])
        for place in range(numerators.shape[1]):
            if np.isnan(weights[place]):
                continue
            score = np.float64(numerators[row, place]) * weights[place]
            highest[place] = max(highest[place], score + _slack(signal[place], rho, std, noise_stds))
            lowest[place] = max(lowest[place], score - _slack(score, rho, std, noise_stds))


def _runs(places: Array) -> Iterator[tuple[int, int, int]]:
    """Yield every place with where it begins and ends among sorted ones."""
    unique, starts = np.unique(places, return_index=True)
    stops = np.append(starts, len(places))[1:]
    yield from zip(unique.tolist(), starts.tolist(), stops.tolist(), strict=True)
