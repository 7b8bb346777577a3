"""Contact sheets: the template, then every pick cut out and turned upright, best first."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError
from scorefold.rendering.colour import ACCENT, FAINT_INK, INK, contrast_limits, gray_picture
from scorefold.rendering.ink import text_picture
from scorefold.rendering.legend import counted, framed
from scorefold.rendering.marks import pick_label
from scorefold.rendering.pick import DrawnPick
from scorefold.rendering.picture import Colour, Picture, above, beside, blank, with_margin

PANELS_PER_PAGE = 100
_TEXT = 12
_GAP = 14
_FRAME = 3
_PAGE_WIDTH = 1400
_SMALLEST_PAGE = 560
_SMALLEST_PANEL = 96
_VIEW_GAP = 3
_LONGEST_SIDE = {2: (240, 168, 120), 3: (168, 120, 84)}
"""Pixels of a view's longest side for few, some and many panels, by the template's axes."""
_LEAST_SHARE = 0.1
"""Of the contrast that all picks share, a target's picks use so much, or every target has its own."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """A pick and what `cut_out` found there.

    Parameters
    ----------
    pick : DrawnPick
        Where and how turned.
    pixels : float array of the template's shape
        Upright; NaN outside the target.
    """

    pick: DrawnPick
    pixels: NDArray[Any]


def contact_sheets(
    cutouts: Sequence[Cutout],
    template: ArrayLike,
    *,
    title: str = "Contact sheet",
    panels_per_page: int = PANELS_PER_PAGE,
) -> list[Picture]:
    """Lay out upright picks beside their template, in pages.

    Every page starts with the framed template, so that it can be judged alone; the picks follow by
    descending score, each with rank, score, rotation and, where picks come from several targets, the
    target. All picks of all pages share one contrast (1st to 99th percentile), or else all of a target, if the
    ranges of targets differ much, as those of 8 and 16 bit do; the template has its own, since it may be in
    other units. Volumes show their three central slices xy, xz, zy. What lies
    outside the target is hatched.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Any order.
    template : (h, w) or (d, h, w) array_like
        The template.
    title : str
        Printed at the top of every page.
    panels_per_page : int
        Most panels on a page, the template among them; at least 2.

    Returns
    -------
    list of (H, W, 3) uint8 arrays
        At least one page: without picks it shows the template.

    Raises
    ------
    InputError
        If the template is not 2D or 3D, a cutout differs from it in shape, or `panels_per_page` < 2.

    Examples
    --------
    >>> template = np.eye(16)
    >>> pick = DrawnPick(np.array([30.0, 40.0]), np.eye(2), score=0.8, rank=1, target="a.tif")
    >>> pages = contact_sheets([Cutout(pick, template)] * 250, template)
    >>> len(pages)  # 99 picks and the template on each
    3
    """
    model = np.asarray(template)
    if model.ndim not in {2, 3} or model.size == 0:
        raise InputError(f"template of shape {model.shape}: a contact sheet needs 2 or 3 axes.")
    for cutout in cutouts:
        if cutout.pixels.shape != model.shape:
            raise InputError(
                f"pick {cutout.pick.rank} cut out as {cutout.pixels.shape}: "
                f"cut it out in the template's shape {model.shape}."
            )
    if panels_per_page < 2:
        raise InputError(f"{panels_per_page} panels per page: give at least 2, for the template and a pick.")
    best_first = sorted(cutouts, key=lambda cutout: (-cutout.pick.score, cutout.pick.rank))
    views = [_central_views(cutout.pixels) for cutout in best_first]
    limits = _limits_of_targets([cutout.pick.target for cutout in best_first], views)
    several_targets = len({cutout.pick.target for cutout in best_first}) > 1

    per_page = panels_per_page - 1
    pages = max(1, ceil(len(best_first) / per_page))
    zoom = _zoom(model.shape, min(len(best_first), per_page) + 1)
    first = _template_panel(_central_views(model), zoom)
    sheets = []
    for page in range(pages):
        span = slice(page * per_page, (page + 1) * per_page)
        panels = [
            _pick_panel(cutout.pick, views_, limits[cutout.pick.target], zoom, several_targets)
            for cutout, views_ in zip(best_first[span], views[span], strict=True)
        ]
        remark = counted(len(best_first), "pick")
        if pages > 1:
            last = page * per_page + len(panels)
            remark = f"picks {page * per_page + 1}–{last} of {len(best_first)} · page {page + 1} of {pages}"
        if model.ndim == 3:
            remark += " · central slices xy, xz, zy"
        sheets.append(framed(title, remark, _tiled([first, *panels]), _TEXT + 1))
    return sheets


def _limits_of_targets(
    targets: Sequence[str], views: Sequence[Sequence[NDArray[Any]]]
) -> dict[str, tuple[float, float]]:
    """Return the contrast of each target's picks: one for all, unless somebody's range would be lost in it."""
    values: dict[str, list[NDArray[Any]]] = {}
    for target, row in zip(targets, views, strict=True):
        values.setdefault(target, []).extend(view.ravel() for view in row)
    own = {target: contrast_limits(np.concatenate(parts)) for target, parts in values.items()}
    low, high = contrast_limits(
        np.concatenate([np.zeros(0), *(part for parts in values.values() for part in parts)])
    )
    if all(top - bottom >= _LEAST_SHARE * (high - low) for bottom, top in own.values()):
        return dict.fromkeys(own, (low, high))
    return own


def _central_views(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the array itself, or a volume's central slices xy, xz, zy."""
    if array.ndim == 2:
        return [array]
    z, y, x = (length // 2 for length in array.shape)
    return [array[z, :, :], array[:, y, :], array[:, :, x].T]


def _zoom(shape: tuple[int, ...], panels: int) -> float:
    """Return pixels per voxel: fewer panels are drawn larger."""
    size = 0 if panels <= 12 else 1 if panels <= 48 else 2
    return _LONGEST_SIDE[len(shape)][size] / max(shape)


def _template_panel(views: Sequence[NDArray[Any]], zoom: float) -> Picture:
    limits = contrast_limits(np.concatenate([view.ravel() for view in views]))
    picture = with_margin(_row(views, limits, zoom), _FRAME)
    picture[:_FRAME] = picture[-_FRAME:] = ACCENT
    picture[:, :_FRAME] = picture[:, -_FRAME:] = ACCENT
    return _labelled(picture, [("Template", ACCENT, True)])


def _pick_panel(
    pick: DrawnPick,
    views: Sequence[NDArray[Any]],
    limits: tuple[float, float],
    zoom: float,
    with_target: bool,
) -> Picture:
    labels = [(pick_label(pick), INK, True), (pick.rotation_label, FAINT_INK, False)]
    if with_target:
        labels.append((pick.target, FAINT_INK, False))
    return _labelled(with_margin(_row(views, limits, zoom), _FRAME), labels)


def _row(views: Sequence[NDArray[Any]], limits: tuple[float, float], zoom: float) -> Picture:
    """Return the views of one array beside one another."""
    return beside([gray_picture(_resized(view, zoom), limits) for view in views], gap=_VIEW_GAP)


def _resized(view: NDArray[Any], zoom: float) -> NDArray[np.float32]:
    """Return a view resized smoothly; pixels without data stay without."""
    values = np.asarray(view, dtype=np.float32)
    height, width = (max(1, round(length * zoom)) for length in values.shape)
    missing = np.isnan(values)
    # Any ordinary value will do: what it touches is at most one template voxel beside the hatching.
    filled = np.where(missing, np.mean(values, where=~missing) if not missing.all() else 0, values)
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(filled, (width, height), interpolation=method)
    nowhere = cv2.resize(missing.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.where(nowhere != 0, np.float32(np.nan), resized)


def _labelled(picture: Picture, labels: Sequence[tuple[str, Colour, bool]]) -> Picture:
    """Return a panel with lines of text (text, colour, bold) beneath."""
    width = max(picture.shape[1], _SMALLEST_PANEL)
    lines = [text_picture(text, _TEXT, width, colour=colour, bold=bold) for text, colour, bold in labels]
    return above([above([picture, blank(2, width)]), *lines])


def _tiled(panels: Sequence[Picture]) -> Picture:
    """Lay panels out in rows that fill a page's width; the page is wide enough for its title."""
    width = max(panel.shape[1] for panel in panels)
    columns = min(max(1, (_PAGE_WIDTH + _GAP) // (width + _GAP)), len(panels))
    rows = [
        beside([_widened(panel, width) for panel in panels[start : start + columns]], gap=_GAP)
        for start in range(0, len(panels), columns)
    ]
    return _widened(above(rows, gap=_GAP), _SMALLEST_PAGE)


def _widened(picture: Picture, width: int) -> Picture:
    """Return the picture with paper to its right, at least `width` pixels wide."""
    missing = width - picture.shape[1]
    return beside([picture, blank(picture.shape[0], missing)]) if missing > 0 else picture
