"""One inspected image as a row of panels: image, truth, heat, mask, contours."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rendering.colour import FAINT_INK, INK, hatching
from scorefold.rendering.ink import draw_text, one_line, shortened, text_picture, text_size
from scorefold.rendering.inspection.fitting import fit_image, fit_mask, fit_scores, fitted_shape
from scorefold.rendering.inspection.heat import (
    ColorMap,
    checked_range,
    gray_panel,
    hatched,
    heat_limits,
    heat_picture,
    mask_panel,
)
from scorefold.rendering.inspection.image import VERDICT_COLOURS, DrawnDefect, InspectedImage, Verdict
from scorefold.rendering.legend import counted
from scorefold.rendering.picture import PAPER, Colour, Picture, blank

Column: TypeAlias = Literal["image", "truth", "heat", "mask", "contours"]
_Box: TypeAlias = tuple[int, int, int, int]
"""Top, left, bottom, right: rows and columns of a panel, all within."""

COLUMNS: tuple[Column, ...] = get_args(Column)

TRUTH_COLOUR: Colour = (255, 255, 255)
FOUND_COLOUR: Colour = (235, 20, 30)
BRIGHT_COLOUR: Colour = (255, 190, 40)
DARK_COLOUR: Colour = (70, 200, 255)
CASING_COLOUR: Colour = (20, 20, 20)

SMALLEST_PANEL = 32
MAXIMUM_BOXES = 30
"""Boxes in a panel, those of the highest peaks; more would hide what they point at."""
LABELLED_BOXES = 3

GAP = 6
TEXT = 13
_SMALL_TEXT = 11
_FRAME = 212
_SMALLEST_CELL = 64
_SMALLEST_BOX = 13
_BOX_DISTANCE = 6
_SMALLEST_NAME = 180
_LINE_GAP = 3


def draw_panels(
    inspected: InspectedImage,
    columns: Sequence[Column] = COLUMNS,
    *,
    gray_range: tuple[float, float],
    score_range: tuple[float, float],
    color_map: ColorMap = "jet",
    panel: int = 256,
) -> Picture:
    """Draw an inspected image as a row of panels beneath its verdict, name, score and threshold.

    Columns are the image in gray; the truth, white on black; the scores in colour over the image, more
    opaque the higher they are; the mask, white on black; and the contours: truth white, found red, with a
    box around each defect (yellow if brighter, blue if darker than allowed) and the highest peaks as
    numbers. What was not inspected is hatched.

    Parameters
    ----------
    inspected : InspectedImage
        What to draw.
    columns : sequence of {"image", "truth", "heat", "mask", "contours"}
        Which panels, from left to right. The truth is left out where it is not known.
    gray_range : (float, float)
        Values of the image that are drawn black and white; one range makes images comparable.
    score_range : (float, float)
        Scores at the ends of the colour map, extended to the threshold where this lies outside. Give one
        range for a whole data set: a range of its own makes every good image look bad.
    color_map : {"jet", "turbo", "inferno"}
        Colours of the scores.
    panel : int
        Pixels of a panel's longer side; at least 32. The aspect is kept. Scores and masks keep their
        maxima when they are reduced, so that no small defect is lost.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB picture; the same input gives the same bytes.

    Raises
    ------
    InputError
        If there is no column or an unknown one, a range is not increasing and finite, the colour map is
        unknown, or the panel is too small.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(size=(60, 80)).astype(np.float32)
    >>> inspected = InspectedImage("a.png", image, image, image > 2, 3.1, 2.0, "NG")
    >>> draw_panels(inspected, gray_range=(-3, 3), score_range=(0, 4)).shape
    (236, 1050, 3)
    """
    check_columns(columns, panel)
    present = [column for column in columns if column != "truth" or inspected.truth is not None]
    if not present:
        raise InputError(f'image "{inspected.name}": its truth is not known, and no other column is given.')
    panels = Panels(inspected, panel, checked_range("gray range", gray_range), score_range, color_map)
    widths = [max(panels.shape[1], caption(column).shape[1]) for column in present]
    return draw_row(panels, present, widths, captions=True)


def draw_row(
    panels: "Panels", columns: Sequence[Column], widths: Sequence[int], *, captions: bool, smallest: int = 0
) -> Picture:
    """Draw the heading and the panels of an image on one page, in cells of the given widths."""
    width = max(smallest, sum(widths) + GAP * (len(widths) - 1))
    head, two_lines = _layout(panels.inspected, width)
    top = head + GAP + (caption(columns[0]).shape[0] + 2 if captions else 0)
    # One page for all: memory that is touched for the first time costs more than what is drawn on it.
    page = blank(top + panels.shape[0], width)
    _draw_heading(page, panels.inspected, two_lines=two_lines)
    left = 0
    for column, cell in zip(columns, widths, strict=True):
        if captions:
            name = caption(column)
            page[head + GAP : head + GAP + name.shape[0], left : left + name.shape[1]] = name
        panels.draw(column, page[top:, left : left + panels.shape[1]])
        left += cell + GAP
    return page


def check_columns(columns: Sequence[Column], panel: int) -> None:
    """Refuse columns that are unknown or none, and panels too small to show anything."""
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown or not columns:
        raise InputError(f"columns {list(columns)}: give some of {', '.join(COLUMNS)}.")
    if panel < SMALLEST_PANEL:
        raise InputError(f"panel of {panel} pixels: give at least {SMALLEST_PANEL}.")


def _layout(inspected: InspectedImage, width: int) -> tuple[int, bool]:
    """Return the height of an image's heading, and whether it takes two lines."""
    height = text_size("0", TEXT)[0]
    needed = _chip(inspected.verdict).shape[1] + _SMALLEST_NAME + text_size(_facts(inspected), TEXT)[1]
    two_lines = needed + 3 * GAP > width
    return (2 * height + _LINE_GAP if two_lines else height), two_lines


