"""Sums without rounding, and the mean and variance made of them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from scorefold.analyzer import ExactSum, Moments, ScoreMoments, score_sums
from scorefold.errors import InputError

finite = st.floats(allow_nan=False, allow_infinity=False)
moderate = st.floats(-1e100, 1e100)


@given(values=st.lists(finite, max_size=20))
def test_exact_sum_is_the_sum_of_fractions(values):
    total = sum(map(ExactSum.of, values), ExactSum())
    assert Fraction(total.units, 1 << 1074) == sum(map(Fraction, values))


@given(values=st.lists(moderate, max_size=20))
def test_value_is_rounded_once_like_fsum(values):
    assert sum(map(ExactSum.of, values), ExactSum()).value == math.fsum(values)


@given(values=st.lists(finite, max_size=5))
def test_limbs_round_trip(values):
    total = sum(map(ExactSum.of, values), ExactSum())
    limbs = total.to_limbs()
    assert (limbs.dtype, limbs.shape) == (np.uint64, (34,))
    assert ExactSum.from_limbs(limbs) == total


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_has_no_exact_sum(value):
    with pytest.raises(InputError, match="not finite"):
        ExactSum.of(value)


def test_limbs_of_another_length_are_refused():
    with pytest.raises(InputError, match="expected"):
        ExactSum.from_limbs(np.zeros(3, dtype=np.uint64))


score_arrays = arrays(np.float32, array_shapes(max_dims=3, max_side=20), elements=st.floats(-2, 2, width=32))


@settings(deadline=None)  # the first call compiles
@given(scores=score_arrays)
def test_score_sums_are_sums_within_rounding(scores):
    count, total, total_of_squares = score_sums(scores)
    values = scores.astype(np.float64).ravel()
    # n additions in float64, each within half a unit in the last place of a partial sum of at most n * 4.
    tolerance = scores.size**2 * 4 * np.finfo(np.float64).eps
    assert count == scores.size
    assert total == pytest.approx(math.fsum(values), abs=tolerance)
    assert total_of_squares == pytest.approx(math.fsum(values**2), abs=tolerance)


@settings(deadline=None)  # the first call compiles
@given(scores=score_arrays)
def test_score_sums_do_not_depend_on_memory_layout(scores):
    expected = score_sums(scores)
    assert score_sums(np.asfortranarray(scores)) == expected
    assert score_sums(np.repeat(scores, 2, axis=-1)[..., ::2]) == expected
    assert score_sums(scores.astype(np.float64)) == expected


def test_score_sums_skip_what_is_not_finite():
    scores = np.array([[np.nan, 1, -np.inf], [2, np.inf, np.nan]], dtype=np.float32)
    assert score_sums(scores) == (2, 3.0, 5.0)


def fold(maps, analyzer=None):
    analyzer = analyzer or ScoreMoments()
    state = analyzer.init_state()
    for scores in maps:
        state = analyzer(state, scores=scores, rotation_matrix=np.eye(2))
    return analyzer.result(state)


def test_mean_and_variance_agree_with_numpy():
    maps = [np.random.default_rng(seed).normal(5, 2, (40, 50)) for seed in range(4)]
    moments = fold(maps)
    assert moments.count == 8000
    # Both sides round sums of 8000 numbers of size 30: relative error far below 1e-12.
    assert moments.mean == pytest.approx(np.mean(maps), rel=1e-12)
    assert moments.variance == pytest.approx(np.var(maps), rel=1e-12)
    assert moments.std == pytest.approx(np.std(maps), rel=1e-12)


def test_variance_does_not_cancel():
    # Σ²/n − (Σ/n)² in float64 would lose all digits: 1e16 carries a unit of 2.
    assert fold([np.array([1e8, 1e8 + 2])]).variance == 1.0
    assert fold([np.full(3, 0.1)]).variance == pytest.approx(0, abs=1e-17)
    assert fold([np.full(7, 0.1)]).variance >= 0


def test_no_score_has_no_mean():
    moments = fold([np.full((2, 2), np.nan)])
    assert moments == Moments()
    assert math.isnan(moments.mean)
    assert math.isnan(moments.variance)
    assert math.isnan(moments.std)


def test_shape_is_checked_if_given():
    with pytest.raises(InputError, match=r"\(2, 3\)"):
        fold([np.zeros((3, 2))], ScoreMoments((2, 3)))


def test_scores_too_large_for_squares_are_refused():
    with pytest.raises(InputError, match="too large"):
        fold([np.array([1e200])])
