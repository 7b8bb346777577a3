"""Statistics by pixel and by position agree with direct float64 evaluation."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scorefold.analyzer import DefectDensity, FeatureGaussian, PixelHistogram, PixelMoments
from scorefold.errors import InputError

compiling = settings(deadline=None)  # the first call compiles

LARGEST = 2**31 - 1


def folded(analyzer, images, valid=None):
    state = analyzer.init_state()
    for index, image in enumerate(images):
        keywords = {} if valid is None else {"valid": valid[index]}
        state = analyzer(state, image, **keywords)
    return analyzer.result(state)


def masked(images, valid):
    return np.where(valid, images, np.nan).astype(float)


@pytest.fixture(params=[0, 1])
def stack(request):
    rng = np.random.default_rng(request.param)
    return rng.integers(0, 40, (9, 5, 6)), rng.random((9, 5, 6)) < 0.7


def test_mean_and_variance_of_pixels(stack):
    images, valid = stack
    valid[2:] |= valid.sum(axis=0) < 2
    moments = folded(PixelMoments((5, 6)), images, valid)
    # Both sides round a handful of operations.
    np.testing.assert_allclose(moments.mean, np.nanmean(masked(images, valid), axis=0), rtol=1e-14)
    np.testing.assert_allclose(
        moments.variance(), np.nanvar(masked(images, valid), axis=0, ddof=1), rtol=1e-13
    )


@compiling
@given(column=st.lists(st.integers(-LARGEST, LARGEST), min_size=2, max_size=30))
def test_variance_does_not_cancel_nor_overflow(column):
    """Σx² of such levels passes 2⁶³ after two images."""
    moments = folded(PixelMoments((1,)), [np.array([level]) for level in column])
    mean = Fraction(sum(column), len(column))
    exact = sum((level - mean) ** 2 for level in column) / (len(column) - 1)
    if exact < Fraction(2**63, len(column)):  # as promised
        assert moments.variance()[0] == pytest.approx(float(exact), rel=1e-14)
    assert moments.mean[0] == pytest.approx(float(mean), rel=1e-14)


@compiling
@given(offset=st.integers(0, LARGEST - 3))
def test_variance_of_neighbouring_levels_far_from_zero(offset):
    images = [np.array([offset + step]) for step in (1, 2, 2, 3)]
    # 2/3 with one rounding in a subtraction and one in a division.
    assert folded(PixelMoments((1,)), images).variance()[0] == pytest.approx(2 / 3, rel=1e-15)


def test_leaving_one_out_is_never_having_seen_it(stack):
    images, valid = stack
    without = folded(PixelMoments((5, 6)), images, valid).without(images[3], valid[3])
    others = folded(PixelMoments((5, 6)), np.delete(images, 3, 0), np.delete(valid, 3, 0))
    for name in ("count", "total", "total_of_squares"):
        np.testing.assert_array_equal(getattr(without, name), getattr(others, name))


def test_pixels_never_seen_have_no_moments():
    moments = folded(PixelMoments((1, 2)), [np.array([[3, 4]])] * 2, np.array([[[True, False]]] * 2))
    np.testing.assert_array_equal(moments.mean, [[3, np.nan]])
    np.testing.assert_array_equal(moments.variance(), [[0, np.nan]])
    np.testing.assert_array_equal(moments.variance(ddof=2), [[np.nan, np.nan]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64])
def test_any_type_of_whole_numbers(dtype):
    image = np.array([[1, 200]], dtype)
    np.testing.assert_array_equal(folded(PixelMoments((1, 2)), [image]).total_of_squares, [[1, 40000]])


def test_nan_may_be_marked_not_valid():
    image, valid = np.array([[1.0, np.nan]]), np.array([[True, False]])
    np.testing.assert_array_equal(folded(PixelMoments((1, 2)), [image], [valid]).total, [[1, 0]])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.array([[0.5, 1]]), "fractions"),
        (np.array([[np.nan, 1]]), "NaN"),
        (np.array([[2**31, 1]]), "coarser"),
        (np.array([[-(2**31), 1]]), "coarser"),
        (np.array([[1j, 1]]), "complex"),
        (np.zeros((2, 1)), r"\(2, 1\)"),
    ],
)
def test_images_off_the_grid_are_refused(image, message):
    with pytest.raises(InputError, match=message):
        folded(PixelMoments((1, 2)), [image])


@compiling
@given(images=arrays(np.uint8, (6, 2, 3), elements=st.integers(0, 15)), valid=arrays(np.bool_, (6, 2, 3)))
def test_median_and_mad_of_pixels(images, valid):
    levels = folded(PixelHistogram((2, 3), bins=16), images, valid)
    for place in np.ndindex(2, 3):
        values = images[:, *place][valid[:, *place]]
        median = np.median(values) if values.size else np.nan
        deviation = np.median(np.abs(values - median)) if values.size else np.nan
        np.testing.assert_equal(levels.median()[place], median)
        np.testing.assert_equal(levels.mad()[place], deviation)


def test_levels_out_of_the_histogram_are_refused():
    with pytest.raises(InputError, match="0 to 7"):
        folded(PixelHistogram((1, 2), bins=8), [np.array([[0, 8]])])
    with pytest.raises(InputError, match="0 to 7"):
        folded(PixelHistogram((1, 2), bins=8), [np.array([[-1, 7]])])
    with pytest.raises(InputError, match="bins 0"):
        PixelHistogram((1, 2), bins=0)


def test_mean_and_covariance_of_features():
    rng = np.random.default_rng(3)
    features = rng.integers(-1000, 1000, (7, 4, 3)) + 10**6
    valid = np.ones((7, 4), bool)
    valid[4:, 1] = valid[1:, 2] = valid[:, 3] = False
    sums = folded(FeatureGaussian(4, 3), features, valid)
    np.testing.assert_array_equal(sums.count, [7, 4, 1, 0])
    for position in (0, 1):
        seen = features[valid[:, position], position]
        np.testing.assert_allclose(sums.mean[position], seen.mean(axis=0), rtol=1e-15)
        expected = np.cov(seen.astype(float), rowvar=False) + 0.25 * np.eye(3)
        # NumPy subtracts a rounded mean of size 1e6: deviations to 1e-10, in sums of products of size 1e6.
        np.testing.assert_allclose(sums.covariance(0.25)[position], expected, rtol=1e-9)
    assert np.isnan(sums.covariance()[2:]).all()
    np.testing.assert_array_equal(sums.mean[3], np.nan)


def test_covariance_refuses_a_negative_regularization():
    with pytest.raises(InputError, match="-1"):
        folded(FeatureGaussian(1, 1), [np.array([[1]])]).covariance(-1)


def test_density_counts_masks():
    masks = [np.array([[0, 255]], np.uint8), np.array([[True, True]]), np.array([[np.nan, 0.5]])]
    np.testing.assert_array_equal(folded(DefectDensity((1, 2)), masks).counts, [[1, 3]])
    with pytest.raises(InputError, match=r"\(2, 1\)"):
        folded(DefectDensity((1, 2)), [np.zeros((2, 1))])
