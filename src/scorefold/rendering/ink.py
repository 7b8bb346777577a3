"""Lines and letters on a picture: antialiased, with a casing that keeps them visible on any ground."""

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from scorefold.rendering.colour import CASING, INK
from scorefold.rendering.picture import Colour, Picture, blank

_SUBPIXEL_BITS = 4


@lru_cache(maxsize=64)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    import matplotlib as mpl

    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / name
    # The basic layout is in every Pillow build: the same text gives the same pixels everywhere.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def one_line(text: str) -> str:
    r"""Return text that draws on one line: control characters and line breaks become spaces.

    Examples
    --------
    >>> one_line("grid 1\nsquare\t4")
    'grid 1 square 4'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@lru_cache(maxsize=1024)
def text_size(text: str, size: int, bold: bool = False) -> tuple[int, int]:
    """Return the (height, width) in pixels of one line of text; the height is the font's."""
    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    return ascent + descent, int(np.ceil(font.getlength(text)))


def shortened(text: str, width: int, size: int, bold: bool = False) -> str:
    """Return text on one line, its middle replaced by "…" where it is wider than `width` pixels.

    The middle goes because file names differ at their ends.
    """
    text = one_line(text)
    if text_size(text, size, bold)[1] <= width:
        return text

    def cut(kept: int) -> str:
        head = (kept + 1) // 2
        return text[:head] + "…" + text[len(text) - (kept - head) :]

    longer = bisect_right(range(len(text)), width, key=lambda kept: text_size(cut(kept), size, bold)[1])
    return cut(max(0, longer - 1))


def draw_text(
    picture: Picture,
    text: str,
    corner: tuple[int, int],
    size: int,
    *,
    colour: Colour = INK,
    bold: bool = False,
    halo: int = 0,
    halo_colour: Colour = CASING,
) -> None:
    """Draw one line of text into `picture`, its upper left corner at `corner` = (y, x).

    `halo` is the width in pixels of a border around each letter. What falls outside is cut off.
    """
    height, width = text_size(text, size, bold)
    top, left = (max(0, edge - halo) for edge in corner)
    bottom, right = (max(0, corner[0] + height + halo), max(0, corner[1] + width + halo))
    region = picture[top:bottom, left:right]
    if region.size == 0:
        return
    image = Image.fromarray(np.ascontiguousarray(region))
    ImageDraw.Draw(image).text(
        (corner[1] - left, corner[0] - top),
        text,
        font=_font(size, bold),
        fill=colour,
        stroke_width=halo,
        stroke_fill=halo_colour,
        anchor="la",
    )
    region[...] = np.asarray(image)


def text_picture(
    text: str,
    size: int,
    width: int,
    *,
    colour: Colour = INK,
    bold: bool = False,
    align: Literal["left", "centre"] = "left",
) -> Picture:
    """Return one line of text on paper, shortened to `width` pixels and exactly as wide."""
    text = shortened(text, width, size, bold)
    height, drawn = text_size(text, size, bold)
    picture = blank(height, width)
    left = (width - drawn) // 2 if align == "centre" else 0
    draw_text(picture, text, (0, max(0, left)), size, colour=colour, bold=bold)
    return picture


def draw_lines(
    picture: Picture,
    lines: Iterable[NDArray[np.float64]],
    colour: Colour,
    width: int,
    *,
    casing: int = 0,
    casing_colour: Colour = CASING,
) -> None:
    """Draw open lines of (y, x) points into `picture`, with `casing` pixels of another colour on both sides.

    All casings are drawn before all cores, so that no line is cut where another crosses it.
    """
    points = [_fixed_point(line) for line in lines]
    if not points:
        return
    if casing:
        _polylines(picture, points, casing_colour, width + 2 * casing)
    _polylines(picture, points, colour, width)


def _fixed_point(line: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return (x, y) points in OpenCV's 1/16 pixels."""
    return np.rint(line[:, ::-1] * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _polylines(picture: Picture, points: list[NDArray[np.int32]], colour: Colour, width: int) -> None:
    cv2.polylines(picture, points, False, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)
