"""Where defects lie: how many masks cover each pixel, over the mean image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rendering.colour import contrast_limits
from scorefold.rendering.inspection.fitting import fit_image, fit_scores, fitted_shape
from scorefold.rendering.inspection.heat import ColorMap, gray_panel, heat_bar, heat_picture
from scorefold.rendering.legend import SMALLEST_COLUMN, counted, framed
from scorefold.rendering.picture import Picture, above, blank

_TEXT = 13


def draw_density(
    counts: NDArray[Any],
    mean_image: NDArray[Any] | None = None,
    *,
    images: int,
    title: str = "Where defects lie",
    gray_range: tuple[float, float] | None = None,
    color_map: ColorMap = "turbo",
    panel: int = 640,
) -> Picture:
    """Draw how many defect masks cover each pixel, in colour over the mean image.

    Parameters
    ----------
    counts : (H, W) integer array
        Masks that cover each pixel; at least 0.
    mean_image : (H, W) array, optional
        What a good image looks like, drawn underneath; without it the ground is black.
    images : int
        How many images were counted, for the remark.
    title : str
        Printed above.
    gray_range : (float, float), optional
        Values of the mean image drawn black and white; its 1st and 99th percentile by default.
    color_map : {"jet", "turbo", "inferno"}
        Colours of the counts, from 0 to the largest.
    panel : int
        Pixels of the picture's longer side; what is reduced keeps its maxima.

    Returns
    -------
    (H', W', 3) uint8 array
        RGB picture; the same input gives the same bytes.

    Raises
    ------
    InputError
        If the counts are not 2D integers of at least 0, or the mean image differs in shape.

    Examples
    --------
    >>> counts = np.zeros((60, 80), np.int64)
    >>> counts[20:30, 40:60] = 7
    >>> draw_density(counts, images=120).dtype
    dtype('uint8')
    """
    if counts.ndim != 2 or counts.size == 0 or counts.dtype.kind not in "iu" or counts.min() < 0:
        raise InputError(
            f"defect density of shape {counts.shape} and type {counts.dtype}: "
            "give a 2D array of whole numbers of at least 0."
        )
    if mean_image is not None and mean_image.shape != counts.shape:
        raise InputError(
            f"mean image of shape {mean_image.shape} for a defect density of shape {counts.shape}: "
            "give them alike."
        )
    shape = fitted_shape(counts.shape, panel)
    ground = blank(*shape, (0, 0, 0))
    if mean_image is not None:
        ground = gray_panel(fit_image(mean_image, shape), gray_range or contrast_limits(mean_image))
    highest = int(counts.max())
    limits = (0.0, float(max(1, highest)))
    panel_counts = fit_scores(counts.astype(np.float32), shape)
    picture = heat_picture(panel_counts, limits, ground, color_map)
    # No tint where there never was a defect: a single one stands out.
    nowhere = panel_counts == 0
    picture[nowhere] = ground[nowhere]
    width = max(shape[1], SMALLEST_COLUMN)
    bar = heat_bar(limits, None, width, _TEXT, color_map, whole=True)
    remark = (
        f"{counted(images, 'image')} · at most {counted(highest, 'defect')} at one pixel"
        if highest
        else f"{counted(images, 'image')} · no defects"
    )
    return framed(title, remark, above([picture, bar], gap=_TEXT // 2), _TEXT)
