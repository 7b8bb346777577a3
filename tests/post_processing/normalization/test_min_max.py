"""Min-max normalisation: the formula, its precision, lazily, and statistics that mean nothing."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorefold.errors import InputError
from scorefold.post_processing.normalization import min_max

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1), finite, finite, st.floats(1e-3, 1e6))
def test_scores_lie_within_zero_to_one_around_the_threshold(scores, threshold, low, span):
    normalized = min_max.normalize(scores, threshold, low, low + span)
    assert ((normalized >= 0) & (normalized <= 1)).all()
    above = np.asarray(scores) > threshold
    assert (normalized[above] >= 0.5).all()
    assert (normalized[~above] <= 0.5).all()
    assert min_max.normalize(threshold, threshold, low, low + span) == 0.5


def test_the_formula_holds_for_numbers_and_for_statistics_of_each_pixel():
    rng = np.random.default_rng(7)
    maps, low = rng.normal(size=(3, 5, 6)), rng.normal(size=(5, 6)) - 3
    high, threshold = low + rng.uniform(4, 6, size=(5, 6)), rng.normal(size=(5, 6))
    for statistics in ((threshold, low, high), (0.3, -2.0, 2.5)):
        middle, bottom, top = statistics
        expected = np.clip((maps - middle) / (top - bottom) + 0.5, 0, 1)
        np.testing.assert_array_equal(min_max.normalize(maps, *statistics), expected)


@pytest.mark.parametrize(
    ("dtype", "result"),
    [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64), (np.uint8, np.float64)],
)
def test_precision_is_that_of_the_scores_and_at_least_single(dtype, result):
    statistics = (np.float64(1), np.float64(0), np.float64(2))  # as NumPy's reductions return them
    assert min_max.normalize(np.ones(3, dtype), *statistics).dtype == result


def test_values_that_are_not_finite():
    normalized = min_max.normalize([np.nan, np.inf, -np.inf], 0, -1, 1)
    np.testing.assert_array_equal(normalized, [np.nan, 1, 0])


def test_lazy_scores_stay_lazy():
    scores = np.random.default_rng(8).normal(size=(9, 10)).astype(np.float32)
    lazy = min_max.normalize(da.from_array(scores, chunks=(4, 3)), 0.1, -2, 2)
    assert isinstance(lazy, da.Array)
    assert lazy.dtype == np.float32
    np.testing.assert_array_equal(lazy.compute(), min_max.normalize(scores, 0.1, -2, 2))


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ((0, 1, 1), r"min not less than max \(1.0 and 1.0\)"),
        ((0, 2, 1), "min not less than max"),
        ((0, np.zeros(3), np.array([1, 1, 0])), "at some pixels"),
        ((np.nan, 0, 1), "threshold nan"),
        ((0, 0, np.inf), "max inf"),
    ],
)
def test_degenerate_statistics_are_refused(statistics, message):
    with pytest.raises(InputError, match=message):
        min_max.normalize(np.zeros(3), *statistics)


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(InputError, match="real numbers"):
        min_max.normalize(["high"], 0, 0, 1)
