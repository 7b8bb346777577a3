"""Pictures as arrays: RGB bytes, put side by side, encoded as PNG."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError

Picture: TypeAlias = NDArray[np.uint8]
"""RGB picture of shape (height, width, 3)."""

Colour: TypeAlias = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

PAPER: Colour = (255, 255, 255)


def blank(height: int, width: int, colour: Colour = PAPER) -> Picture:
    """Return a picture of one colour."""
    picture = np.empty((height, width, 3), dtype=np.uint8)
    # A gray is filled at once; NumPy repeats three different bytes ten times slower.
    picture[...] = colour[0] if colour[0] == colour[1] == colour[2] else np.asarray(colour, dtype=np.uint8)
    return picture


def beside(pictures: Sequence[Picture], gap: int = 0, align: Literal["start", "centre"] = "start") -> Picture:
    """Put pictures in a row on paper, `gap` pixels apart.

    Examples
    --------
    >>> beside([blank(4, 3), blank(2, 5)], gap=1).shape
    (4, 9, 3)
    """
    height = max(picture.shape[0] for picture in pictures)
    page = blank(height, sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1))
    left = 0
    for picture in pictures:
        top = (height - picture.shape[0]) // 2 if align == "centre" else 0
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return page


def above(pictures: Sequence[Picture], gap: int = 0, align: Literal["start", "centre"] = "start") -> Picture:
    """Put pictures in a column on paper, `gap` pixels apart."""
    width = max(picture.shape[1] for picture in pictures)
    page = blank(sum(picture.shape[0] for picture in pictures) + gap * (len(pictures) - 1), width)
    top = 0
    for picture in pictures:
        left = (width - picture.shape[1]) // 2 if align == "centre" else 0
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        top += picture.shape[0] + gap
    return page


def with_margin(picture: Picture, margin: int) -> Picture:
    """Return the picture with paper around it."""
    height, width = picture.shape[:2]
    page = blank(height + 2 * margin, width + 2 * margin)
    page[margin : margin + height, margin : margin + width] = picture
    return page


def encode_png(rgb: Picture) -> bytes:
    r"""Encode an RGB picture as PNG; the same picture gives the same bytes.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        Red, green, blue.

    Returns
    -------
    bytes
        A PNG file without time stamp or other metadata.

    Raises
    ------
    InputError
        If the array is not (H, W, 3) uint8 or has no pixels.

    Examples
    --------
    >>> encode_png(np.zeros((2, 3, 3), np.uint8))[:4]
    b'\x89PNG'
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise InputError(f"picture of shape {rgb.shape} and dtype {rgb.dtype}: PNG needs (H, W, 3) uint8.")
    _, encoded = cv2.imencode(".png", rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return encoded.tobytes()
