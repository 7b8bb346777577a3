"""A 3D target with its picks: three slices through the best pick beside the score's projections."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError
from scorefold.rendering.colour import (
    ACCENT,
    CASING,
    INK,
    contrast_limits,
    gray_picture,
    score_limits,
    score_picture,
)
from scorefold.rendering.grid import PanelGrid, fit_panel
from scorefold.rendering.ink import draw_lines, draw_text
from scorefold.rendering.legend import (
    SMALLEST_COLUMN,
    captioned,
    check_scale,
    check_threshold,
    colour_bar,
    counted,
    framed,
    scale_bar,
    text_height,
)
from scorefold.rendering.marks import Mark, draw_marks, draw_rings, pick_label
from scorefold.rendering.outline import section_outline
from scorefold.rendering.pick import DrawnPick, check_dimensions
from scorefold.rendering.picture import Picture, above, beside

_SLAB_ELEMENTS = 16_000_000
_GAP = 6
_LABELS = 12


class View(NamedTuple):
    """How a plane of the volume lies on the page."""

    name: str
    normal: int
    """Axis across the plane."""
    axes: tuple[int, int]
    """Axes along the rows and the columns of the panel."""


VIEWS = (View("xy", 0, (1, 2)), View("xz", 1, (0, 2)), View("zy", 2, (1, 0)))


class VolumeLike(Protocol):
    """What is needed of a volume: NumPy and Zarr arrays have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths along (z, y, x)."""
        ...

    def __getitem__(self, region: Any, /) -> Any:
        """Return the elements in a region given as integers and slices."""
        ...


def overlay_volume(
    volume: VolumeLike,
    score_volume: VolumeLike,
    picks: Sequence[DrawnPick],
    template_mask: ArrayLike,
    *,
    threshold: float,
    title: str,
    pixel_size: float | None = None,
    unit: str | None = None,
    factor: int = 1,
    maximum_pixels: int = 640_000,
) -> Picture:
    """Draw three orthogonal slices of a volume through its best pick, beside projections of the scores.

    The slices show the image in gray with the cross-section of the turned mask of every pick that the
    slice meets; short marks at the borders say where the other two slices cut. The projections show the
    highest score along each axis, and all picks as rings. Views are laid out so that neighbours share
    an axis: xy upper left, xz below it, zy to its right. Only the three slices of the volume are read;
    the scores are read once, slab by slab.

    Parameters
    ----------
    volume : (Z, Y, X) array-like
        The target, or the target reduced by `factor`: NumPy array, Zarr array, memory map.
    score_volume : (Z, Y, X) array-like
        Scores on the same grid.
    picks : sequence of DrawnPick
        In coordinates of the full-resolution target, any order. Without any, the slices go through the
        middle.
    template_mask : (d, h, w) array_like
        Where the template counts, in voxels of the full-resolution target.
    threshold : float
        Score above which a position is a pick; marked on the colour bar.
    title : str
        Printed above the panels, shortened to fit.
    pixel_size : float, optional
        Length of a voxel of the full-resolution target; draws a scale bar.
    unit : str, optional
        Unit of `pixel_size`; needed with it.
    factor : int
        How many voxels of the target make one element of `volume` along each axis.
    maximum_pixels : int
        Largest area of the three views together.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB picture; the same input gives the same bytes.

    Raises
    ------
    InputError
        If the volumes are not 3D or differ in shape, a pick is not 3D, the threshold is not
        finite, or a pixel size comes without a unit or is not positive.

    Examples
    --------
    >>> volume = np.random.default_rng(0).normal(size=(20, 40, 50))
    >>> pick = DrawnPick(np.array([10.0, 20.0, 30.0]), np.eye(3), score=0.8, rank=1, target="noise")
    >>> picture = overlay_volume(
    ...     volume, np.abs(volume) / 9, [pick], np.ones((7, 7, 7)), threshold=0.5, title="noise"
    ... )
    >>> picture.dtype
    dtype('uint8')
    """
    shape = tuple(volume.shape)
    if len(shape) != 3 or tuple(score_volume.shape) != shape or 0 in shape:
        raise InputError(f"volume {shape} and scores {tuple(score_volume.shape)}: give two 3D arrays alike.")
    check_dimensions(picks, 3)
    check_scale(pixel_size, unit)
    check_threshold(threshold)
    best_first = sorted(picks, key=lambda pick: (-pick.score, pick.rank))
    depth, height, width = shape
    grid = fit_panel((height + depth, width + depth), maximum_pixels, factor)
    middle = best_first[0].position if best_first else (np.array(shape) * factor - 1) / 2
    cut = np.clip(np.rint((middle + 0.5) / factor - 0.5), 0, np.array(shape) - 1).astype(int)

    block_width = grid.length(width) + _GAP + grid.length(depth)
    text = text_height(2 * max(block_width, SMALLEST_COLUMN))
    mask = np.asarray(template_mask, dtype=np.float64)
    # Half the box: masks seldom fill theirs, and projections are crowded.
    extent = min(mask.shape) / 2 * grid.pixels_per_voxel
    left = _slice_block(volume, cut, best_first, mask, grid, text)
    right, limits = _projection_block(score_volume, best_first, extent, threshold, grid, text)

    column = max(left.shape[1], SMALLEST_COLUMN)
    z, y, x = (cut * factor).tolist()
    through = f"pick {best_first[0].rank}" if best_first else "the middle"
    slices = captioned(left, f"Slices through {through}: x {x}, y {y}, z {z}", column, text)
    if pixel_size is not None and unit is not None:
        slices = above(
            [slices, scale_bar(column, grid.pixels_per_voxel / pixel_size, unit, text)], gap=text // 2
        )
    scores = above(
        [
            captioned(right, "Best score over all rotations, highest along each axis", column, text),
            colour_bar(limits, threshold, column, text, opaque=True),
        ],
        gap=text // 2,
    )
    size = " × ".join(str(length * factor) for length in reversed(shape))
    return framed(
        title, f"{counted(len(picks), 'pick')} · {size} voxels", beside([slices, scores], gap=2 * text), text
    )


def maximum_projections(volume: VolumeLike) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the maximum of a volume along each axis, reading it once in slabs.

    Parameters
    ----------
    volume : (Z, Y, X) array-like
        A slab is a whole number of chunks deep where the volume has `chunks`.

    Returns
    -------
    arrays of shape (Y, X), (Z, X), (Z, Y)
        Maxima along z, y, x, in the volume's dtype; NaN is ignored.

    Examples
    --------
    >>> along_z, along_y, along_x = maximum_projections(np.arange(24).reshape(2, 3, 4))
    >>> along_x
    array([[ 3,  7, 11],
           [15, 19, 23]])
    """
    depth, height, width = volume.shape
    chunk = getattr(volume, "chunks", None) or (1,)
    slab = max(_SLAB_ELEMENTS // (height * width * chunk[0]), 1) * chunk[0]
    along_z: NDArray[Any] | None = None
    along_y, along_x = [], []
    for start in range(0, depth, slab):
        part = np.asarray(volume[start : min(start + slab, depth)])
        highest = np.fmax.reduce(part, axis=0)
        along_z = highest if along_z is None else np.fmax(along_z, highest)
        along_y.append(np.fmax.reduce(part, axis=1))
        along_x.append(np.fmax.reduce(part, axis=2))
    if along_z is None:
        raise InputError(f"volume {tuple(volume.shape)} without slices: it has no projection.")
    return along_z, np.concatenate(along_y), np.concatenate(along_x)


def _slice_block(
    volume: VolumeLike,
    cut: NDArray[np.intp],
    picks: Sequence[DrawnPick],
    mask: NDArray[np.float64],
    grid: PanelGrid,
    text: int,
) -> Picture:
    """Return the three slices at the indices `cut`, with the cross-sections of the picks they meet."""
    z, y, x = cut.tolist()
    slices = [np.asarray(volume[z, :, :]), np.asarray(volume[:, y, :]), np.asarray(volume[:, :, x]).T]
    limits = contrast_limits(np.concatenate([section.ravel() for section in slices]))
    plane = (cut + 0.5) * grid.factor - 0.5
    panels = []
    for view, section in zip(VIEWS, slices, strict=True):
        panel = gray_picture(grid.reduce_mean(section), limits)
        draw_marks(
            panel, _section_marks(picks, mask, view, float(plane[view.normal]), grid), text, labels=_LABELS
        )
        _draw_cuts(panel, grid.to_panel(plane[list(view.axes)]), text)
        _draw_name(panel, view, text)
        panels.append(panel)
    return _arranged(panels)


def _projection_block(
    scores: VolumeLike,
    picks: Sequence[DrawnPick],
    extent: float,
    threshold: float,
    grid: PanelGrid,
    text: int,
) -> tuple[Picture, tuple[float, float]]:
    """Return the three projections with all picks as rings, and the scores at the ends of their colours."""
    along_z, along_y, along_x = maximum_projections(scores)
    projections = [along_z, along_y, along_x.T]
    limits = score_limits(np.concatenate([projection.ravel() for projection in projections]), threshold)
    panels = []
    for view, projection in zip(VIEWS, projections, strict=True):
        panel = score_picture(grid.reduce_maximum(projection), limits)
        centres = [grid.to_panel(pick.position[list(view.axes)]) for pick in picks]
        draw_rings(panel, centres, extent)
        _draw_name(panel, view, text)
        panels.append(panel)
    return _arranged(panels), limits


def _section_marks(
    picks: Sequence[DrawnPick], mask: NDArray[np.float64], view: View, plane: float, grid: PanelGrid
) -> list[Mark]:
    """Return the marks of the picks whose mask meets the plane."""
    marks = []
    for pick in picks:
        outline = section_outline(mask, pick.rotation, view.axes, plane - float(pick.position[view.normal]))
        centre = pick.position[list(view.axes)]
        if outline:
            lines = tuple(grid.to_panel(line + centre) for line in outline)
            marks.append(Mark(grid.to_panel(centre), lines, pick_label(pick)))
    return marks


def _draw_cuts(panel: Picture, cut: NDArray[np.float64], text: int) -> None:
    """Draw short marks at the four borders where the other two slices cut this one."""
    (row, column), (height, width) = cut, panel.shape[:2]
    ends = [np.array([[row, start], [row, start + text]]) for start in (0, width - 1 - text)] + [
        np.array([[start, column], [start + text, column]]) for start in (0, height - 1 - text)
    ]
    draw_lines(panel, ends, ACCENT, 1, casing=1)


def _draw_name(panel: Picture, view: View, text: int) -> None:
    corner = (text // 2, text // 2)
    draw_text(panel, view.name, corner, text, colour=CASING, bold=True, halo=2, halo_colour=INK)


def _arranged(panels: Sequence[Picture]) -> Picture:
    """Put zy to the right of xy, and xz below it: neighbours share an axis."""
    xy, xz, zy = panels
    return above([beside([xy, zy], gap=_GAP), xz], gap=_GAP)
