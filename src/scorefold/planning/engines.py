"""Choosing how score maps are made: the engine, and the cells of the compressed one, by what they cost here."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import AnalyzerProduct, ApproximateScoreMoments, MaxScoreOverRotations
from scorefold.errors import InputError
from scorefold.planning.calibration import Calibration, calibrate, engine_calibration, largest_tile
from scorefold.planning.job import SearchOptions
from scorefold.planning.memory import HELD_BASES, BasisSize
from scorefold.planning.plan import BASES_OF_A_PARTIAL
from scorefold.rotations import rotation_spacing
from scorefold.scoring.basis import MaskBasis
from scorefold.scoring.cell_filters import CellBases, CellFilters, check_compressible, search_cells
from scorefold.scoring.climbing import looking_bytes
from scorefold.scoring.compressed import CompressedEngine
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import FourierProvider
from scorefold.scoring.score import get_score
from scorefold.scoring.template import Template

ENGINES = ("exact", "compressed", "auto")

CELL_SIZES = {2: (4, 8, 16, 32), 3: (2, 3, 4, 5, 6, 8)}
"""Cell angles that are tried, in spacings of the rotation set, by dimension."""

TYPICAL_BATCH = 8
"""Tiles that share the transforms of a rotation or a basis, if there are so many."""

LARGEST_CELL = 500
"""Rotations of a cell, at most: the Gram matrix is of this size."""


def choose_engine(
    search: SearchOptions,
    template: Template,
    rotations: NDArray[np.float64],
    transforms: FourierProvider,
    fft_shape: tuple[int, ...],
    tiles: int = 1,
    check: Callable[[SearchOptions], Any] = lambda _: None,
) -> SearchOptions:
    """Return the search options with the engine, and its cells, decided.

    Parameters
    ----------
    search : SearchOptions
        The engine may be "auto"; the tolerance is that of the compressed engine. A `cell_angle` is kept.
    template : Template
        From `search_template`.
    rotations : ndarray, shape (n, d, d)
        The rotation set.
    transforms : FourierProvider
        Where transforms come from.
    fft_shape : tuple of int
        Shape of typical transforms.
    tiles : int
        Number of tiles of all targets: they share the bases.
    check : callable
        Raises `InputError` where some cells cannot be used; the fastest that can are taken.

    Raises
    ------
    InputError
        If the engine is unknown, or "compressed" and cannot do this search.
    """
    if search.engine not in ENGINES:
        raise InputError(f'engine "{search.engine}": unknown. Use one of {", ".join(ENGINES)}.')
    exact = replace(search, engine="exact", tolerance=None, cell_angle=None)
    if search.engine == "exact":
        return exact
    score = get_score(search.score)
    try:
        check_compressible(score, template)
    except InputError:
        if search.engine == "auto":
            return exact
        raise
    measured: dict[float, float] = {}
    refused: dict[float, InputError] = {}
    for angle in _angles(search, template, rotations):
        with _kept(refused, angle):
            measured[angle] = seconds_per_rotation(
                search, angle, template, rotations, transforms, fft_shape, tiles
            )
    limit = math.inf
    if search.engine == "auto":
        alone = calibrate(
            template, rotations, score, transforms, fft_shape, search.dtype, seconds=0.3, tiles=tiles
        )
        limit = alone.rotation / min(tiles, TYPICAL_BATCH) + alone.tile
    for angle in sorted((one for one in measured if measured[one] < limit), key=measured.__getitem__):
        chosen = replace(search, engine="compressed", cell_angle=angle)
        with _kept(refused, angle):
            check(chosen)
            return chosen
    if search.engine == "auto":
        return exact
    raise refused[min(refused)]


@contextmanager
def _kept(refused: dict[float, InputError], angle: float) -> Iterator[None]:
    """Keep why the cells of an angle cannot be used."""
    try:
        yield
    except InputError as error:
        refused[angle] = error


def _angles(search: SearchOptions, template: Template, rotations: NDArray[np.float64]) -> list[float]:
    """Return the cell angles to choose from, rounded so that they can be given again."""
    if search.cell_angle is not None:
        return [search.cell_angle]
    spacing, score = rotation_spacing(rotations), get_score(search.score)
    sizes = [float(np.clip(round(size * spacing, 1), 0.5, 90.0)) for size in CELL_SIZES[rotations.shape[1]]]
    usable = [
        angle
        for angle in dict.fromkeys(sizes)
        if search_cells(template, score, rotations, angle).largest <= LARGEST_CELL
    ]
    return usable or sizes[:1]


def seconds_per_rotation(
    search: SearchOptions,
    angle: float,
    template: Template,
    rotations: NDArray[np.float64],
    transforms: FourierProvider,
    fft_shape: tuple[int, ...],
    tiles: int = 1,
) -> float:
    """Measure what a rotation costs a tile in cells of an angle: its share of the basis, which all tiles share."""
    sample = CellSample(replace(search, cell_angle=angle), template, rotations, transforms, fft_shape, tiles)
    count = len(sample.filters.cells.ids(sample.cell))
    basis = sample.compress_seconds / sample.filters.cells.turns / tiles
    shared = basis + sample.calibration.rotation / min(tiles, TYPICAL_BATCH)
    return (shared + sample.calibration.tile) / count


def basis_size(search: SearchOptions, template: Template, rotations: NDArray[np.float64]) -> BasisSize:
    """Return how large the bases of a search are, judged by its largest cell.

    Raises
    ------
    InputError
        If that has too many rotations, or needs too many basis templates.
    ValueError
        If the search has no cells.
    """
    if search.cell_angle is None or search.tolerance is None:
        raise ValueError("a search without cells")
    score = get_score(search.score)
    cells = search_cells(template, score, rotations, search.cell_angle)
    if cells.largest > LARGEST_CELL:
        raise InputError(
            f"cell angle {search.cell_angle:g}: its largest cell has {cells.largest:,} rotations, more than "
            f"{LARGEST_CELL}. Use a smaller --cell-angle."
        )
    filters = CellFilters(template, rotations, score, cells)
    bases = filters.bases(cells.model(int(np.argmax(np.diff(cells.starts)))), search.tolerance)
    rank, finer_rank, mask_rank = (
        0 if one is None else one.rank + 1 + one.rank // 8  # other cells may need more
        for one in bases
    )
    voxels, models = 4 * int(filters.inside.sum()), len(cells) // cells.turns
    return BasisSize(
        rank,
        mask_rank,
        filters.same_masks,
        cell_bytes=cells.largest * voxels * (2 if mask_rank else 1),
        partial_bytes=BASES_OF_A_PARTIAL * (rank + mask_rank) * voxels,
        finer_bytes=BASES_OF_A_PARTIAL * finer_rank * voxels,
        held_bytes=sum(min(HELD_BASES, models * one * voxels) for one in (rank, finer_rank, mask_rank)),
        places_bytes=filters.places_bytes,
        looking_bytes=looking_bytes(filters),
    )


class CellSample:
    """A typical cell of a search, and what it costs on one core.

    Parameters
    ----------
    search : SearchOptions
        With cells.
    template, rotations, transforms
        As for `ExactEngine`.
    fft_shape : tuple of int
        Of the tile that is measured.
    tiles : int
        How many tiles share the bases.

    Attributes
    ----------
    filters : CellFilters
        The cells and their filters.
    cell : int
        A cell of median size, of which others may be turns.
    bases : CellBases
        Its bases.
    compress_seconds : float
        To make the basis, and no turn of it.
    calibration : Calibration
        To fold the cell: its filters' transforms once, and each tile.
    """

    def __init__(
        self,
        search: SearchOptions,
        template: Template,
        rotations: NDArray[np.float64],
        transforms: FourierProvider,
        fft_shape: tuple[int, ...],
        tiles: int = 1,
    ) -> None:
        if search.cell_angle is None or search.tolerance is None:
            raise ValueError("a search without cells")
        score = get_score(search.score)
        cells = search_cells(template, score, rotations, search.cell_angle)
        self.filters = CellFilters(template, rotations, score, cells)
        self.cell = cells.typical_model
        self.filters.of_rotation(0)  # compiles
        started = time.perf_counter()
        self.bases: CellBases = self.filters.bases(self.cell, search.tolerance)
        self.compress_seconds = time.perf_counter() - started
        exact = ExactEngine(
            template, rotations, score, transforms, fft_shape, dtype=search.dtype, pad_edges=True
        )

        def masks_of(cell: int) -> MaskBasis | None:
            masks = self.bases.masks
            return None if masks is None else self.filters.of_model(masks, cell)

        engine = CompressedEngine(
            exact, self.filters, lambda cell: self.filters.of_model(self.bases.coarse, cell), masks_of
        )
        tile = largest_tile(fft_shape, template.box)
        analyzer = AnalyzerProduct(
            MaxScoreOverRotations(tile.shape, rotations=rotations, dtype=search.dtype),
            ApproximateScoreMoments(),
        )
        self.calibration: Calibration = engine_calibration(
            engine, tile, analyzer, range(self.cell, self.cell + self.filters.same_masks), tiles=tiles
        )
