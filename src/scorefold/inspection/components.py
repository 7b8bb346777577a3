"""Defects: the connected components of an anomaly mask, measured."""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError


@dataclass(frozen=True)
class Defect:
    """One connected group of anomalous pixels.

    Attributes
    ----------
    box : (int, int, int, int)
        Bounding box (y0, x0, y1, x1); the upper ends are not part of it.
    area : int
        Number of pixels.
    peak : float
        Largest magnitude of a score.
    peak_position : (int, int)
        Where it is, (y, x); the first in reading order of several.
    centroid : (float, float)
        Mean position of the pixels, (y, x).
    polarity : {"bright", "dark"}
        Sign of the score at the peak.
    """

    box: tuple[int, int, int, int]
    area: int
    peak: float
    peak_position: tuple[int, int]
    centroid: tuple[float, float]
    polarity: Literal["bright", "dark"]


def find_defects(scores: NDArray[Any], mask: NDArray[Any], min_area: int = 1) -> tuple[Defect, ...]:
    """Measure the connected components of a mask.

    Parameters
    ----------
    scores : ndarray of float, shape (H, W)
        Signed scores, positive where an image is too bright.
    mask : ndarray of bool or uint8, shape (H, W)
        Anomalous pixels are not 0. Pixels whose score is NaN are left out.
    min_area : int
        Components of fewer pixels are left out.

    Returns
    -------
    tuple of Defect
        One an 8-connected component, by falling peak; equal peaks in reading order of their positions.

    Raises
    ------
    InputError
        If the shapes differ or are not those of an image.

    Examples
    --------
    >>> scores = np.array([[0.0, 2.0, 0.0, 0.0], [1.5, 0.0, 0.0, -3.0]])
    >>> for defect in find_defects(scores, np.abs(scores) > 1):
    ...     print(defect.polarity, defect.peak, defect.peak_position, defect.area, defect.box)
    dark 3.0 (1, 3) 1 (1, 3, 2, 4)
    bright 2.0 (0, 1) 2 (0, 0, 2, 2)
    """
    if scores.ndim != 2 or mask.shape != scores.shape:
        raise InputError(
            f"mask of shape {mask.shape}, scores of shape {scores.shape}: give two images of one shape."
        )
    anomalous = np.ascontiguousarray((mask != 0) & ~np.isnan(scores))
    pixels = np.flatnonzero(anomalous)
    if not pixels.size:
        return ()
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(
        anomalous.view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    label: NDArray[np.int32] = labels.astype(np.int32, copy=False).reshape(-1)[pixels]
    signed = scores.reshape(-1)[pixels]
    size = np.abs(signed)
    peaks = np.full(count, -np.inf, size.dtype)
    np.maximum.at(peaks, label, size)
    at_peak = size == peaks[label]
    places = np.full(count, scores.size, np.int64)
    np.minimum.at(places, label[at_peak], pixels[at_peak])
    is_bright = scores.reshape(-1)[np.minimum(places, scores.size - 1)] >= 0

    kept = 1 + np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= min_area)
    kept = kept[np.lexsort((places[kept], -peaks[kept]))]
    columns = (cv2.CC_STAT_TOP, cv2.CC_STAT_LEFT, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_WIDTH, cv2.CC_STAT_AREA)
    rows, steps = np.divmod(places[kept], scores.shape[1])
    return tuple(
        Defect(
            (top, left, top + height, left + width),
            area,
            peak,
            (row, step),
            (y, x),
            "bright" if bright else "dark",
        )
        for (top, left, height, width, area), peak, row, step, (x, y), bright in zip(
            stats[kept][:, columns].tolist(),
            peaks[kept].tolist(),
            rows.tolist(),
            steps.tolist(),
            centroids[kept].tolist(),
            is_bright[kept].tolist(),
            strict=True,
        )
    )
