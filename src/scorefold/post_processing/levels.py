"""Values of any type as 8-bit levels: which axes they have, what becomes black and what white."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.post_processing.lazy import AnyArray, as_array, blockwise

NO_VALUE = 128
"""Level of a pixel that is not finite, in every channel: a neutral gray, which the colour map JET lacks."""


def as_maps(anomaly_map: object) -> AnyArray:
    """Return anomaly maps without an axis for their only channel: (H, W), or a batch (N, H, W)."""
    maps = _as_real(anomaly_map, "anomaly map")
    shape = maps.shape
    if len(shape) in {3, 4} and shape[-1] == 1:
        maps = maps[..., 0]
    elif len(shape) == 4 and shape[1] == 1:
        maps = maps[:, 0]
    if maps.ndim not in {2, 3}:
        raise InputError(f"anomaly map of shape {shape}: give (H, W) or a batch (N, H, W), with one channel.")
    return maps


def as_pictures(image: object, axes: int = 2) -> AnyArray:
    """Return one image (`axes` = 2) or a batch (3) as RGB levels: (H, W, 3) or (N, H, W, 3) uint8."""
    levels = as_levels(image, axes)
    return levels if levels.ndim > axes else blockwise(_in_colour, levels, dtype=np.uint8, channels=3)


def as_levels(image: object, axes: int = 2) -> AnyArray:
    """Return one image (`axes` = 2) or a batch (3) as uint8 levels: (..., H, W) if gray, else (..., H, W, 3).

    What is black and what is white: False and True; 0 and 255 of uint8; 0 and 1 of any other type where an
    image lies within them. An image that does not is stretched from its smallest to its largest finite
    value; a constant one is clipped. Pixels that are not finite are gray.
    """
    array = _as_real(image, "image")
    if array.ndim == axes + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    colour = array.ndim == axes + 1 and array.shape[-1] == 3
    if array.ndim != axes and not colour:
        batch = "N, " * (axes - 2)
        raise InputError(
            f"image of shape {array.shape}: give ({batch}H, W) or ({batch}H, W, 3), without an alpha channel."
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array * np.uint8(255)
    return blockwise(_levels, array, *extremes(array, axes=2 + colour), dtype=np.uint8)


def extremes(array: AnyArray, axes: int = 2) -> tuple[AnyArray, AnyArray]:
    """Return the smallest and the largest finite value over the last axes, which are kept with length 1.

    They are inf and -inf where nothing is finite.
    """
    last = tuple(range(-axes, 0))
    dtype = _working_type(array.dtype)
    low = blockwise(_finite_or, array, np.inf, dtype=dtype).min(axis=last, keepdims=True)
    high = blockwise(_finite_or, array, -np.inf, dtype=dtype).max(axis=last, keepdims=True)
    return low, high


def fraction(values: NDArray[Any], low: Any, high: Any) -> NDArray[Any]:
    """Return where values lie between `low` and `high`, clipped to 0 to 1; 0 where these coincide.

    NaN stays NaN. Computed in float32 for values of at most that precision, else in float64.
    """
    low, high = (np.asarray(limit, _working_type(values.dtype)) for limit in (low, high))
    numbers = values.astype(low.dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        # A range beyond the largest float is halved; elsewhere the factor 1 changes no bit.
        scale = np.where(np.isinf(high - low), low.dtype.type(0.5), low.dtype.type(1))
        span = high * scale - low * scale
        span = np.where(span > 0, span, 1)
        result: NDArray[Any] = np.clip((numbers * scale - low * scale) / span, 0, 1)
    return result


def _as_real(values: object, name: str) -> AnyArray:
    array = as_array(values)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} of type {array.dtype}: give real numbers.")
    if 0 in array.shape:
        raise InputError(f"{name} of shape {array.shape}: it has no pixels.")
    return array


def _working_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.result_type(dtype, np.float32) if dtype.kind == "f" else np.dtype(np.float64)


def _finite_or(values: NDArray[Any], other: float) -> NDArray[Any]:
    numbers = values.astype(_working_type(values.dtype), copy=False)
    return np.where(np.isfinite(numbers), numbers, numbers.dtype.type(other))


def _levels(values: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.uint8]:
    clipped = ((low >= 0) & (high <= 1)) | ~(low < high)
    levels = np.rint(255 * fraction(values, np.where(clipped, 0, low), np.where(clipped, 1, high)))
    return np.where(np.isfinite(values), levels, NO_VALUE).astype(np.uint8)


def _in_colour(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return levels[..., np.newaxis].repeat(3, axis=-1)
