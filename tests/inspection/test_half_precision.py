"""Rounding to half precision beside NumPy's."""

import numpy as np

from scorefold.inspection.half_precision import LARGEST_SCORE, to_half


def test_numbers_of_single_precision_are_rounded_as_numpy_does_it():
    # Every 997th bit pattern, and all those around which the rule changes.
    patterns = np.arange(0, 2**32, 997, dtype=np.uint32)
    edges = np.array(
        [0, 1, 0x3300_0000, 0x387F_E000, 0x3880_0000, 0x477F_E000, 0x477F_F000, 0x7F80_0000], np.uint32
    )
    around = (edges[:, np.newaxis] + np.arange(-9000, 9000)).astype(np.uint32).ravel()
    both = np.concatenate([patterns, around, around | np.uint32(1 << 31)])
    values = both.view(np.float32)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    found = to_half(values)
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(found[numbers].view(np.uint16), expected[numbers].view(np.uint16))
    assert (found[~numbers].view(np.uint16) == np.float16(np.nan).view(np.uint16)).all()


def test_shape_and_memory_order_do_not_matter():
    values = np.random.default_rng(0).normal(size=(5, 6, 2)).astype(np.float32)
    for given in (values, values.T, values[::2, ::-1], values[:0], values[0, 0, 0]):
        np.testing.assert_array_equal(to_half(given), given.astype(np.float16))
        assert to_half(given).dtype == np.float16


def test_the_largest_score_is_the_largest_number_and_what_is_half_way_to_the_next_is_infinite():
    assert np.finfo(np.float16).max == LARGEST_SCORE
    assert np.isinf(to_half(np.array([65520.0], np.float32))).all()
