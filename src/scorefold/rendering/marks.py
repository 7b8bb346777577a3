"""Picks on a panel: outlines or rings, with labels that never cover one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scorefold.rendering.colour import ACCENT, LIGHT_ACCENT
from scorefold.rendering.grid import PanelGrid
from scorefold.rendering.ink import draw_lines, draw_text, text_size
from scorefold.rendering.pick import DrawnPick
from scorefold.rendering.picture import Picture

MAXIMUM_LABELS = 60
SMALLEST_OUTLINE = 8.0
"""Pixels across below which an outline is drawn as a ring, since its shape could not be seen."""
SMALLEST_POINTER = 24.0
"""Pixels across below which an outline has no line towards the template's upper edge."""
SMALLEST_RING, LARGEST_RING = 6.0, 16.0
_WIDE_MARK = 40.0


@dataclass(frozen=True, eq=False)
class Mark:
    """A pick in panel coordinates (y, x).

    Parameters
    ----------
    centre : (2,) float64 array
        The pick's position.
    outlines : tuple of (n, 2) float64 arrays
        Closed lines around the pick.
    label : str
        Text beside the pick; empty for none.
    tip : (2,) float64 array or None
        End of a line from the centre towards the template's upper edge; shows the rotation of a disk.
    """

    centre: NDArray[np.float64]
    outlines: tuple[NDArray[np.float64], ...]
    label: str
    tip: NDArray[np.float64] | None = None

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Return top, left, bottom, right of the outlines (of the centre where there are none)."""
        points = np.vstack([self.centre[np.newaxis], *self.outlines])
        return *points.min(axis=0).tolist(), *points.max(axis=0).tolist()

    @property
    def extent(self) -> float:
        """Return the longer side of the box in pixels."""
        top, left, bottom, right = self.box
        return max(bottom - top, right - left)


def pick_label(pick: DrawnPick) -> str:
    """Return rank and score, as printed beside a pick."""
    return f"#{pick.rank} {pick.score:#.3g}"


def plane_mark(pick: DrawnPick, outline: Sequence[NDArray[np.float64]], grid: PanelGrid) -> Mark:
    """Return the mark of a 2D pick, its outline given in voxels from the template's rotation centre."""
    lines = tuple(grid.to_panel(line @ pick.rotation.T + pick.position) for line in outline)
    upper_edge = min((float(line[:, 0].min()) for line in outline), default=0.0)
    tip = pick.rotation @ np.array([0.6 * upper_edge, 0.0]) + pick.position
    return Mark(grid.to_panel(pick.position), lines, pick_label(pick), grid.to_panel(tip))


def draw_marks(picture: Picture, marks: Sequence[Mark], text: int, *, labels: int = MAXIMUM_LABELS) -> int:
    """Draw marks into a panel, best first, and return how many were labelled.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
        Drawn into.
    marks : sequence of Mark
        Best first: a label that would cover an earlier one is left out.
    text : int
        Font size in pixels.
    labels : int
        Most labels to be drawn.
    """
    lines: list[NDArray[np.float64]] = []
    for mark in marks:
        if mark.extent < SMALLEST_OUTLINE:
            lines.append(_ring(mark.centre, mark.extent))
            continue
        lines.extend(mark.outlines)
        if mark.tip is not None and mark.extent >= SMALLEST_POINTER:
            lines.append(np.stack([mark.centre, mark.tip]))
    draw_lines(picture, lines, ACCENT, _line_width(usual_extent(marks)), casing=1)
    return _draw_labels(picture, marks, text, labels)


def usual_extent(marks: Sequence[Mark]) -> float:
    """Return the median extent of marks in pixels; 0 without marks."""
    return float(np.median([mark.extent for mark in marks])) if marks else 0.0


def draw_rings(picture: Picture, centres: Sequence[NDArray[np.float64]], extent: float) -> None:
    """Draw a ring around each (y, x) into a dark panel, small enough for picks `extent` pixels across."""
    draw_lines(picture, [_ring(centre, extent) for centre in centres], LIGHT_ACCENT, _line_width(extent))


def _line_width(extent: float) -> int:
    """Return a width that leaves the inside of a pick visible."""
    return 1 if extent < _WIDE_MARK else 2


def _ring(centre: NDArray[np.float64], extent: float) -> NDArray[np.float64]:
    turn = np.linspace(0.0, 2 * np.pi, 49)
    circle: NDArray[np.float64] = np.column_stack([np.sin(turn), np.cos(turn)])
    return centre + min(max(extent / 3, SMALLEST_RING), LARGEST_RING) * circle


def _draw_labels(picture: Picture, marks: Sequence[Mark], text: int, most: int) -> int:
    """Place each label right, left, below or above its mark, where it covers the fewest other marks."""
    height, width = picture.shape[:2]
    gap = max(3, text // 4)
    mark_boxes = np.array([mark.box for mark in marks]).reshape(-1, 4)
    labels = np.empty((0, 4))
    for mark in marks:
        if len(labels) >= most:
            break
        rows, columns = text_size(mark.label, text, bold=True)
        top, left, bottom, right = mark.box
        row, column = mark.centre - np.array([rows, columns]) / 2
        places = (
            (row, right + gap),
            (row, left - gap - columns),
            (bottom + 1, column),
            (top - rows - 1, column),
        )
        free = []
        for y, x in places:
            box = np.array([y, x, y + rows, x + columns])
            inside = y >= 0 and x >= gap and box[2] <= height and box[3] <= width - gap
            if mark.label and inside and not _overlapping(box, labels):
                free.append((_overlapping(box, mark_boxes), box))
        if not free:
            continue
        _, box = min(free, key=lambda place: place[0])
        corner = (round(box[0]), round(box[1]))
        draw_text(picture, mark.label, corner, text, colour=ACCENT, bold=True, halo=max(2, text // 6))
        labels = np.vstack([labels, box])
    return len(labels)


def _overlapping(box: NDArray[np.float64], others: NDArray[np.float64]) -> int:
    """Return how many of the other boxes (top, left, bottom, right) the box touches."""
    apart = (
        (others[:, 0] >= box[2])
        | (others[:, 2] <= box[0])
        | (others[:, 1] >= box[3])
        | (others[:, 3] <= box[1])
    )
    return int(np.count_nonzero(~apart))
