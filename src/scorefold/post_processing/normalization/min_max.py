"""Scores on a scale by their range: the threshold becomes 0.5, the distance of minimum and maximum 1."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError
from scorefold.post_processing.normalization.scores import as_scores, as_statistic


def normalize(
    x: ArrayLike,
    threshold: ArrayLike,
    min: ArrayLike,  # noqa: A002 - the statistics' names
    max: ArrayLike,  # noqa: A002
) -> NDArray[np.floating]:
    """Return ``clip((x - threshold) / (max - min) + 0.5, 0, 1)``.

    Parameters
    ----------
    x : array_like or Dask array
        Scores or anomaly maps, any shape.
    threshold : float or array_like
        Score between normal and anomalous; a number, or one a pixel, that broadcasts against `x`.
    min, max : float or array_like
        Smallest and largest score of the *whole data set* (not of one image, or good images look bad).

    Returns
    -------
    float array of the shape of `x`
        0 to 1; NaN stays NaN. float32 for float16 and float32 scores with numbers as statistics, else
        float64. A Dask array if `x` is one.

    Raises
    ------
    InputError
        If a statistic is not finite, `max` is not greater than `min`, or the scores are not real numbers.

    Examples
    --------
    >>> normalize([1.0, 3.0, 4.0, 9.0], threshold=3.0, min=1.0, max=5.0)
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    scores = as_scores(x)
    middle, low, high = (
        as_statistic(name, values) for name, values in (("threshold", threshold), ("min", min), ("max", max))
    )
    if not np.all(np.less(low, high)):
        where = (
            f"{low} and {high}" if isinstance(low, float) and isinstance(high, float) else "at some pixels"
        )
        raise InputError(f"min not less than max ({where}): compute them from scores that differ.")
    normalized: NDArray[np.floating] = np.clip((scores - middle) / (high - low) + 0.5, 0, 1)
    return normalized
