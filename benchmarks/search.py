"""A search of one target as a single tile, by either engine, and what a rotation of it takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from benchmarks.measuring import Timer, alternate, seconds_per_call
from scorefold.analyzer import AnalyzerProduct, ApproximateScoreMoments, MaxScoreOverRotations
from scorefold.rotations import RotationCells
from scorefold.scoring.cell_filters import CellBases, CellFilters, search_cells
from scorefold.scoring.compressed import CompressedEngine
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import provider
from scorefold.scoring.score import TargetTile, choose_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

Array = NDArray[Any]

CELLS = 24
"""Cells that are folded for one measurement."""


@dataclass(frozen=True)
class Search:
    """A target and a template, and how an engine searches the one for the other as a single tile."""

    target: Array
    template: Array
    mask: Array
    rotations: Array
    score: str
    fft: str = "scipy"
    pad_edges: bool = False

    @cached_property
    def engine(self) -> ExactEngine:
        """The exact engine for the target."""
        template = Template(self.template, self.mask, self.rotations)
        extra = [b - 1 if self.pad_edges else 0 for b in template.box]
        shape = tuple(next_fast_len(n + e, real=True) for n, e in zip(self.target.shape, extra, strict=True))
        return ExactEngine(
            template,
            self.rotations,
            choose_score(self.score, invariant=template.invariant),
            provider(self.fft, provider(self.fft).learn([shape], template.box, ["float32", "float64"])),
            shape,
            pad_edges=self.pad_edges,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the transforms."""
        return tuple(
            n + b - 1
            for n, b in zip(self.engine.correlator.valid_shape, self.engine.template.box, strict=True)
        )

    def tile(self) -> tuple[Tile, TargetTile]:
        """Return the tile and its pixels."""
        box = self.engine.template.box
        extra = [b - 1 if self.pad_edges else 0 for b in box]
        positions = tuple(n + e - b + 1 for n, e, b in zip(self.target.shape, extra, box, strict=True))
        values = (self.target - self.target.mean()) / self.target.std()
        padded = np.pad(values, [(e // 2, e - e // 2) for e in extra])
        return Tile((0,) * values.ndim, positions, positions), TargetTile(padded, None, 0.0, 1.0)


def rotation_timer(search: Search, calls: int) -> Timer:
    """Return what measures one rotation of the exact engine, after two that are not counted."""
    tile, pixels = search.tile()
    analyzer = MaxScoreOverRotations(tile.shape, rotations=search.rotations)
    batch = search.engine.prepare([tile], [pixels], [analyzer])
    states = [analyzer.init_state()]
    for rotation_id in range(2):
        states = batch.fold(rotation_id, states)
    ids = iter(range(2, 10**9))

    def once() -> None:
        nonlocal states
        states = batch.fold(next(ids) % len(search.rotations), states)

    return lambda: seconds_per_call(once, calls)


@dataclass(frozen=True)
class CellSearch:
    """A search by the compressed engine: its cells, and what their bases leave out."""

    search: Search
    angle: float
    tolerance: float

    @cached_property
    def filters(self) -> CellFilters:
        """The cells' filters."""
        engine = self.search.engine
        return CellFilters(
            engine.template,
            self.search.rotations,
            engine.score,
            search_cells(engine.template, engine.score, self.search.rotations, self.angle),
        )

    @property
    def cells(self) -> RotationCells:
        """The cells."""
        return self.filters.cells

    def describe(self) -> str:
        """Return rank, size and residual of a cell of median size."""
        cell = self.cells.typical_model
        basis, _, masks = self.filters.bases(cell, self.tolerance)
        residual = float(np.sqrt(np.mean(basis.residuals.astype(float) ** 2)))
        of_masks = f", of masks {masks.rank}" if masks else ""
        return (
            f"cells of {self.angle:g}°, rank {basis.rank} of {len(self.cells.ids(cell))}{of_masks}, "
            f"residual {residual:.2f}"
        )

    def timer(self, cells: int = CELLS) -> Timer:
        """Return what measures a rotation, its share of the basis included, over some whole cells.

        One of them has a rotation that is scored exactly too, as one cell of so many has in a run, if there are enough.
        """
        tile, pixels = self.search.tile()
        analyzer = AnalyzerProduct(
            MaxScoreOverRotations(tile.shape, rotations=self.search.rotations), ApproximateScoreMoments()
        )
        filters, models = self.filters, dict[int, CellBases]()

        def of_cell(kind: str) -> Callable[[int], Any]:
            return lambda cell: filters.of_model(getattr(models[self.cells.model(cell)], kind), cell)

        engine = CompressedEngine(self.search.engine, filters, of_cell("coarse"), of_cell("masks"))
        batch = engine.prepare([tile], [pixels], [analyzer])
        states = [analyzer.init_state()]
        first = self.cells.model(len(self.cells) // 2 // engine.sampled_every * engine.sampled_every)
        some = [(first + i) % len(self.cells) for i in range(min(cells, len(self.cells)))]
        rotations = sum(len(self.cells.ids(cell)) for cell in some)
        needed = {self.cells.model(cell) for cell in some}
        share = min(1.0, len(some) / len(needed) / self.cells.turns)

        def make_bases() -> None:
            models.update({model: filters.bases(model, self.tolerance) for model in needed})

        make_bases()
        states = batch.fold(some[0], states)

        def seconds() -> float:
            nonlocal states
            making = seconds_per_call(make_bases, 1)
            start = time.perf_counter()
            for cell in some:
                states = batch.fold(cell, states)
            return (making * share + time.perf_counter() - start) / rotations

        return seconds


def fastest_cells(search: Search, tolerance: float, angles: list[float]) -> CellSearch:
    """Return the search by cells of the angle that is the fastest in short tries, as the planner does."""
    candidates = {angle: CellSearch(search, angle, tolerance) for angle in angles}
    tried = alternate({str(angle): one.timer(cells=4) for angle, one in candidates.items()}, repeats=3)
    return candidates[min(angles, key=lambda angle: tried[str(angle)])]
