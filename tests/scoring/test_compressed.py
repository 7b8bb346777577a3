"""The compressed engine beside the exact one: equal without tolerance, within the residual with it."""

import numpy as np
import pytest

from scorefold.analyzer import (
    AnalyzerProduct,
    ApproximateScoreMoments,
    ScoreMoments,
)
from scorefold.errors import InputError
from scorefold.rotations import plane_rotations, rotation_cells, space_rotations
from scorefold.scoring.basis import LARGEST_RANK, Principal
from scorefold.scoring.cell_filters import FINER, FINER_MASKS, CellFilters, check_compressible, search_cells
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import get_score
from scorefold.scoring.template import Template

# Sums of a few hundred products and of up to 64 maps in single precision, over scores of size 1.
ROUNDING = 2e-5

SEARCHES = ("FLCSphericalMask", "NCC", "CAM", "FLC")

LOCAL = ("FLCSphericalMask", "FLC")


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("ndim", [2, 3])
def test_without_tolerance_the_maximum_is_the_exact_engines(ndim, name, a_search):
    search = a_search(ndim, name, tiles=2)
    maps = search.score_maps()
    ordered = np.sort(np.where(np.isnan(maps), -np.inf, maps), axis=0)
    found = search.compressed(0.0, search.maximum)
    scores = np.concatenate([result.scores for result in found])
    ids = np.concatenate([result.rotations for result in found])
    scored = np.isfinite(ordered[-1])
    assert 0.05 < scored.mean() < 1
    np.testing.assert_array_equal(ids >= 0, scored)
    np.testing.assert_allclose(
        scores[scored], ordered[-1][scored], atol=ROUNDING * np.nanmax(np.abs(maps[:, scored]))
    )
    clear = scored.copy()
    clear[scored] = ordered[-1][scored] - ordered[-2][scored] > 1e-3
    assert clear.sum() > 0.5 * scored.sum()
    np.testing.assert_array_equal(ids[clear], np.where(np.isnan(maps), -np.inf, maps).argmax(axis=0)[clear])


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_positions_beyond_the_edge_are_scored_if_asked_for(ndim, name, a_search):
    search = a_search(ndim, name, pad_edges=True)
    (exact,) = search.exactly(search.maximum)
    (found,) = search.compressed(0.0, search.maximum)
    assert (exact.rotations >= 0).all()
    np.testing.assert_allclose(found.scores, exact.scores, atol=ROUNDING)


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_no_score_is_off_by_more_than_the_residual_of_its_rotation(ndim, name, a_search):
    search = a_search(ndim, name)
    exact, found = (
        search.score_maps(),
        search.score_maps(0.3),
    )
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    residuals = np.empty(len(search.rotations))
    ranks = []
    for cell in range(len(search.cells)):
        basis = search.filters.bases(cell, 0.3)[0]
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
@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_the_fused_path_finds_what_the_score_maps_hold(ndim, name, tolerance, a_search):
    search = a_search(ndim, name)
    (fused,) = search.compressed(
        tolerance, lambda tile: AnalyzerProduct(search.maximum(tile), ApproximateScoreMoments())
    )
    maximum, moments = fused
    maps = search.score_maps(tolerance)
    ranked = np.where(np.isnan(maps), -np.inf, maps)
    scored = np.isfinite(ranked).any(axis=0)
    np.testing.assert_array_equal(maximum.scores[scored], ranked.max(axis=0)[scored])
    np.testing.assert_array_equal(maximum.rotations[scored], ranked.argmax(axis=0)[scored])
    np.testing.assert_array_equal(maximum.rotations[~scored], -1)
    values = maps[np.isfinite(maps)].astype(float)
    assert moments.count == values.size
    # Sums over rotations come from single-precision sums of coordinates and of their squares.
    assert moments.scores.mean == pytest.approx(values.mean(), abs=1e-6)
    assert moments.scores.variance == pytest.approx(values.var(), rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"use_memmap": True}, {"jax_mode": True}, {"rotations": None}],
    ids=["memmap", "functional", "no set"],
)
def test_a_maximum_that_cannot_be_folded_in_place_gets_score_maps(options, a_search):
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


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_cells_in_any_order_and_any_parts_give_the_same_bytes(ndim, name, a_search):
    search = a_search(ndim, name, tiles=2)

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


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_statistics_are_those_of_the_exact_engine_within_a_percent(ndim, name, a_search):
    search = a_search(
        ndim, name, pad_edges=(ndim, name) == (3, "FLC")
    )  # of few positions a sample tells little
    (exact,) = search.exactly(lambda _: ScoreMoments())
    (found,) = search.compressed(0.3, lambda _: ApproximateScoreMoments())
    assert found.count == exact.count
    # Sums as long as their templates vary as these do, before the sample says how much.
    assert found.scores.std == pytest.approx(exact.std, rel=0.01)
    assert found.std == pytest.approx(exact.std, rel=0.01)
    assert found.mean == pytest.approx(exact.mean, abs=0.01 * exact.std)


