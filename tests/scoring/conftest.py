"""Property tests that a busy machine cannot fail: examples may take their time; and a search by either engine."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from scorefold.analyzer import AbstractAnalyzer, MaxScoreOverRotations, RotationTable
from scorefold.rotations import plane_rotations, rotation_cells, space_rotations
from scorefold.scoring.cell_filters import CellFilters
from scorefold.scoring.compressed import CompressedEngine
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import provider
from scorefold.scoring.local import LocalScores, VoxelWeights, room_at
from scorefold.scoring.local_rescoring import LocalRescorer
from scorefold.scoring.masks import template_mask
from scorefold.scoring.rescoring import Rescorer
from scorefold.scoring.score import get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile
from scorefold.testing.planting import chain_density

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


class ScoreMaps(AbstractAnalyzer):
    """A third party's analyzer, which knows score maps alone and keeps them all."""

    def init_state(self):
        return {}

    def __call__(self, state, scores, rotation_matrix, *, rotation_id=None, **kwargs):
        return {**state, rotation_id: scores.copy()}

    def result(self, state, **kwargs):
        return state

    def merge(self, results, **kwargs):
        return {number: scores for result in results for number, scores in (result or {}).items()}

    def resume(self, result):
        return result

    def to_arrays(self, result):
        return {str(number): scores for number, scores in result.items()}

    def from_arrays(self, arrays):
        return {int(number): scores for number, scores in arrays.items()}

    shareable = False


def cut(mask, *ends):
    """Return a mask without some of its rows at both ends."""
    mask[: ends[0]] = 0
    mask[len(mask) - ends[1] :] = 0
    return mask


MASKS = {
    "uneven": lambda ball: cut(ball, 3 * len(ball) // 10, 0),
    "half": lambda ball: cut(np.ones_like(ball), 2, 2),
    "quarter": np.ones_like,
}
"""Masks by how far they are turned until they are the same: never, by half a turn, or by a quarter."""


class Search:
    """Noise that is searched for a template of detail, in one tile or in two, by either engine."""

    def __init__(
        self,
        ndim,
        name="FLCSphericalMask",
        *,
        tiles=1,
        pad_edges=False,
        dtype="float32",
        turned=False,
        mask="uneven",
    ):
        rng = np.random.default_rng(3)
        self.shape = (40, 34) if ndim == 2 else (17, 15, 16)
        self.target = rng.normal(size=self.shape)
        if ndim == 2:
            self.rotations, self.angle, values = plane_rotations(9.0), 40.0, rng.normal(size=(11, 11))
        else:
            self.rotations, self.angle = space_rotations(45), 90.0
            values = chain_density(rng, 8, blur=0.8)
        score = get_score(name)
        ball = template_mask("sphere", values.shape)
        mask = MASKS[mask](ball) if name == "FLC" else ball
        self.score = score
        self.template = Template(score.template_values(values), mask, self.rotations)
        self.cells = rotation_cells(self.rotations, self.angle, turned=turned)
        length = -(-self.shape[0] // tiles)
        self.tiles = [
            Tile(
                (start, *[0] * (ndim - 1)), (min(length, self.shape[0] - start), *self.shape[1:]), self.shape
            )
            for start in range(0, self.shape[0], length)
        ]
        fft_shape = tuple(
            n + b - 1 for n, b in zip((length, *self.shape[1:]), self.template.box, strict=True)
        )
        self.exact = ExactEngine(
            self.template, self.rotations, score, provider(), fft_shape, dtype=dtype, pad_edges=pad_edges
        )
        self.filters = CellFilters(self.template, self.rotations, score, self.cells)
        self.pixels = [
            tile.read(
                lambda region: self.target[region],
                self.template.box,
                mean=float(self.target.mean()),
                std=float(self.target.std()),
                margin=score.margin,
                pad_edges=pad_edges,
            )
            for tile in self.tiles
        ]

    def maximum(self, tile, **options):
        return MaxScoreOverRotations(
            tile.shape,
            offset=tile.start,
            dtype=self.exact.correlator.dtype,
            **{"rotations": RotationTable(self.rotations), "score_threshold": -np.inf, **options},
        )

    def run(self, engine, steps, analyzer_of):
        """Return the results of all tiles after all steps."""
        analyzers = [analyzer_of(tile) for tile in self.tiles]
        states = [analyzer.init_state() for analyzer in analyzers]
        batch = engine.prepare(self.tiles, self.pixels, analyzers)
        for step in steps:
            states = batch.fold(step, states)
        return [analyzer.result(state) for analyzer, state in zip(analyzers, states, strict=True)]

    def exactly(self, analyzer_of):
        return self.run(self.exact, range(len(self.rotations)), analyzer_of)

    def compressed(self, tolerance, analyzer_of, cells=None):
        filters, bases = self.filters, self._bases(tolerance)
        engine = CompressedEngine(
            self.exact,
            filters,
            lambda cell: filters.of_model(bases(cell).coarse, cell),
            lambda cell: filters.of_model(bases(cell).masks, cell) if filters.masks_turn else None,
        )
        return self.run(engine, range(len(self.cells)) if cells is None else cells, analyzer_of)

    def _bases(self, tolerance):
        """Return what returns the bases of a cell's model."""
        of_model = cache(lambda model: self.filters.bases(model, tolerance))
        return lambda cell: of_model(self.cells.model(cell))

    def rescorer(self, tolerance, std):
        """Return what scores voxels of the first tile exactly, and the weights that it wants to know of them."""
        bases = self._bases(tolerance)
        given = self.filters, lambda cell: bases(cell).coarse, lambda cell: bases(cell).finer
        everywhere = self.exact.everywhere
        if self.filters.masks_turn:
            return (
                LocalRescorer(*given, lambda cell: bases(cell).masks, std=std),
                lambda voxels: room_at(voxels, self.template.box, self.shape, everywhere=everywhere),
            )
        local = LocalScores(self.template, self.score, dtype="float32", pad_edges=everywhere)
        return Rescorer(*given, std=std), VoxelWeights(local, self.tiles[0], self.pixels[0])

    def score_maps(self, tolerance=None):
        """Return the score maps of all rotations, exact or synthesised, tiles put together."""
        found = (
            self.exactly(lambda _: ScoreMaps())
            if tolerance is None
            else self.compressed(tolerance, lambda _: ScoreMaps())
        )
        return np.concatenate([np.stack([maps[i] for i in sorted(maps)]) for maps in found], axis=1)


@pytest.fixture(scope="session")
def a_search():
    """Make searches, each once: ``a_search(ndim, name="FLCSphericalMask", tiles=1, pad_edges=False)``."""
    return cache(Search)
