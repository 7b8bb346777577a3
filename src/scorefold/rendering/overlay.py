"""A 2D target with its picks: the image with outlines beside the score map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError
from scorefold.rendering.colour import contrast_limits, dimmed, gray_picture, score_limits, score_picture
from scorefold.rendering.grid import fit_panel
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
from scorefold.rendering.marks import draw_marks, draw_rings, plane_mark, usual_extent
from scorefold.rendering.pick import DrawnPick, check_dimensions
from scorefold.rendering.picture import Picture, above, beside

_WIDE = 1.6


def overlay_image(
    image: ArrayLike,
    score_map: ArrayLike,
    picks: Sequence[DrawnPick],
    template_outline: Sequence[NDArray[np.float64]],
    *,
    threshold: float,
    title: str,
    pixel_size: float | None = None,
    unit: str | None = None,
    factor: int = 1,
    maximum_pixels: int = 1_440_000,
) -> Picture:
    """Draw a 2D target with its picks beside its score map.

    The left panel shows the image in gray (1st to 99th percentile) with the template's outline at each
    pick, turned as found; a line from the centre points to the template's upper edge. The right panel
    shows the scores over the image, coloured, and more opaque the higher they are; the bar below marks
    the threshold. Wide targets have the panels one above the other.

    Parameters
    ----------
    image : (H, W) array_like
        The target, or the target reduced by `factor`. NaN is hatched.
    score_map : (H, W) array_like
        Scores on the same grid. What is not finite is drawn as the lowest score.
    picks : sequence of DrawnPick
        In coordinates of the full-resolution target, any order.
    template_outline : sequence of (n, 2) float64 arrays
        From `mask_outline`, in voxels of the full-resolution target.
    threshold : float
        Score above which a position is a pick; marked on the colour bar.
    title : str
        Printed above the panels, shortened to fit.
    pixel_size : float, optional
        Length of a voxel of the full-resolution target; draws a scale bar.
    unit : str, optional
        Unit of `pixel_size`, such as "Å" or "µm"; needed with it.
    factor : int
        How many voxels of the target make one element of `image` along each axis.
    maximum_pixels : int
        Largest area of a panel; larger images are averaged, score maps keep their maxima. Small images
        are enlarged by a whole factor.

    Returns
    -------
    (H', W', 3) uint8 array
        RGB picture; the same input gives the same bytes.

    Raises
    ------
    InputError
        If image and score map are not 2D or differ in shape, a pick is not 2D, the threshold is
        not finite, or a pixel size comes without a unit or is not positive.

    Examples
    --------
    >>> from scorefold.rendering import mask_outline
    >>> image = np.random.default_rng(0).normal(size=(60, 80))
    >>> pick = DrawnPick(np.array([30.0, 40.0]), np.eye(2), score=0.8, rank=1, target="noise")
    >>> picture = overlay_image(
    ...     image, np.abs(image) / 9, [pick], mask_outline(np.ones((9, 9))), threshold=0.5, title="noise"
    ... )
    >>> picture.shape, picture.dtype
    ((865, 1844, 3), dtype('uint8'))
    """
    pixels, scores = np.asarray(image), np.asarray(score_map)
    if pixels.ndim != 2 or scores.shape != pixels.shape or pixels.size == 0:
        raise InputError(
            f"image {pixels.shape} and score map {scores.shape}: an overlay needs two 2D arrays alike."
        )
    check_dimensions(picks, 2)
    check_scale(pixel_size, unit)
    check_threshold(threshold)
    grid = fit_panel((pixels.shape[0], pixels.shape[1]), maximum_pixels, factor)
    values = grid.reduce_mean(pixels)
    ground = gray_picture(values, contrast_limits(values))
    limits = score_limits(scores, threshold)
    score_panel = score_picture(grid.reduce_maximum(scores), limits, dimmed(ground))

    column = max(ground.shape[1], SMALLEST_COLUMN)
    stacked = ground.shape[1] > _WIDE * ground.shape[0]
    text = text_height(column if stacked else 2 * column)
    best_first = sorted(picks, key=lambda pick: (-pick.score, pick.rank))
    marks = [plane_mark(pick, template_outline, grid) for pick in best_first]
    labelled = draw_marks(ground, marks, text)
    draw_rings(score_panel, [mark.centre for mark in marks], usual_extent(marks))

    image_column = captioned(
        ground, "Picks, outlined as the template was turned, with rank and score", column, text
    )
    if pixel_size is not None and unit is not None:
        bar = scale_bar(column, grid.pixels_per_voxel / pixel_size, unit, text)
        image_column = above([image_column, bar], gap=text // 2)
    score_column = above(
        [
            captioned(score_panel, "Best score over all rotations", column, text),
            colour_bar(limits, threshold, column, text),
        ],
        gap=text // 2,
    )
    body = (
        above([image_column, score_column], gap=text)
        if stacked
        else beside([image_column, score_column], gap=2 * text)
    )
    size = " × ".join(str(length * factor) for length in reversed(pixels.shape))
    remark = f"{counted(len(picks), 'pick')}{_labelled(labelled, len(picks))} · {size} pixels"
    return framed(title, remark, body, text)


def _labelled(labelled: int, picks: int) -> str:
    return f" ({labelled} labelled)" if labelled < picks else ""
