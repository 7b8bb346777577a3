"""The kernel that folds whole cells, against sums in double precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorefold.scoring.synthesis import BLOCK, fold_cell, sum_of_maps


def cell(rank, count, positions, seed=0):
    rng = np.random.default_rng(seed)
    coefficients = np.linalg.qr(rng.normal(size=(max(count, rank), rank)))[0][:count].astype(np.float32)
    maps = rng.normal(size=(rank, positions)).astype(np.float32)
    weights = rng.uniform(0.5, 2, positions).astype(np.float32)
    ids = np.sort(rng.choice(10_000, count, replace=False)).astype(np.int32)
    return coefficients, maps, weights, ids


def empty_state(positions, threshold=-np.inf):
    return np.full(positions, threshold, np.float32), np.full(positions, -1, np.int32)


def oracle(coefficients, maps, weights):
    """Return the scores of all rotations, (n, p), in double precision."""
    return (coefficients.astype(float) @ maps.astype(float)) * weights


@pytest.mark.parametrize(
    ("rank", "count", "positions"),
    [(1, 1, 1), (1, 5, BLOCK), (2, 4, BLOCK - 1), (3, 7, 2 * BLOCK + 17), (8, 21, BLOCK + 1), (16, 18, 300)],
)
def test_the_best_of_a_cell_is_that_of_all_its_scores(rank, count, positions):
    coefficients, maps, weights, ids = cell(rank, count, positions)
    best, held = empty_state(positions)
    number, total, squares = fold_cell(coefficients, maps, weights, ids, best, held)
    scores = oracle(coefficients, maps, weights)
    # Sums of up to 16 products of size 1 in single precision.
    np.testing.assert_allclose(best, scores.max(axis=0), atol=1e-5)
    ordered = np.sort(scores, axis=0)
    clear = (ordered[-1] - ordered[-2] > 1e-4) if count > 1 else np.ones(positions, bool)
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(held[clear], ids[scores.argmax(axis=0)][clear])
    assert number == scores.size
    # Each position's sums are rounded in single precision; over positions they are added in double.
    assert total == pytest.approx(scores.sum(), abs=1e-5 * np.abs(scores).sum())
    if count >= rank and np.allclose(coefficients.T @ coefficients, np.eye(rank), atol=1e-6):
        assert squares == pytest.approx((scores**2).sum(), rel=1e-5)


@given(data=st.data())
def test_of_equal_scores_the_lowest_id_wins_in_any_order_of_cells(data):
    """Whole numbers: sums are exact, and there are many ties."""
    positions, rank = data.draw(st.sampled_from([1, 5, 300])), data.draw(st.sampled_from([1, 2, 5]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    maps = rng.integers(-2, 3, (rank, positions)).astype(np.float32)
    weights = rng.integers(0, 3, positions).astype(np.float32)
    coefficients = rng.integers(-1, 2, (11, rank)).astype(np.float32)
    order = rng.permutation(11)
    cells = [np.sort(part) for part in np.split(order, [4, 5])]
    threshold = data.draw(st.sampled_from([-np.inf, 0.0, -1.0]))
    expected = (coefficients @ maps) * weights
    for sequence in (cells, cells[::-1]):
        best, held = empty_state(positions, threshold)
        for ids in sequence:
            fold_cell(coefficients[ids], maps, weights, ids.astype(np.int32), best, held)
        np.testing.assert_array_equal(best, np.maximum(expected.max(axis=0), threshold))
        first = np.where(expected.max(axis=0) > threshold, expected.argmax(axis=0), -1)
        np.testing.assert_array_equal(held, first)


def test_nothing_is_scored_without_a_weight():
    coefficients, maps, weights, ids = cell(4, 6, 500)
    weights[::3] = np.nan
    best, held = empty_state(500, 0.25)
    number, total, squares = fold_cell(coefficients, maps, weights, ids, best, held)
    np.testing.assert_array_equal(best[::3], np.float32(0.25))
    np.testing.assert_array_equal(held[::3], -1)
    scored = ~np.isnan(weights)
    scores = oracle(coefficients, maps[:, scored], weights[scored])
    assert number == scores.size
    assert total == pytest.approx(scores.sum(), abs=1e-5 * np.abs(scores).sum())
    assert squares == pytest.approx((scores**2).sum(), rel=1e-5)
    assert (held[scored] >= 0).any()


def test_where_the_weight_is_zero_all_score_alike_and_the_lowest_id_wins():
    coefficients, maps, weights, ids = cell(3, 9, 260)
    weights[40:80] = 0
    best, held = empty_state(260)
    fold_cell(coefficients, maps, weights, ids, best, held)
    np.testing.assert_array_equal(best[40:80], 0)
    np.testing.assert_array_equal(held[40:80], ids[0])


@pytest.mark.parametrize("rank", [1, 5, 12])
def test_one_rotation_has_the_sum_of_the_maps(rank):
    coefficients, maps, *_ = cell(rank, 3, 2 * BLOCK + 5)
    found = sum_of_maps(coefficients[1], maps)
    np.testing.assert_allclose(found, coefficients[1].astype(float) @ maps.astype(float), atol=1e-5)


def test_a_cell_of_one_rotation_scores_as_its_map_alone():
    coefficients, maps, weights, ids = cell(6, 1, 700)
    best, held = empty_state(700)
    fold_cell(coefficients, maps, weights, ids, best, held)
    np.testing.assert_array_equal(best, sum_of_maps(coefficients[0], maps) * weights)
