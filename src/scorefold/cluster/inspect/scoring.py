"""From a score map to what is stored of it, and the score of the image."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import disk

from scorefold.inspection.half_precision import LARGEST_SCORE, to_half
from scorefold.inspection.polarity import magnitude

_LARGEST = {"float16": LARGEST_SCORE, "float32": float(np.finfo(np.float32).max)}


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """What is known of an image once its score map is there; all in the type in which maps are stored.

    Attributes
    ----------
    scores : ndarray, shape (H, W)
        The score map. Infinite scores are the largest that the type holds.
    anomaly : ndarray, shape (H, W)
        Anomaly scores, higher for what is more anomalous; NaN is not.
    score : numpy scalar
        The image's: a defect is left at thresholds below it, and at no other. NaN if no disk of valid pixels fits into
        the map, so that no threshold leaves a defect.
    """

    scores: NDArray[Any]
    anomaly: NDArray[Any]
    score: Any

    @classmethod
    def of(cls, scores: NDArray[Any], dtype: str, *, polarity: str | None, kernel_size: int) -> Self:
        """Measure a score map.

        Parameters
        ----------
        scores : ndarray, shape (H, W)
            Scores as they were computed or read.
        dtype : {"float16", "float32"}
            Type in which maps are stored.
        polarity : str or None
            What counts in a map of signed scores; None if scores are anomaly scores.
        kernel_size : int
            Radius of the disk that removes specks; 0 for none.
        """
        largest = _LARGEST[dtype]
        half = scores.dtype.kind == "f" and scores.dtype.itemsize == 2
        given = scores.astype(np.float32) if half else scores
        limited = np.clip(given, -largest, largest)
        single = limited.dtype == np.float32
        rounded = to_half(limited) if single and dtype == "float16" else limited.astype(dtype, copy=False)
        # Rounding keeps the order and signs, and opening takes minima and maxima alone: the score is the same whether
        # maps are rounded before or it is rounded after, and half precision is slow.
        exact = limited if single else rounded
        highest = float(opened(anomaly_scores(exact, polarity), kernel_size).max())
        score = rounded.dtype.type(highest if math.isfinite(highest) else math.nan)
        return cls(rounded, anomaly_scores(rounded, polarity), score)


def anomaly_scores(scores: NDArray[Any], polarity: str | None) -> NDArray[Any]:
    """Return scores that are higher for what is more anomalous; without a polarity they are so already."""
    return scores if polarity is None else magnitude(scores, polarity)


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
    values: NDArray[np.float32] = np.array(anomaly, np.float32, order="C")
    cv2.patchNaNs(values, -math.inf)
    if kernel_size == 0:
        return values
    kernel = _disk(kernel_size)
    # The image's border takes no part, as in `compute_mask`. OpenCV's own border value is finite, and -inf is not.
    eroded = cv2.erode(values, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=math.inf)
    return np.asarray(
        cv2.dilate(eroded, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=-math.inf), np.float32
    )


@lru_cache(1)
def _disk(radius: int) -> NDArray[np.uint8]:
    kernel: NDArray[np.uint8] = disk(radius)  # type: ignore[no-untyped-call]
    return kernel
