"""The variation model: scores as defined, tolerance to small shifts, and images compared with all others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats
from skimage.morphology import disk

from scorefold.errors import InputError
from scorefold.inspection.half_precision import LARGEST_SCORE
from scorefold.inspection.variation import MAD_TO_DEVIATION, VariationModel


def random_model(rng, shape=(23, 31), **options):
    valid = rng.random(shape) > 0.1
    return VariationModel(rng.uniform(50, 200, shape), rng.uniform(0, 20, shape), valid, **options)


def direct_scores(model, image):
    """Evaluate the definition in double precision, pixel by pixel."""
    mean, spread = model.mean.astype(float), model.spread.astype(float)
    t = np.maximum(model.absolute, model.factor * spread)
    upper, lower = np.where(model.valid, mean + t, -np.inf), np.where(model.valid, mean - t, np.inf)
    footprint = disk(model.tolerance).astype(bool)
    upper = ndimage.maximum_filter(upper, footprint=footprint, mode="constant", cval=-np.inf)
    lower = ndimage.minimum_filter(lower, footprint=footprint, mode="constant", cval=np.inf)
    result = np.full(image.shape, np.nan)
    for place in zip(*np.nonzero(model.valid & np.isfinite(image)), strict=True):
        bright = 1 + (float(image[place]) - upper[place]) / t[place]
        dark = 1 + (lower[place] - float(image[place])) / t[place]
        result[place] = max(bright, 0) if bright >= dark else -max(dark, 0)
    return result


@pytest.mark.parametrize("tolerance", [0, 1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_scores_are_those_of_the_definition(tolerance, dtype):
    rng = np.random.default_rng(tolerance)
    model = random_model(rng, tolerance=tolerance, absolute=7, factor=1.5)
    image = rng.uniform(0, 255, model.shape).astype(dtype)
    scores = model.compare(image)
    assert scores.dtype == np.float32
    # A few roundings of single precision on grey levels of hundreds, over tolerances of 7 or more.
    np.testing.assert_allclose(scores, direct_scores(model, image), atol=2e-5)


def test_without_registration_tolerance_a_score_is_the_plain_ratio():
    rng = np.random.default_rng(0)
    model = random_model(rng)
    image = rng.uniform(0, 255, model.shape).astype(np.float32)
    ratio = (image - model.mean) / np.maximum(np.float32(10), np.float32(2) * model.spread)
    np.testing.assert_array_equal(model.compare(image)[model.valid], ratio[model.valid])


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_registration_tolerance_never_raises_a_magnitude_and_forgives_shifts(seed, radius):
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    tolerant = VariationModel(model.mean, model.spread, model.valid, tolerance=radius)
    image = rng.uniform(0, 255, model.shape).astype(np.float32)
    exact, relaxed = np.abs(model.compare(image)), np.abs(tolerant.compare(image))
    assert (relaxed[model.valid] <= exact[model.valid] + 1e-5).all()
    whole = VariationModel(model.mean, model.spread, np.ones(model.shape, bool), tolerance=radius)
    shifted = np.roll(whole.mean, radius, axis=1)
    inner = np.s_[:, radius:]
    assert (np.abs(whole.compare(shifted)[inner]) <= 1 + 1e-5).all()


def test_what_is_not_valid_is_nan_and_nothing_else():
    model = VariationModel(np.array([[1.0, np.nan, 3, 4, 5]]), np.ones((1, 5)), np.ones((1, 5), bool))
    image, valid = np.array([[1.0, 1, np.inf, np.nan, 5]]), np.array([[True, True, True, True, False]])
    assert np.isnan(model.compare(image, valid)).tolist() == [[False, True, True, True, True]]
    nothing = VariationModel(np.ones((3, 3)), np.ones((3, 3)), np.zeros((3, 3), bool), tolerance=1)
    assert np.isnan(nothing.compare(np.ones((3, 3)))).all()


@pytest.mark.parametrize("tolerance", [0, 2])
def test_huge_scores_stay_finite_in_half_precision(tolerance):
    one = np.ones((1, 1))
    model = VariationModel(0 * one, 0 * one, one > 0, absolute=1e-6, tolerance=tolerance)
    scores = [model.compare(value * one).item() for value in (1e30, -1e30)]
    assert scores == [LARGEST_SCORE, -LARGEST_SCORE]
    assert np.isfinite(np.float16(scores)).all()


def test_moments_and_quantiles_give_the_same_model_of_normal_images():
    rng = np.random.default_rng(1)
    images = rng.normal(100, 8, (4000, 3, 4))
    median = np.median(images, axis=0)
    mad = stats.median_abs_deviation(images, axis=0)
    moments = VariationModel.from_moments(
        np.full((3, 4), 4000), images.mean(0), images.var(0, ddof=1), factor=3
    )
    robust = VariationModel.from_quantiles(median, mad, factor=3)
    np.testing.assert_allclose(robust.spread, mad * MAD_TO_DEVIATION, rtol=1e-6)
    # Standard errors of median and MAD of 4000 samples: 0.16 and 0.15 grey levels; five of them.
    np.testing.assert_allclose(robust.mean, moments.mean, atol=0.8)
    np.testing.assert_allclose(robust.spread, moments.spread, atol=0.8)
    assert moments.factor == 3


def test_pixels_seen_too_rarely_are_not_compared():
    count = np.array([[0, 1, 2, 3]])
    variance = np.array([[np.nan, np.nan, 1, 1.0]])
    mean = np.array([[np.nan, 1, 1, 1.0]])
    assert VariationModel.from_moments(count, mean, variance).valid.tolist() == [[False, False, True, True]]
    assert VariationModel.from_moments(count, mean, variance, minimum_count=3).valid.sum() == 1


def test_a_single_image_tolerates_its_own_jitter():
    rng = np.random.default_rng(2)
    image = 100 + 60 * ndimage.gaussian_filter(rng.normal(size=(60, 60)), 3) * 6
    model = VariationModel.from_single(image, jitter=0.5, absolute=5)  # of tops, where there is no slope
    moved = ndimage.shift(image, (0.5, 0.5), order=3, mode="nearest")
    assert np.abs(model.compare(moved)[2:-2, 2:-2]).max() <= 1
    assert np.abs(model.compare(np.where(np.arange(60) == 30, image + 60, image))).max() > 2
    hole = image.copy()
    hole[20, 20] = np.nan
    assert (~VariationModel.from_single(hole).valid).sum() == 9
    assert VariationModel.from_single([[7.0]]).compare([[7.0]]).item() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"absolute": 0}, "absolute tolerance 0"),
        ({"factor": -1}, "factor -1"),
        ({"tolerance": 1.5}, r"registration tolerance 1\.5"),
        ({"polarity": "up"}, "polarity"),
        ({"spread": np.ones((2, 3))}, "images of one shape"),
    ],
)
def test_parameters_out_of_range_are_named(changes, message):
    given_model = {"mean": np.ones((2, 2)), "spread": np.ones((2, 2)), "valid": np.ones((2, 2), bool)}
    with pytest.raises(InputError, match=message):
        VariationModel(**(given_model | changes))


def test_an_image_of_another_shape_is_refused():
    model = VariationModel(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2), bool))
    with pytest.raises(InputError, match=r"image of shape \(2, 3\): the model has \(2, 2\)"):
        model.compare(np.ones((2, 3)))
