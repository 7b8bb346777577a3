"""The compressed engine beside the exact one: equal without tolerance, within the residual with it."""

from functools import cache

import numpy as np
import pytest

from scorefold.analyzer import (
    AbstractAnalyzer,
    AnalyzerProduct,
    ApproximateScoreMoments,
    MaxScoreOverRotations,
    RotationTable,
    ScoreMoments,
)
from scorefold.errors import InputError
from scorefold.rotations import plane_rotations, rotation_cells, space_rotations
from scorefold.scoring.compressed import CellFilters, CompressedEngine, check_compressible
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import provider
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile
from scorefold.testing.planting import chain_density

# Sums of a few hundred products and of up to 64 maps in single precision, over scores of size 1.
ROUNDING = 2e-5

SEARCHES = ("FLCSphericalMask", "NCC", "CAM")


class Search:
    """Noise that is searched for a template of detail, in one tile or in two, by either engine."""

    def __init__(self, ndim, name="FLCSphericalMask", *, tiles=1, pad_edges=False, dtype="float32"):
        rng = np.random.default_rng(3)
        self.shape = (40, 34) if ndim == 2 else (17, 15, 16)
        self.target = rng.normal(size=self.shape)
        if ndim == 2:
            self.rotations, self.angle, values = plane_rotations(9.0), 40.0, rng.normal(size=(11, 11))
        else:
            self.rotations, self.angle = space_rotations(45), 75.0
            values = chain_density(rng, 8, blur=0.8)
        score = get_score(name)
        mask = template_mask("sphere", values.shape)
        self.template = Template(score.template_values(values), mask, self.rotations)
        self.cells = rotation_cells(self.rotations, self.angle)
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
        engine = CompressedEngine(self.exact, self.filters, lambda cell: self.filters.basis(cell, tolerance))
        return self.run(engine, range(len(self.cells)) if cells is None else cells, analyzer_of)


@cache
def a_search(*arguments, **options):
    return Search(*arguments, **options)


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


def all_maps(results):
    """Return the score maps of one tile, in the order of their ids."""
    (result,) = results
    return np.stack([result[number] for number in sorted(result)])


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("ndim", [2, 3])
def test_without_tolerance_the_maximum_is_the_exact_engines(ndim, name):
    search = a_search(ndim, name, tiles=2)
    maps = np.concatenate(
        [np.stack([m[i] for i in sorted(m)]) for m in search.exactly(lambda _: ScoreMaps())], 1
    )
    ordered = np.sort(maps, axis=0)
    found = search.compressed(0.0, search.maximum)
    scores = np.concatenate([result.scores for result in found])
    ids = np.concatenate([result.rotations for result in found])
    scored = np.isfinite(ordered[-1])
    assert 0.2 < scored.mean() < 1
    np.testing.assert_array_equal(ids >= 0, scored)
    np.testing.assert_allclose(
        scores[scored], ordered[-1][scored], atol=ROUNDING * np.abs(maps[:, scored]).max()
    )
    clear = scored & (ordered[-1] - ordered[-2] > 1e-3)
    assert clear.sum() > 0.5 * scored.sum()
    np.testing.assert_array_equal(ids[clear], maps.argmax(axis=0)[clear])


@pytest.mark.parametrize("ndim", [2, 3])
def test_positions_beyond_the_edge_are_scored_if_asked_for(ndim):
    search = a_search(ndim, pad_edges=True)
    (exact,) = search.exactly(search.maximum)
    (found,) = search.compressed(0.0, search.maximum)
    assert (exact.rotations >= 0).all()
    np.testing.assert_allclose(found.scores, exact.scores, atol=ROUNDING)


@pytest.mark.parametrize("ndim", [2, 3])
def test_no_score_is_off_by_more_than_the_residual_of_its_rotation(ndim):
    search = a_search(ndim)
    exact, found = (
        all_maps(search.exactly(lambda _: ScoreMaps())),
        all_maps(search.compressed(0.3, lambda _: ScoreMaps())),
    )
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    residuals = np.empty(len(search.rotations))
    ranks = []
    for cell in range(len(search.cells)):
        basis = search.filters.basis(cell, 0.3)
        residuals[search.cells.ids(cell)] = basis.residuals
        ranks.append(basis.rank)
    assert max(ranks) < search.cells.largest, "nothing was left out"
    errors = np.nanmax(np.abs(found - exact), axis=tuple(range(1, ndim + 1)))
    assert (errors <= residuals + ROUNDING).all()
    assert errors.max() > 100 * ROUNDING
    # On noise errors are random: far below the bound that a target made for it would reach.
    spread = np.sqrt(np.nanmean((found - exact) ** 2) / np.nanmean(exact**2))
    assert spread == pytest.approx(np.sqrt(np.mean(residuals**2)), rel=0.2)


