"""Sheets: many inspected images below one another, with one range of scores for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from scorefold.errors import InputError
from scorefold.rendering.colour import FAINT_INK
from scorefold.rendering.ink import text_picture, text_size
from scorefold.rendering.inspection.heat import ColorMap, checked_range, heat_bar, heat_limits
from scorefold.rendering.inspection.image import InspectedImage
from scorefold.rendering.inspection.panels import (
    BRIGHT_COLOUR,
    CASING_COLOUR,
    COLUMNS,
    DARK_COLOUR,
    FOUND_COLOUR,
    GAP,
    TEXT,
    TRUTH_COLOUR,
    Column,
    Panels,
    caption,
    check_columns,
    draw_row,
)
from scorefold.rendering.legend import counted, framed
from scorefold.rendering.picture import Colour, Picture, above, beside, blank

PANELS_PER_PAGE = 100
SHEET_PANEL = 200
_ROW_GAP = 18
_SMALLEST_PAGE = 560
_WIDEST_BAR = 620


def draw_sheet(
    items: Sequence[InspectedImage],
    title: str,
    *,
    gray_range: tuple[float, float],
    score_range: tuple[float, float],
    remark: str = "",
    columns: Sequence[Column] = COLUMNS,
    color_map: ColorMap = "jet",
    panel: int = SHEET_PANEL,
) -> Picture:
    """Draw inspected images below one another, each a row of panels, beneath one shared colour bar.

    Parameters
    ----------
    items : sequence of InspectedImage
        At least one, in the order to be shown; all with the same threshold, which the bar marks.
    title : str
        Printed above, shortened to fit.
    gray_range, score_range : (float, float)
        Ranges for all images, as in `draw_panels`.
    remark : str
        Printed beneath the title.
    columns : sequence of {"image", "truth", "heat", "mask", "contours"}
        Which panels. The truth is left out where no image has one.
    color_map : {"jet", "turbo", "inferno"}
        Colours of the scores.
    panel : int
        Pixels of a panel's longer side.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB picture; the same input gives the same bytes.

    Raises
    ------
    InputError
        As `draw_panels`, and if there are no images or their thresholds differ.
    """
    check_columns(columns, panel)
    if not items:
        raise InputError("a sheet of no images: give at least one.")
    style = _style(items, columns, gray_range, score_range, color_map, panel)
    return _page(items, title, remark, style)


def sheet_pages(
    items: Sequence[InspectedImage],
    title: str,
    *,
    gray_range: tuple[float, float],
    score_range: tuple[float, float],
    columns: Sequence[Column] = COLUMNS,
    color_map: ColorMap = "jet",
    panel: int = SHEET_PANEL,
    panels_per_page: int = PANELS_PER_PAGE,
) -> list[Picture]:
    """Draw inspected images on as many sheets as they need.

    Parameters
    ----------
    items : sequence of InspectedImage
        In the order to be shown.
    title, gray_range, score_range, columns, color_map, panel
        As in `draw_sheet`.
    panels_per_page : int
        Most panels on a page, of which each has at least one image.

    Returns
    -------
    list of (H, W, 3) uint8 arrays
        No page without images.

    Raises
    ------
    InputError
        As `draw_sheet`, and if `panels_per_page` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((8, 8), np.float32)
    >>> items = [InspectedImage(f"{i}.png", image, image, image > 1, 0.0, 1.0, "OK") for i in range(30)]
    >>> len(sheet_pages(items, "Random", gray_range=(0, 1), score_range=(0, 2), panel=32))  # 4 panels each
    2
    """
    check_columns(columns, panel)
    if panels_per_page < 1:
        raise InputError(f"{panels_per_page} panels per page: give at least 1.")
    if not items:
        return []
    # One style for all pages: the same columns, even where a page has no truth to show.
    style = _style(items, columns, gray_range, score_range, color_map, panel)
    per_page = max(1, panels_per_page // len(style.columns))
    pages = ceil(len(items) / per_page)
    return [
        _page(
            items[page * per_page : (page + 1) * per_page],
            title,
            f"page {page + 1} of {pages}" if pages > 1 else "",
            style,
        )
        for page in range(pages)
    ]


@dataclass(frozen=True)
class _Style:
    """How the rows of a sheet are drawn."""

    columns: Sequence[Column]
    gray_range: tuple[float, float]
    limits: tuple[float, float]
    threshold: float
    color_map: ColorMap
    panel: int


def _style(
    items: Sequence[InspectedImage],
    columns: Sequence[Column],
    gray_range: tuple[float, float],
    score_range: tuple[float, float],
    color_map: ColorMap,
    panel: int,
) -> _Style:
    thresholds = sorted({item.threshold for item in items})
    if len(thresholds) > 1:
        raise InputError(
            f"thresholds from {thresholds[0]} to {thresholds[-1]} on one sheet: "
            "its colour bar marks one. Draw a sheet for each."
        )
    known = any(item.truth is not None for item in items)
    present = [column for column in columns if column != "truth" or known]
    if not present:
        raise InputError("no image has a known truth, and no other column is given.")
    gray_range = checked_range("gray range", gray_range)
    limits = heat_limits(score_range, thresholds[0])
    return _Style(present, gray_range, limits, thresholds[0], color_map, panel)


def _page(items: Sequence[InspectedImage], title: str, remark: str, style: _Style) -> Picture:
    panels = [Panels(item, style.panel, style.gray_range, style.limits, style.color_map) for item in items]
    widest = max(row.shape[1] for row in panels)
    widths = [max(widest, caption(column).shape[1]) for column in style.columns]
    width = max(_SMALLEST_PAGE, sum(widths) + GAP * (len(widths) - 1))
    rows = [draw_row(row, style.columns, widths, captions=False, smallest=width) for row in panels]
    bar = heat_bar(style.limits, style.threshold, min(width, _WIDEST_BAR), TEXT, style.color_map)
    captions = _in_cells([caption(column) for column in style.columns], widths)
    head = [bar, captions]
    if "contours" in style.columns:
        head.insert(1, _key(items))
    remark = " · ".join(part for part in (counted(len(items), "image"), remark) if part)
    return framed(title, remark, above([above(head, gap=TEXT), *rows], gap=_ROW_GAP), TEXT)


def _in_cells(pictures: Sequence[Picture], widths: Sequence[int]) -> Picture:
    """Put pictures beside one another in cells of the given widths."""
    cells = [above([picture, blank(0, width)]) for picture, width in zip(pictures, widths, strict=True)]
    return beside(cells, gap=GAP)


def _key(items: Sequence[InspectedImage]) -> Picture:
    """Explain the colours of the contours, those that occur."""
    polarities = {defect.polarity for item in items for defect in item.defects}
    entries: list[tuple[str, Colour]] = []
    if any(item.truth is not None for item in items):
        entries.append(("truth", TRUTH_COLOUR))
    entries.append(("found", FOUND_COLOUR))
    if "dark" in polarities:
        entries += [("defect, too bright", BRIGHT_COLOUR), ("defect, too dark", DARK_COLOUR)]
    elif polarities:
        entries.append(("defect, too bright" if "bright" in polarities else "defect", BRIGHT_COLOUR))
    lead = text_picture("Contours:", TEXT, text_size("Contours:", TEXT)[1], colour=FAINT_INK)
    return beside([lead, *(_key_entry(*entry) for entry in entries)], gap=TEXT)


def _key_entry(text: str, colour: Colour) -> Picture:
    height, width = text_size(text, TEXT)
    swatch = blank(height, 2 * TEXT)
    middle = height // 2
    swatch[middle - 2 : middle + 3] = CASING_COLOUR
    swatch[middle - 1 : middle + 2] = colour
    return beside([swatch, text_picture(text, TEXT, width, colour=FAINT_INK)], gap=TEXT // 3)
