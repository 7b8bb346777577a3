"""Scores in colour over a gray image, and the colour bar that explains them."""

from functools import cache
from typing import Any, Literal, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rendering.colour import SCORE_GROUND, hatching
from scorefold.rendering.legend import bar_columns, ticked_bar
from scorefold.rendering.picture import Picture, blank

ColorMap: TypeAlias = Literal["jet", "turbo", "inferno"]

_MAPS = {"jet": cv2.COLORMAP_JET, "turbo": cv2.COLORMAP_TURBO, "inferno": cv2.COLORMAP_INFERNO}

_LEAST_OPACITY, _GREATEST_OPACITY = 0.30, 0.85
"""Of the lowest and the highest score: the image shows through, most where nothing is wrong."""


def checked_range(name: str, limits: tuple[float, float]) -> tuple[float, float]:
    """Return limits as floats; refuse those that are not finite and increasing."""
    low, high = (float(limit) for limit in limits)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"{name} from {low} to {high}: give two finite values, the lower first.")
    return low, high


def heat_limits(score_range: tuple[float, float], threshold: float) -> tuple[float, float]:
    """Return a range of scores, extended to the threshold where this lies outside."""
    low, high = checked_range("score range", score_range)
    return min(low, threshold), max(high, threshold)


def heat_picture(
    magnitude: NDArray[np.float32], limits: tuple[float, float], ground: Picture, color_map: ColorMap
) -> Picture:
    """Return scores in colour over a picture, more opaque the higher they are.

    Parameters
    ----------
    magnitude : (H, W) float32 array
        Scores; -inf where there is none, which is hatched.
    limits : (float, float)
        Scores at the ends of the colour map.
    ground : (H, W, 3) uint8 array
        Picture underneath.
    color_map : {"jet", "turbo", "inferno"}
        Colours.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    levels = _in_gray(_levels(magnitude, limits))
    colours, transparency = _tables(color_map)
    dimmed = cv2.multiply(ground, cv2.LUT(levels, transparency), scale=1 / 255)
    picture = _bytes(cv2.add(dimmed, cv2.LUT(levels, colours)))
    return hatched(picture, np.isneginf(magnitude))


def gray_panel(values: NDArray[Any], limits: tuple[float, float]) -> Picture:
    """Return an image in gray between `limits`; what is not finite is hatched."""
    picture = _in_gray(_levels(values, limits))
    return picture if values.dtype.kind == "u" else hatched(picture, ~np.isfinite(values))


def mask_panel(mask: NDArray[np.bool_]) -> Picture:
    """Return a mask, white on black."""
    return _in_gray(mask.astype(np.uint8) * np.uint8(255))


def hatched(picture: Picture, missing: NDArray[np.bool_]) -> Picture:
    """Hatch a picture, in place, where something is missing, and return it."""
    if missing.any():
        picture[missing] = hatching(missing.shape)[missing]
    return picture


def _levels(values: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Return 0 to 255 between the limits; any level for NaN."""
    low, high = limits
    levels = values.astype(np.float32)
    # Clipped before it is scaled: an outlier times a large factor would overflow.
    np.clip(levels, low, high, out=levels)
    levels -= np.float32(low)
    levels *= np.float32(255 / (high - low))
    return np.rint(np.nan_to_num(levels, copy=False), out=levels).astype(np.uint8)


def _in_gray(levels: NDArray[np.uint8]) -> Picture:
    return _bytes(cv2.merge((levels, levels, levels)))


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Tell the type checker what OpenCV does not."""
    return np.asarray(array, dtype=np.uint8)


def heat_bar(
    limits: tuple[float, float],
    threshold: float | None,
    width: int,
    text: int,
    color_map: ColorMap,
    *,
    whole: bool = False,
) -> Picture:
    """Return the colour bar of `heat_picture`, as the colours look over a middle gray."""
    first, last = bar_columns(width, text)
    ramp = np.linspace(*limits, last - first + 1, dtype=np.float32)[np.newaxis].repeat(text, axis=0)
    colours = heat_picture(ramp, limits, blank(ramp.shape[0], ramp.shape[1], SCORE_GROUND), color_map)
    return ticked_bar(colours, limits, threshold, width, text, whole=whole)


@cache
def _tables(color_map: ColorMap) -> tuple[Picture, NDArray[np.uint8]]:
    """Return, for 256 levels, the colour times its opacity and the transparency, both (1, 256, 3)."""
    if color_map not in _MAPS:
        raise InputError(f'colour map "{color_map}": give one of {get_args(ColorMap)}.')
    levels = np.arange(256, dtype=np.uint8)[np.newaxis]
    colours = cv2.applyColorMap(levels, _MAPS[color_map])[..., ::-1].astype(np.float64)
    # The upper half of the range is nearly opaque; noise well below the threshold stays a tint.
    rising = 1 - (1 - np.linspace(0, 1, 256)) ** 2
    opacity = (_LEAST_OPACITY + (_GREATEST_OPACITY - _LEAST_OPACITY) * rising)[np.newaxis, :, np.newaxis]
    transparency = np.rint(255 * (1 - opacity)).astype(np.uint8).repeat(3, axis=2)
    return np.floor(colours * opacity).astype(np.uint8), transparency
