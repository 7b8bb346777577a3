"""What explains a panel: colour bar with the threshold marked, scale bar, title."""

from math import floor, log10

import numpy as np

from scorefold.errors import InputError
from scorefold.rendering.colour import ACCENT, CASING, FAINT_INK, INK, SCORE_GROUND, score_picture
from scorefold.rendering.ink import draw_text, one_line, text_picture, text_size
from scorefold.rendering.picture import Picture, above, beside, blank, with_margin

SMALLEST_COLUMN = 420
"""Pixels that captions and a colour bar need, however small the panel."""


def colour_bar(
    limits: tuple[float, float], threshold: float, width: int, text: int, *, opaque: bool = False
) -> Picture:
    """Return a horizontal colour bar, the threshold marked above it and ticks below.

    Parameters
    ----------
    limits : (float, float)
        Scores at the left and right end.
    threshold : float
        Score to be marked, within the limits.
    width : int
        Pixels; the bar itself spans `bar_columns(width, text)`.
    text : int
        Font size in pixels.
    opaque : bool
        Show the colours as they are, or else as they look over the middle gray of a dimmed image.

    Returns
    -------
    (H, width, 3) uint8 array
    """
    first, last = bar_columns(width, text)
    ramp = np.linspace(*limits, last - first + 1)[np.newaxis].repeat(text, axis=0)
    ground = None if opaque else blank(text, ramp.shape[1], SCORE_GROUND)
    return ticked_bar(score_picture(ramp, limits, ground), limits, threshold, width, text)


def ticked_bar(
    ramp: Picture,
    limits: tuple[float, float],
    threshold: float | None,
    width: int,
    text: int,
    *,
    whole: bool = False,
) -> Picture:
    """Return a ramp of colours with ticks below and, if there is one, the threshold marked above.

    Parameters
    ----------
    ramp : (thickness, columns, 3) uint8 array
        Colours from the first to the last of `bar_columns(width, text)`.
    limits : (float, float)
        Values at the left and right end.
    threshold : float or None
        Value to be marked, within the limits.
    width, text : int
        Pixels of the picture and of the font.
    whole : bool
        The values are counts: ticks at integers only.

    Returns
    -------
    (H, width, 3) uint8 array
    """
    from matplotlib.ticker import MaxNLocator

    first, last = bar_columns(width, text)
    thickness = ramp.shape[0]
    line_height, _ = text_size("0", text)
    bar_top = 0 if threshold is None else line_height + text // 2
    picture = blank(bar_top + thickness + text // 2 + line_height, width)
    picture[bar_top : bar_top + thickness, first : last + 1] = ramp

    if threshold is not None:
        mark = round(bar_column(threshold, limits, width, text))
        half = max(1, text // 12)
        picture[bar_top - text // 3 : bar_top + thickness, mark - half - 1 : mark + half + 2] = CASING
        picture[bar_top - text // 3 : bar_top + thickness, mark - half : mark + half + 1] = ACCENT
        _centred(picture, f"threshold {threshold:.4g}", 0, mark, text, ACCENT, bold=True)

    ticks = MaxNLocator(nbins=5, integer=whole).tick_values(*limits)
    for tick in (tick for tick in ticks if limits[0] <= tick <= limits[1]):
        column = round(bar_column(tick, limits, width, text))
        picture[bar_top + thickness : bar_top + thickness + text // 3, column] = FAINT_INK
        # Ticks are multiples of a round step; six digits hide the rounding error of the multiplication.
        _centred(picture, f"{tick:.6g}", bar_top + thickness + text // 2, column, text, FAINT_INK)
    return picture


def bar_columns(width: int, text: int) -> tuple[int, int]:
    """Return the first and last column of the colour bar; the margins hold half a tick label."""
    margin = min(2 * text, width // 8)
    return margin, width - 1 - margin


def bar_column(score: float, limits: tuple[float, float], width: int, text: int) -> float:
    """Return the column of a score on the colour bar."""
    first, last = bar_columns(width, text)
    return first + (last - first) * (score - limits[0]) / (limits[1] - limits[0])


def round_length(longest: float) -> float:
    """Return the longest of 1, 2, 5 × 10ᵏ that is not longer than `longest`.

    Examples
    --------
    >>> round_length(37.0), round_length(0.9)
    (20.0, 0.5)
    """
    power = 10.0 ** floor(log10(longest))
    return float(max(digit * power for digit in (0.5, 1.0, 2.0, 5.0) if digit * power <= longest))


def scale_bar(width: int, pixels_per_unit: float, unit: str, text: int) -> Picture:
    """Return a scale bar of a round length, at most a quarter of `width` pixels, beside its label."""
    length = round_length(width / 4 / pixels_per_unit)
    columns = max(1, round(length * pixels_per_unit))
    bar = blank(max(3, text // 4), columns, INK)
    label = f"{length:g} {one_line(unit)}"
    return beside([bar, text_picture(label, text, text_size(label, text)[1])], gap=text // 2, align="centre")


def framed(title: str, remark: str, body: Picture, text: int) -> Picture:
    """Return a page: a title, a remark and a body beneath them, with margins."""
    width = body.shape[1]
    head = above(
        [
            text_picture(title, text * 3 // 2, width, bold=True),
            text_picture(remark, text, width, colour=FAINT_INK),
        ],
        gap=text // 4,
    )
    return with_margin(above([head, body], gap=text), 2 * text)


def text_height(width: int) -> int:
    """Return the font size in pixels that reads well in a picture of this width."""
    return max(13, width // 120)


def counted(number: int, thing: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "pick"), counted(1200, "pick")
    ('1 pick', '1 200 picks')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}".replace(",", " ")


def captioned(panel: Picture, caption: str, width: int, text: int) -> Picture:
    """Return a panel below its caption, in a column at least `width` wide."""
    return above([text_picture(caption, text, max(width, panel.shape[1])), panel], gap=text // 3)


def check_scale(pixel_size: float | None, unit: str | None) -> None:
    """Refuse a pixel size that no scale bar can show."""
    if pixel_size is None:
        return
    if not (np.isfinite(pixel_size) and pixel_size > 0):
        raise InputError(f"pixel size {pixel_size}: give a positive length.")
    if not unit:
        raise InputError(f"pixel size {pixel_size} without a unit: give one, such as Å.")


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that has no place on a scale."""
    if not np.isfinite(threshold):
        raise InputError(f"threshold {threshold}: a picture needs a finite score.")


def _centred(
    picture: Picture,
    label: str,
    top: int,
    column: int,
    text: int,
    colour: tuple[int, int, int],
    *,
    bold: bool = False,
) -> None:
    """Draw a label centred on a column, moved inwards where it would leave the picture."""
    _, width = text_size(label, text, bold)
    left = min(max(0, column - width // 2), max(0, picture.shape[1] - width))
    draw_text(picture, label, (top, left), text, colour=colour, bold=bold)
