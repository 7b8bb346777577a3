"""Keys keep the order of scores, and their bins are as narrow as promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.analyzer import key_values, order_keys
from scorefold.analyzer.statistics import rounded_threshold
from scorefold.errors import InputError

compiling = settings(deadline=None)  # the first call compiles

ALL_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
HALVES = np.unique(ALL_HALVES[~np.isnan(ALL_HALVES)])  # sorted; -0.0 and 0.0 are one

singles = st.floats(width=32, allow_nan=False)


def test_every_half_precision_number_has_its_own_key_and_gets_it_back():
    keys = order_keys(HALVES)
    assert keys.dtype == np.uint16
    assert (np.diff(keys.astype(int)) > 0).all()
    for upper in (False, True):
        np.testing.assert_array_equal(key_values(keys, np.float16, upper=upper), HALVES)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_negative_zero_is_zero(dtype):
    assert order_keys(dtype(-0.0)) == order_keys(dtype(0.0))
    assert key_values(order_keys(dtype(-0.0)), dtype) == 0


@compiling
@given(first=singles, second=singles)
def test_order_and_equality_are_kept(first, second):
    first_key, second_key = order_keys([first, second])
    assert (first_key < second_key, first_key == second_key) == (first < second, first == second)


@compiling
@given(value=singles)
def test_single_precision_numbers_come_back(value):
    assert key_values(order_keys(value), np.float32) == value


@compiling
@given(value=singles, dropped_bits=st.integers(1, 31))
def test_a_score_lies_in_its_bin_and_bins_leave_no_gap(value, dropped_bits):
    key = order_keys(value) >> dropped_bits
    lower, upper = (
        key_values(key, np.float32, dropped_bits=dropped_bits, upper=upper) for upper in (False, True)
    )
    assert lower <= value <= upper
    assert order_keys(lower) >> dropped_bits == order_keys(upper) >> dropped_bits == key
    if upper < np.inf:
        beyond = np.nextafter(upper, np.float32(np.inf))
        assert order_keys(beyond) >> dropped_bits == key + 1
        assert key_values(key + 1, np.float32, dropped_bits=dropped_bits) == beyond


def test_what_has_no_order_is_refused():
    with pytest.raises(InputError, match="complex"):
        order_keys(np.zeros(2, complex))
    with pytest.raises(InputError, match="float64"):
        key_values([1], np.float64)


def test_thresholds_are_rounded_to_the_type_of_the_scores():
    assert rounded_threshold(0.1, np.float16) == np.float16(0.1)
    assert rounded_threshold(-np.inf, np.float32) == -np.inf
    with pytest.raises(InputError, match="65504"):
        rounded_threshold(1e6, np.float16)
    with pytest.raises(InputError, match="nan"):
        rounded_threshold(np.nan, np.float32)