@pytest.mark.parametrize("tolerance", [0.0, 0.3])
@pytest.mark.parametrize("ndim", [2, 3])
def test_the_fused_path_finds_what_the_score_maps_hold(ndim, tolerance):
    search = a_search(ndim)
    (fused,) = search.compressed(
        tolerance, lambda tile: AnalyzerProduct(search.maximum(tile), ApproximateScoreMoments())
    )
    maximum, moments = fused
    maps = all_maps(search.compressed(tolerance, lambda _: ScoreMaps()))
    scored = np.isfinite(maps[0])
    np.testing.assert_array_equal(maximum.scores[scored], maps.max(axis=0)[scored])
    np.testing.assert_array_equal(maximum.rotations[scored], maps.argmax(axis=0)[scored])
    np.testing.assert_array_equal(maximum.rotations[~scored], -1)
    values = maps[:, scored].astype(float)
    assert moments.count == values.size
    # Sums over rotations come from single-precision sums of coordinates and of their squares.
    assert moments.scores.mean == pytest.approx(values.mean(), abs=1e-6)
    assert moments.scores.variance == pytest.approx(values.var(), rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"use_memmap": True}, {"jax_mode": True}, {"rotations": None}],
    ids=["memmap", "functional", "no set"],
)
def test_a_maximum_that_cannot_be_folded_in_place_gets_score_maps(options):
    search = a_search(3)
    (fused,) = search.compressed(0.3, search.maximum)
    (plain,) = search.compressed(0.3, lambda tile: search.maximum(tile, **options))
    np.testing.assert_array_equal(plain.scores, fused.scores)
    held = fused.rotations >= 0
    np.testing.assert_array_equal(plain.rotations >= 0, held)
    found, expected = (
        [result.mapping[i] for i in result.rotations[held].tolist()] for result in (plain, fused)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("ndim", [2, 3])
def test_cells_in_any_order_and_any_parts_give_the_same_bytes(ndim):
    search = a_search(ndim, tiles=2)

    def analyzer_of(tile):
        return AnalyzerProduct(search.maximum(tile), ApproximateScoreMoments())

    def as_bytes(results):
        arrays = [
            analyzer_of(tile).to_arrays(result) for tile, result in zip(search.tiles, results, strict=True)
        ]
        return [{name: array.tobytes() for name, array in one.items()} for one in arrays]

    expected = as_bytes(search.compressed(0.3, analyzer_of))
    shuffled = np.random.default_rng(0).permutation(len(search.cells)).tolist()
    assert as_bytes(search.compressed(0.3, analyzer_of, shuffled)) == expected
    parts = [search.compressed(0.3, analyzer_of, shuffled[part::3]) for part in range(3)]
    merged = [analyzer_of(tile).merge([part[i] for part in parts]) for i, tile in enumerate(search.tiles)]
    assert as_bytes(merged) == expected


@pytest.mark.parametrize("ndim", [2, 3])
def test_statistics_are_those_of_the_exact_engine_within_a_percent(ndim):
    search = a_search(ndim)
    (exact,) = search.exactly(lambda _: ScoreMoments())
    (found,) = search.compressed(0.3, lambda _: ApproximateScoreMoments())
    assert found.count == exact.count
    # What the residual takes is a few percent of the deviation; the sample gives it back.
    assert found.scores.std < 0.99 * exact.std
    assert found.std == pytest.approx(exact.std, rel=0.01)
    assert found.mean == pytest.approx(exact.mean, abs=0.01 * exact.std)


@pytest.mark.parametrize("name", ["CC", "LCC", "FLC", "MCC"])
def test_scores_that_are_not_linear_in_the_template_are_refused(name):
    template = a_search(2).template
    with pytest.raises(InputError, match=f"^engine compressed: score {name} .* Use --engine exact[^\n]*$"):
        check_compressible(get_score(name), template)


def test_a_mask_that_turns_with_the_template_is_refused():
    rotations = plane_rotations(30.0)
    template = Template(np.random.default_rng(0).normal(size=(7, 9)), np.ones((7, 9)), rotations)
    with pytest.raises(InputError, match=r"^engine compressed: the mask changes .* Use --mask disk[^\n]*$"):
        CellFilters(template, rotations, get_score("NCC"), rotation_cells(rotations, 90))
