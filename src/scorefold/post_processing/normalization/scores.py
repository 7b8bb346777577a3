"""Scores and their statistics, as the normalisations take them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError
from scorefold.post_processing.lazy import AnyArray, as_array


def as_scores(scores: object) -> AnyArray:
    """Return scores, lazy if they are, as floats of at least single precision."""
    array = as_array(scores)
    if array.dtype.kind not in "biuf":
        raise InputError(f"scores of type {array.dtype}: give real numbers.")
    dtype = np.result_type(array.dtype, np.float32) if array.dtype.kind == "f" else np.float64
    return array.astype(dtype, copy=False)


def as_statistic(name: str, values: ArrayLike) -> float | NDArray[Any]:
    """Return a finite statistic: a number, which leaves the precision of scores alone, or an array."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        shown = array if array.ndim == 0 else f"of shape {array.shape}"
        raise InputError(f"{name} {shown}: statistics are finite numbers; compute them from finite scores.")
    return float(array) if array.ndim == 0 else array
