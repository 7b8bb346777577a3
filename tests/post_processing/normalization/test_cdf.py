"""Normalisation by the distribution: against SciPy's normal distribution, lazily, and degenerate statistics."""

import warnings

import dask.array as da
import numpy as np
import pytest
from scipy import stats

from scorefold.errors import InputError
from scorefold.post_processing.normalization import cdf


def test_logarithms_of_normal_images_become_standard_normal():
    scores = np.random.default_rng(9).lognormal(mean=1.5, sigma=0.4, size=1000)
    logarithms = np.log(scores)
    standardized = cdf.standardize(scores, logarithms.mean(), logarithms.std(ddof=1))
    np.testing.assert_allclose(standardized, stats.zscore(logarithms, ddof=1), rtol=0, atol=1e-12)  # rounding


def test_the_value_at_the_centre_becomes_zero_at_every_pixel():
    rng = np.random.default_rng(10)
    mean, std = rng.normal(size=(5, 6)), rng.uniform(0.5, 2, size=(5, 6))
    maps = np.full((3, 5, 6), np.exp(0.7))
    centred = cdf.standardize(maps, mean, std, center_at=0.7)
    np.testing.assert_allclose(centred, 0, atol=1e-14)  # rounding of ln and exp
    plain = cdf.standardize(maps, mean, std)
    np.testing.assert_allclose(plain - centred, np.broadcast_to((0.7 - mean) / std, maps.shape), rtol=1e-12)


def test_a_centre_of_zero_is_a_centre():
    assert cdf.standardize(1.0, mean=3.0, std=2.0, center_at=0.0) == 0


def test_probabilities_are_those_of_scipy():
    scores = np.linspace(-6, 6, 200)
    expected = stats.norm.cdf(scores, loc=1.25)
    np.testing.assert_allclose(cdf.normalize(scores, 1.25), expected, rtol=1e-13)  # two float64 evaluations
    assert cdf.normalize(1.25, 1.25) == 0.5


def test_a_score_of_zero_is_as_normal_as_can_be_and_a_negative_one_has_no_logarithm():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        standardized = cdf.standardize([0.0, -1.0, 1.0], mean=0, std=1)
        np.testing.assert_array_equal(standardized, [-np.inf, np.nan, 0])
        np.testing.assert_array_equal(cdf.normalize(standardized, 0), [0, np.nan, 0.5])


@pytest.mark.parametrize(
    ("dtype", "result"),
    [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64), (np.uint8, np.float64)],
)
def test_precision_is_that_of_the_scores_and_at_least_single(dtype, result):
    standardized = cdf.standardize(np.ones(3, dtype), np.float64(0.5), np.float64(2), np.float64(1))
    assert standardized.dtype == result
    assert cdf.normalize(standardized, np.float64(0.5)).dtype == result


@pytest.mark.parametrize("per_pixel", [False, True])
def test_lazy_maps_stay_lazy(per_pixel):
    rng = np.random.default_rng(11)
    maps = rng.lognormal(size=(4, 9, 10)).astype(np.float32)
    mean, std = (rng.normal(size=(9, 10)), rng.uniform(1, 2, size=(9, 10))) if per_pixel else (0.2, 1.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lazy = cdf.standardize(da.from_array(maps, chunks=(2, 4, 3)), mean, std, center_at=0.1)
        probabilities = cdf.normalize(lazy, 1.0)
    expected = cdf.standardize(maps, mean, std, center_at=0.1)
    assert isinstance(probabilities, da.Array)
    assert lazy.dtype == expected.dtype
    np.testing.assert_array_equal(lazy.compute(), expected)
    np.testing.assert_array_equal(probabilities.compute(), cdf.normalize(expected, 1.0))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (0, 0, r"std not positive \(0.0\)"),
        (0, -1, "std not positive"),
        (0, np.array([1, 0, 1]), "at some pixels"),
        (0, np.nan, "std nan"),
        (np.array([0, np.inf, 0]), 1, r"mean of shape \(3,\)"),
    ],
)
def test_degenerate_statistics_are_refused(mean, std, message):
    with pytest.raises(InputError, match=message):
        cdf.standardize(np.ones(3), mean, std)


def test_a_threshold_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="threshold nan"):
        cdf.normalize(np.ones(3), np.nan)
