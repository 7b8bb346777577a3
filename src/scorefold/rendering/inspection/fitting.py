"""From an image's grid to a panel's: images are averaged, scores keep their maxima, masks any pixel."""

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_RESIZED_AS_THEY_ARE = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))


def fitted_shape(shape: tuple[int, ...], panel: int) -> tuple[int, int]:
    """Return the height and width of a panel whose longer side has `panel` pixels; the aspect is kept.

    Examples
    --------
    >>> fitted_shape((2000, 8000), 256), fitted_shape((30, 20), 256)
    ((64, 256), (256, 171))
    """
    height, width = (max(1, round(length * panel / max(shape))) for length in shape)
    return height, width


def fit_image(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return an image averaged (or interpolated) to a shape; NaN where there is nothing to show."""
    if image.dtype in _RESIZED_AS_THEY_ARE and image.dtype.kind == "u":
        return _resized(image, shape)
    values = image.astype(np.float32, copy=False)
    missing = ~np.isfinite(values)
    if not missing.any():
        return _resized(values, shape)
    # Any ordinary value will do: what it touches is at most one pixel beside the hatching.
    filled = np.where(missing, np.mean(values, where=~missing) if not missing.all() else 0, values)
    nowhere = _nearest(missing, shape)
    return np.where(nowhere, np.float32(np.nan), _resized(filled.astype(np.float32), shape))


def fit_scores(magnitude: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return scores on a panel: the maximum of what makes a pixel, so that no small defect is lost."""
    if shape[0] > magnitude.shape[0] or shape[1] > magnitude.shape[1]:
        enlarged = cv2.resize(magnitude, shape[::-1], interpolation=cv2.INTER_NEAREST)
        return np.asarray(enlarged, dtype=np.float32)
    return _block_maxima(magnitude, shape)


def fit_mask(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask on a panel: set where any of what makes a pixel is."""
    if shape[0] > mask.shape[0] or shape[1] > mask.shape[1]:
        return _nearest(mask, shape)
    return _block_maxima(mask.astype(bool, copy=False), shape)


def _block_maxima(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    rows = _row_maxima(array, shape[0])
    return np.ascontiguousarray(_row_maxima(np.ascontiguousarray(rows.T), shape[1]).T)


def _row_maxima(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return the maxima of as many blocks of rows, whose heights differ by at most one."""
    if array.shape[0] == rows:
        return array
    bounds = np.arange(rows + 1) * array.shape[0] // rows
    # Whole rows at once: several times faster than `np.maximum.reduceat`.
    return np.stack([array[start:stop].max(axis=0) for start, stop in pairwise(bounds)])


def _nearest(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    levels = cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(levels, dtype=bool)


def _resized(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    method = cv2.INTER_AREA if shape[0] < image.shape[0] or shape[1] < image.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(image, shape[::-1], interpolation=method)