@pytest.mark.parametrize("name", ["CC", "LCC", "MCC"])
def test_scores_that_are_not_linear_in_the_template_are_refused(name, a_search):
    template = a_search(2).template
    with pytest.raises(InputError, match=f"^engine compressed: score {name} .* Use --engine exact[^\n]*$"):
        check_compressible(get_score(name), template)


def test_a_mask_that_turns_with_the_template_is_refused():
    rotations = plane_rotations(30.0)
    template = Template(np.random.default_rng(0).normal(size=(7, 9)), np.ones((7, 9)), rotations)
    with pytest.raises(
        InputError, match=r"^engine compressed: with score NCC the mask .* Use --score FLC[^\n]*$"
    ):
        CellFilters(template, rotations, get_score("NCC"), rotation_cells(rotations, 90))


@pytest.mark.parametrize("tolerance", [0.0, 0.3])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_finer_basis_holds_the_coarse_one_and_leaves_less_out(ndim, tolerance, a_search):
    search = a_search(ndim)
    for cell in range(len(search.cells)):
        coarse, finer, _ = search.filters.bases(cell, tolerance)
        filters = np.stack([search.filters.of_rotation(i) for i in search.cells.ids(cell)])
        alone = Principal(filters).compressed(tolerance)
        np.testing.assert_array_equal(coarse.vectors, alone.vectors)
        common = coarse.vectors @ finer.vectors.T
        np.testing.assert_allclose(common @ common.T, np.eye(coarse.rank), atol=1e-4)
        assert np.sqrt(np.mean(finer.residuals**2)) <= tolerance / FINER + 1e-3


def test_a_finer_basis_is_as_fine_as_ranks_allow():
    rotations = plane_rotations(0.5)
    noise = np.random.default_rng(0).normal(size=(141, 141))
    template = Template(noise, template_mask("disk", noise.shape), rotations)
    filters = CellFilters(template, rotations, get_score("NCC"), rotation_cells(rotations, 90))
    coarse, finer, _ = filters.bases(0, 0.1)
    assert coarse.rank < finer.rank == LARGEST_RANK
    assert finer.residuals.mean() > 0.1 / FINER


@pytest.mark.parametrize(("ndim", "size"), [(2, 21), (2, 16), (3, 11), (3, 12)])
def test_cells_that_are_turns_share_a_basis(ndim, size):
    rotations = plane_rotations(5) if ndim == 2 else space_rotations(30)
    template = Template(
        np.random.default_rng(0).normal(size=(size,) * ndim),
        template_mask("sphere", (size,) * ndim),
        rotations,
    )
    cells = search_cells(template, get_score("NCC"), rotations, 45.0)
    assert cells.turns == (4 if ndim == 2 else 24)
    filters = CellFilters(template, rotations, get_score("NCC"), cells)
    for cell in range(len(cells)):
        finer = filters.bases(cells.model(cell), 0.3)[1]
        basis = filters.of_model(finer, cell)
        exact = np.stack([filters.of_rotation(i) for i in cells.ids(cell)])
        off = np.linalg.norm(exact - basis.coefficients @ basis.vectors, axis=1)
        np.testing.assert_allclose(off / np.linalg.norm(exact, axis=1), basis.residuals, atol=1e-3)
        assert basis.residuals.max() < 0.2


