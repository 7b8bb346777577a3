"""Polarity: which sign of a score counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from scorefold.errors import InputError
from scorefold.inspection.polarity import magnitude


@given(hnp.arrays(np.float16, 12))
def test_both_is_the_larger_of_bright_and_dark(scores):
    bright, dark = magnitude(scores, "bright"), magnitude(scores, "dark")
    np.testing.assert_array_equal(magnitude(scores), np.maximum(bright, dark))
    np.testing.assert_array_equal(dark, magnitude(-scores, "bright"))
    assert bright.dtype == scores.dtype
    assert not (bright < 0).any()


def test_an_unknown_polarity_is_named():
    with pytest.raises(InputError, match='polarity "up"'):
        magnitude(np.zeros(1), "up")