def _draw_heading(page: Picture, inspected: InspectedImage, *, two_lines: bool) -> None:
    """Draw verdict, name and facts of an image at the top of a page."""
    width = page.shape[1]
    chip, facts = _chip(inspected.verdict), shortened(_facts(inspected), width, TEXT)
    height, facts_width = text_size(facts, TEXT)
    page[: chip.shape[0], : chip.shape[1]] = chip[:, :width]
    left = chip.shape[1] + GAP
    room = width - left - (0 if two_lines else facts_width + 2 * GAP)
    draw_text(page, shortened(inspected.name, max(0, room), TEXT, bold=True), (0, left), TEXT, bold=True)
    corner = (height + _LINE_GAP, 0) if two_lines else (0, width - facts_width)
    draw_text(page, facts, corner, TEXT, colour=FAINT_INK)


@cache
def caption(column: Column) -> Picture:
    """Return a column's name, to stand above its panels."""
    _, width = text_size(column.capitalize(), TEXT)
    picture = text_picture(column.capitalize(), TEXT, max(_SMALLEST_CELL, width), colour=FAINT_INK)
    picture.flags.writeable = False
    return picture


def _facts(inspected: InspectedImage) -> str:
    facts = []
    if np.isfinite(inspected.score):
        sign = ">" if inspected.score > inspected.threshold else "≤"
        facts.append(f"score {inspected.score:.4g} {sign} threshold {inspected.threshold:.4g}")
    if inspected.scores is not None:
        facts.append(counted(len(inspected.defects), "defect"))
    if inspected.label is not None:
        facts.append(f"labelled {inspected.label}")
    if inspected.note:
        facts.append(inspected.note)
    return one_line(" · ".join(facts))


