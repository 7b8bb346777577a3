"""Brightness changes are found whatever a quarter of the image shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from scorefold.errors import InputError
from scorefold.inspection.gain_offset import GainOffset, fit_gain_offset

REFERENCE = data.camera()[::4, ::4].astype(float)


@given(st.floats(0.3, 3), st.floats(-50, 50), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_planted_changes_are_found_behind_noise_and_defects(gain, offset, seed):
    rng = np.random.default_rng(seed)
    image = (REFERENCE - offset) / gain + rng.normal(0, 2, REFERENCE.shape)
    y, x = rng.integers(0, 64, 2)
    sign = rng.choice([-1, 1])
    image[y : y + 56, x : x + 56] += sign * rng.uniform(100, 300, (56, 56)) / gain  # a fifth of the image
    fit = fit_gain_offset(image, REFERENCE)
    # The standard error of the slope is 2 / (70 · √13000) = 0.03 %; what a defect leaves is of that order.
    assert fit.gain == pytest.approx(gain, rel=0.01)
    inside = np.array([REFERENCE.min(), REFERENCE.max()])
    back = fit.apply((inside - offset) / gain)
    assert np.abs(back - inside).max() < 2.0


def test_noise_does_not_flatten_the_line():
    """Fitting the reference to a noisy image by least squares gives half the gain here."""
    rng = np.random.default_rng(0)
    reference = rng.normal(100, 5, (300, 300))
    fit = fit_gain_offset(reference + rng.normal(0, 5, reference.shape), reference)
    assert fit.gain == pytest.approx(1, abs=0.03)


def test_pixels_that_are_not_valid_do_not_count():
    image, valid = REFERENCE / 2, np.ones(REFERENCE.shape, bool)
    image[:100], valid[:100] = 7, False  # four fifths
    image[110] = np.nan
    assert fit_gain_offset(image, REFERENCE, valid) == pytest.approx((2, 0), abs=1e-9)


@pytest.mark.parametrize(
    ("image", "reference", "expected"),
    [
        (np.full((4, 4), 10.0), REFERENCE[:4, :4], GainOffset(1, float(np.median(REFERENCE[:4, :4])) - 10)),
        (REFERENCE[:4, :4], np.full((4, 4), 10.0), GainOffset(1, 10 - float(np.median(REFERENCE[:4, :4])))),
        (255 - REFERENCE, REFERENCE, GainOffset(1, float(np.median(2 * REFERENCE - 255)))),
        (np.full((4, 4), np.nan), np.ones((4, 4)), GainOffset(1, 0)),
        (np.array([[3.0]]), np.array([[5.0]]), GainOffset(1, 2)),
    ],
    ids=["constant image", "constant reference", "inverted", "nothing valid", "one pixel"],
)
def test_where_no_gain_can_be_told_there_is_only_an_offset(image, reference, expected):
    assert fit_gain_offset(image, reference) == pytest.approx(expected)


def test_shapes_must_agree():
    with pytest.raises(InputError, match=r"image of shape \(2, 2\)"):
        fit_gain_offset(np.ones((2, 2)), np.ones((2, 3)))
