"""Scores on a scale by their distribution: the standard normal distribution function of standardised logarithms."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from scorefold.errors import InputError
from scorefold.post_processing.lazy import blockwise
from scorefold.post_processing.normalization.scores import as_scores, as_statistic


def standardize(
    x: ArrayLike, mean: ArrayLike, std: ArrayLike, center_at: float | None = None
) -> NDArray[np.floating]:
    """Return how many standard deviations the logarithm of a score lies above that of normal images.

    z = (ln x − mean) / std, minus (center_at − mean) / std if `center_at` is given.

    Parameters
    ----------
    x : array_like or Dask array
        Scores or anomaly maps, any shape, at least 0.
    mean, std : float or array_like
        Mean and standard deviation (n − 1 degrees of freedom) of ln x over normal images; for maps also one
        a pixel, that broadcast against `x`.
    center_at : float, optional
        Value of ln x that becomes 0, so that scores and maps with statistics of their own share a scale.

    Returns
    -------
    float array of the shape of `x`
        −∞ for a score of 0, NaN for a negative one. float32 for float16 and float32 scores with numbers
        as statistics, else float64. A Dask array if `x` is one.

    Raises
    ------
    InputError
        If a statistic is not finite, `std` is not positive, or the scores are not real numbers.

    Examples
    --------
    >>> standardize(np.exp([1.0, 2.0, 4.0]), mean=2.0, std=0.5)
    array([-2.,  0.,  4.])
    >>> standardize(np.exp([1.0, 2.0, 4.0]), mean=2.0, std=0.5, center_at=1.0)
    array([0., 2., 6.])
    """
    scores = as_scores(x)
    centre, width = as_statistic("mean", mean), as_statistic("std", std)
    if not np.all(np.greater(width, 0)):
        where = f"{width}" if isinstance(width, float) else "at some pixels"
        raise InputError(
            f"std not positive ({where}): compute it from two or more normal images that differ."
        )
    logarithms = blockwise(_logarithm, scores, dtype=scores.dtype)
    standardized: NDArray[np.floating] = (logarithms - centre) / width
    if center_at is not None:
        standardized = standardized - (as_statistic("center_at", center_at) - centre) / width
    return standardized


def normalize(x: ArrayLike, threshold: ArrayLike) -> NDArray[np.floating]:
    """Return Φ(x − threshold), the standard normal distribution function; 0.5 at the threshold.

    Parameters
    ----------
    x : array_like or Dask array
        Standardised scores or anomaly maps, any shape.
    threshold : float or array_like
        Standardised score between normal and anomalous, that broadcasts against `x`.

    Returns
    -------
    float array of the shape of `x`
        0 to 1; NaN stays NaN. float32 for float16 and float32 scores with a number as threshold, else
        float64. A Dask array if `x` is one.

    Raises
    ------
    InputError
        If the threshold is not finite, or the scores are not real numbers.

    Examples
    --------
    >>> normalize([-np.inf, 1.0, 2.0], threshold=1.0).round(4)
    array([0.    , 0.5   , 0.8413])
    """
    scores = as_scores(x)
    shifted = scores - as_statistic("threshold", threshold)
    normalized: NDArray[np.floating] = blockwise(ndtr, shifted, dtype=shifted.dtype)
    return normalized


def _logarithm(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms: NDArray[np.floating] = np.log(scores)
    return logarithms