@pytest.mark.parametrize("ndim", [2, 3])
def test_masks_that_turn_have_the_supports_and_the_basis_of_their_turns(ndim):
    rotations = plane_rotations(5) if ndim == 2 else space_rotations(30)
    shape, score = (9, 7, 11)[:ndim], get_score("FLC")
    template = Template(np.random.default_rng(0).normal(size=shape), np.ones(shape), rotations)
    cells = search_cells(template, score, rotations, 45.0)
    assert cells.turns == (4 if ndim == 2 else 24)
    filters = CellFilters(template, rotations, score, cells)
    for cell in range(0, len(cells), 5):
        masks = filters.of_model(filters.bases(cells.model(cell), 0.3).masks, cell)
        _, exact, supports = zip(*(filters.with_mask(int(i)) for i in cells.ids(cell)), strict=True)
        np.testing.assert_array_equal(masks.supports, supports)
        off = np.linalg.norm(exact - masks.coefficients @ masks.vectors, axis=1)
        np.testing.assert_allclose(off / np.linalg.norm(exact, axis=1), masks.residuals, atol=1e-3)
        np.testing.assert_allclose(masks.totals, np.sum(exact, axis=1), rtol=0.01)
        assert np.sqrt(np.mean(masks.residuals**2)) <= 0.3 / FINER_MASKS + 1e-3


@pytest.mark.parametrize("tiles", [1, 2])
@pytest.mark.parametrize(("mask", "same"), [("uneven", 1), ("half", 2), ("quarter", 4)])
def test_masks_that_a_turn_leaves_as_they_are_are_transformed_once(a_search, monkeypatch, mask, same, tiles):
    search = a_search(2, "FLC", tiles=tiles, turned=True, mask=mask)
    assert (search.filters.same_masks, search.cells.turns) == (same, 4)
    assert a_search(3, "FLC", turned=True, mask="half").filters.same_masks == 1
    assert a_search(2, "FLC", mask=mask).filters.same_masks == 1, "no cell is a turn of another"
    ranks = [search.filters.bases(model, 0.3).masks.rank for model in range(0, len(search.cells), 4)]
    counted = []
    local_sums = type(search.score).local_sums
    monkeypatch.setattr(
        type(search.score), "local_sums", lambda *args: counted.append(1) or local_sums(*args)
    )

    def found(cells=None):
        counted.clear()
        return search.compressed(0.3, search.maximum, cells), len(counted) - 2 * tiles

    together, sums = found()
    assert sums == sum(ranks) * 4 // same * tiles
    cells = list(range(len(search.cells)))
    for order in (cells[1::2] + cells[::2], cells[::-1]):
        apart, sums = found(order)
        assert sums == sum(ranks) * 4 * tiles, "the cell before had others"
        for one, other in zip(together, apart, strict=True):
            assert one.scores.tobytes() == other.scores.tobytes()
            assert one.rotations.tobytes() == other.rotations.tobytes()
    monkeypatch.setitem(search.filters.__dict__, "same_masks", 1)
    for one, other in zip(together, found()[0], strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=ROUNDING)


@pytest.mark.parametrize("name", ["NCC", "FLC"])
@pytest.mark.parametrize("case", ["box", "mask", "rotations"])
def test_cells_are_on_their_own_where_a_turn_changes_more_than_the_template(case, name):
    shape = (12, 13) if case == "box" else (13, 13)
    rotations = plane_rotations(8) if case == "rotations" else plane_rotations(5)
    mask = template_mask("disk", shape, radius=5.0)
    if case == "mask":
        mask[6, 0] = mask[0, 6] = 5e-4  # still a disk, within its tolerance
    template = Template(np.random.default_rng(0).normal(size=shape), mask, rotations)
    assert template.invariant
    assert search_cells(template, get_score(name), rotations, 45.0).turns == 1
