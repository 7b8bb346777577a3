"""Colours: robust contrast, opacity that grows with the score, hatching where there is no image."""

import matplotlib as mpl
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scorefold.rendering.colour import (
    SCORE_COLOUR_MAP,
    contrast_limits,
    dimmed,
    gray_picture,
    score_limits,
    score_picture,
)

any_float = st.floats(-1e6, 1e6, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])


@settings(deadline=None)  # a busy machine is no failure
@given(arrays(np.float32, st.tuples(st.integers(0, 8), st.integers(0, 8)), elements=any_float))
def test_limits_always_increase(values):
    low, high = contrast_limits(values)
    assert low < high
    assert np.isfinite([low, high]).all()
    low, high = score_limits(values, threshold=3.0)
    assert low < high
    assert low <= 3.0 <= high


def test_a_hot_pixel_does_not_darken_the_picture():
    image = np.random.default_rng(0).normal(size=(100, 100))
    expected = np.percentile(image, [1, 99])
    image[3, 3] = 1e9
    np.testing.assert_allclose(contrast_limits(image), expected, atol=0.1)  # one of 10⁴ ranks moves


def test_limits_fall_back_to_the_extremes_where_the_percentiles_coincide():
    image = np.zeros((100, 100))
    image[3, 3] = 7.0
    assert contrast_limits(image) == (0.0, 7.0)
    assert contrast_limits(np.full(5, 2.0)) == (1.5, 2.5)


def test_gray_is_linear_between_the_limits_and_clipped_outside():
    picture = gray_picture([[-5.0, 0.0, 1.0, 2.0, 9.0]], (0.0, 2.0))
    assert picture[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert (picture == picture[..., :1]).all()


def test_missing_values_are_hatched_in_two_light_grays():
    picture = gray_picture(np.full((16, 16), np.nan), (0.0, 1.0))
    assert set(np.unique(picture)) == {198, 226}
    image = np.zeros((16, 16))
    image[:, 8:] = np.nan
    picture = gray_picture(image, (0.0, 1.0))
    assert (picture[:, :8] == 0).all()
    assert (picture[:, 8:] >= 198).all()


def test_colours_without_ground_are_the_map_of_matplotlib():
    scores = np.linspace(0.0, 1.0, 256)[np.newaxis]
    expected = mpl.colormaps[SCORE_COLOUR_MAP](scores, bytes=True)[..., :3]
    # Matplotlib cuts 255 × value where we round: at most one step.
    assert np.abs(score_picture(scores, (0.0, 1.0)).astype(int) - expected).max() <= 1


def test_opacity_grows_with_the_score_and_starts_at_none():
    scores = np.linspace(0.0, 1.0, 50)[np.newaxis]
    dark = score_picture(scores, (0.0, 1.0), np.zeros((1, 50, 3), np.uint8)).astype(float)
    light = score_picture(scores, (0.0, 1.0), np.full((1, 50, 3), 255, np.uint8)).astype(float)
    transparency = (light - dark).mean(axis=2)[0]
    assert transparency[0] == 255
    assert (np.diff(transparency) <= 0.5).all()  # bytes are rounded
    assert transparency[-1] < 30


def test_scores_that_are_not_finite_leave_the_ground_as_it_is():
    ground = np.full((1, 2, 3), 77, np.uint8)
    np.testing.assert_array_equal(score_picture([[np.nan, -np.inf]], (0.0, 1.0), ground), ground)


def test_dimming_keeps_the_order_of_grays():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2)
    dark = dimmed(ramp)
    assert dark.max() < 140
    assert (np.diff(dark[0, :, 0].astype(int)) >= 0).all()
