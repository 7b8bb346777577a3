"""Polarity: whether what is brighter than allowed, what is darker, or both count as anomalous."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError

Polarity = Literal["both", "bright", "dark"]


def check_polarity(polarity: str) -> None:
    """Raise an `InputError` unless `polarity` is "both", "bright" or "dark"."""
    if polarity not in get_args(Polarity):
        raise InputError(f'polarity "{polarity}": use one of {", ".join(get_args(Polarity))}.')


def magnitude(scores: NDArray[Any], polarity: str = "both") -> NDArray[Any]:
    """Return anomaly scores, higher for what is more anomalous, from signed ones.

    Parameters
    ----------
    scores : ndarray of float
        Positive where an image is brighter than allowed, negative where it is darker.
    polarity : {"both", "bright", "dark"}
        What counts.

    Returns
    -------
    ndarray
        |s|, max(s, 0) or max(-s, 0) in the type of `scores`; NaN stays NaN.

    Examples
    --------
    >>> magnitude(np.array([-2.0, 0.5, np.nan]), "dark")
    array([ 2.,  0., nan])
    """
    check_polarity(polarity)
    if polarity == "bright":
        counted = np.maximum(scores, 0)
    else:
        counted = np.abs(scores) if polarity == "both" else np.maximum(-scores, 0)
    return np.asarray(counted)
