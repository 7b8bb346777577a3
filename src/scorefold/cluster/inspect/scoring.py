"""From a score map to what is stored of it, its anomaly mask, and the score of the image."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import disk

from scorefold.inspection.variation import LARGEST_SCORE

_LARGEST = {"float16": LARGEST_SCORE, "float32": float(np.finfo(np.float32).max)}


def stored(scores: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return scores as the store holds them; all that is measured and drawn is measured on these.

    Infinite scores are the largest that the type holds.
    """
    largest = _LARGEST[dtype]
    if scores.dtype == dtype and np.abs(scores).max(initial=0) <= largest:
        return scores
    rounded: NDArray[Any] = np.clip(scores, -largest, largest).astype(dtype, copy=False)
    return rounded


def opened(anomaly: NDArray[Any], kernel_size: int) -> NDArray[np.float32]:
    """Return an anomaly map without specks smaller than a disk: its opening.

    Opening commutes with every threshold (Maragos & Ziff (1990), IEEE Trans. PAMI 12:498): what of the result is
    greater than t is the opening of what of the map is. So one number per image, the maximum of the opened map,
    tells for every threshold whether a defect is left.

    Parameters
    ----------
    anomaly : ndarray, shape (H, W)
        Scores, higher for what is more anomalous; NaN is not.
    kernel_size : int
        Radius of the disk; 0 leaves the map as it is.

    Returns
    -------
    ndarray of float32, shape (H, W)
        The opening; -inf where no disk without NaN reaches.
    """
    values: NDArray[np.float32] = np.where(np.isnan(anomaly), np.float32(-np.inf), anomaly).astype(np.float32)
    if kernel_size == 0:
        return values
    kernel: NDArray[np.uint8] = disk(kernel_size)  # type: ignore[no-untyped-call]
    # The image's border takes no part, as in `compute_mask`. OpenCV's own border value is finite, and -inf is not.
    eroded = cv2.erode(values, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=math.inf)
    return np.asarray(
        cv2.dilate(eroded, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=-math.inf), np.float32
    )


def image_score(anomaly: NDArray[Any], kernel_size: int) -> Any:
    """Return the score of an image in the type of its map: a defect is left at thresholds below it, and at no other.

    NaN if no disk of valid pixels fits into the map, so that no threshold leaves a defect.
    """
    highest = float(opened(anomaly, kernel_size).max())
    return anomaly.dtype.type(highest if math.isfinite(highest) else math.nan)