@cache
def _chip(verdict: Verdict) -> Picture:
    """Return the verdict in white letters on its colour."""
    text = verdict.replace("_", " ")
    height, width = text_size(text, _SMALL_TEXT, bold=True)
    chip = blank(text_size("0", TEXT)[0], width + 12, VERDICT_COLOURS[verdict])
    draw_text(chip, text, ((chip.shape[0] - height) // 2, 6), _SMALL_TEXT, colour=PAPER, bold=True)
    chip.flags.writeable = False
    return chip


@dataclass(frozen=True)
class Panels:
    """The panels of one image; what several of them need is computed once."""

    inspected: InspectedImage
    panel: int
    gray_range: tuple[float, float]
    score_range: tuple[float, float]
    color_map: ColorMap

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Return the height and width of each panel with its frame."""
        height, width = self._inner
        return height + 2, width + 2

    def draw(self, column: Column, cell: Picture) -> None:
        """Draw a panel into the upper left of a cell, in a thin frame, which bounds it where it is white."""
        height, width = self.shape
        cell[[0, height - 1], :width] = _FRAME
        cell[:height, [0, width - 1]] = _FRAME
        cell[1 : height - 1, 1 : width - 1] = {
            "image": lambda: self._image,
            "truth": self._truth,
            "heat": self._heat,
            "mask": self._mask,
            "contours": self._contours,
        }[column]()

    @cached_property
    def _inner(self) -> tuple[int, int]:
        return fitted_shape(self.inspected.image.shape, self.panel)

    @cached_property
    def _image(self) -> Picture:
        return gray_panel(fit_image(self.inspected.image, self._inner), self.gray_range)

    @cached_property
    def _magnitude(self) -> NDArray[np.float32] | None:
        magnitude = self.inspected.magnitude
        return None if magnitude is None else fit_scores(magnitude, self._inner)

    @cached_property
    def _known(self) -> NDArray[np.bool_] | None:
        truth = self.inspected.truth
        return None if truth is None else fit_mask(truth, self._inner)

    @cached_property
    def _found(self) -> NDArray[np.bool_] | None:
        mask = self.inspected.mask
        return None if mask is None else fit_mask(mask, self._inner)

    def _truth(self) -> Picture:
        return self._nothing("not known") if self._known is None else mask_panel(self._known)

    def _heat(self) -> Picture:
        if self._magnitude is None:
            return self._nothing("no scores")
        limits = heat_limits(self.score_range, self.inspected.threshold)
        return heat_picture(self._magnitude, limits, self._image, self.color_map)

    def _mask(self) -> Picture:
        if self._found is None or self._magnitude is None:
            return self._nothing("no scores")
        return hatched(mask_panel(self._found), np.isneginf(self._magnitude))

    def _contours(self) -> Picture:
        picture = self._image.copy()
        width = max(1, self.panel // 256)
        if self._known is not None:
            # Further out than what was found: where they agree, both are seen.
            truth = _outlines(self._known, distance=2 * width)
            cv2.drawContours(picture, truth, -1, CASING_COLOUR, width + 2)
            cv2.drawContours(picture, truth, -1, TRUTH_COLOUR, width)
        if self._found is not None:
            found = _outlines(self._found, distance=width)
            cv2.drawContours(picture, found, -1, FOUND_COLOUR, width)
        worst = sorted(self.inspected.defects, key=lambda defect: (-defect.peak, defect.box))[:MAXIMUM_BOXES]
        scale = self._inner[0] / self.inspected.image.shape[0]
        boxes = [_panel_box(defect, scale, self._inner) for defect in worst]
        colours = [DARK_COLOUR if defect.polarity == "dark" else BRIGHT_COLOUR for defect in worst]
        for (top, left, bottom, right), colour in zip(boxes, colours, strict=True):
            cv2.rectangle(picture, (left, top), (right, bottom), CASING_COLOUR, width + 2)
            cv2.rectangle(picture, (left, top), (right, bottom), colour, width)
        for i, defect in enumerate(worst[:LABELLED_BOXES]):
            _label(picture, f"{defect.peak:.3g}", boxes[i], colours[i])
        return picture

    def _nothing(self, reason: str) -> Picture:
        """Return a hatched panel that says why it is empty."""
        picture = hatching(self._inner)
        height, width = text_size(reason, TEXT)
        if width < self._inner[1]:
            corner = (self._inner[0] - height) // 2, (self._inner[1] - width) // 2
            draw_text(picture, reason, corner, TEXT, colour=INK, halo=3, halo_colour=PAPER)
        return picture


def _outlines(mask: NDArray[np.bool_], distance: int) -> list[NDArray[np.int32]]:
    """Return the contours of a mask, outside it, so that what they surround stays visible."""
    margin = distance + 1
    padded = np.pad(mask.astype(np.uint8), margin)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * distance + 1, 2 * distance + 1))
    contours, _ = cv2.findContours(cv2.dilate(padded, disk), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    # Along the border, where there is no outside, the line lies on the outermost pixels.
    last = np.array(mask.shape[::-1], dtype=np.int32) - 1
    return [np.clip(contour - np.int32(margin), 0, last) for contour in contours]


def _panel_box(defect: DrawnDefect, scale: float, shape: tuple[int, int]) -> _Box:
    """Return a box in panel pixels, at a distance from the defect, within the panel, and not too small."""
    y0, x0, y1, x1 = (edge * scale - 0.5 for edge in defect.box)
    sides = []
    for low, high, length in ((y0, y1, shape[0]), (x0, x1, shape[1])):
        middle, half = (low + high) / 2, max((high - low) / 2 + _BOX_DISTANCE, _SMALLEST_BOX / 2)
        sides.append((max(0, round(middle - half)), min(length - 1, round(middle + half))))
    (top, bottom), (left, right) = sides
    return top, left, bottom, right


def _label(picture: Picture, text: str, box: _Box, colour: Colour) -> None:
    """Write a number on a dark plate above a box, or below it where there is no room."""
    height, width = text_size(text, _SMALL_TEXT)
    top = box[0] - height - 1
    if top < 0:
        top = max(0, min(box[2] + 2, picture.shape[0] - height))
    left = min(box[1], max(0, picture.shape[1] - width - 4))
    picture[top : top + height, left : left + width + 4] = CASING_COLOUR
    draw_text(picture, text, (top, left + 2), _SMALL_TEXT, colour=colour)
