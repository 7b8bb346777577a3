"""Classical texture features on a grid of cells, as integers, so that sums over images are exact."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError
from scorefold.inspection.grid import ImageGrid

Array = NDArray[np.float32]

FEATURE_LEVELS = 1 << 14
"""Levels of a feature on the range of the images. Squares of 2²⁵ images sum exactly in float64."""

FEATURES = (
    "brightness",
    "slope along y",
    "slope along x",
    "gradient",
    "deviation",
    "fine blobs",
    "coarse blobs",
    "strongest blob",
)
"""What is measured in a cell, in this order.

Mean of the image; means of its derivative along y, along x and of the gradient's magnitude; its standard
deviation; mean magnitude of a fine difference of Gaussians; a coarse one, of the cells' means; the largest magnitude
of the fine one. All after slight smoothing. What is small on natural images is scaled up, so that one regularisation
suits all.
"""

FINE_SCALES = (0.8, 1.6)
"""Standard deviations of the fine difference of Gaussians, in pixels; the first smooths the image."""

COARSE_SCALE = 1.0
"""Standard deviation of the coarse one's outer Gaussian, in cells."""

_SCALES = np.array([1, 4, 4, 4, 2, 4, 4, 2], np.float32)
_BORDER = cv2.BORDER_REFLECT


def cell_grid(shape: tuple[int, int], cell: int = 8) -> tuple[int, int]:
    """Return how many cells cover an image, (rows, columns); the last ones may be cut off.

    Examples
    --------
    >>> cell_grid((16, 17))
    (2, 3)
    """
    if cell < 1:
        raise InputError(f"cell of {cell} pixels: give 1 or more.")
    return -(-shape[0] // cell), -(-shape[1] // cell)


def cell_features(
    image: ArrayLike, grid: ImageGrid, valid: NDArray[np.bool_] | None = None, *, cell: int = 8
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Measure an image in cells.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels.
    grid : ImageGrid
        Of the images; features are relative to its range.
    valid : ndarray of bool, shape (H, W), optional
        Pixels that count, by default all. Others, and those that are not finite, take the value of the
        nearest pixel that counts.
    cell : int
        Edge of the cells in pixels.

    Returns
    -------
    features : ndarray of int32, shape (cells, 8)
        `FEATURES` of every cell, row by row, in units of the range over `FEATURE_LEVELS`; 0 where not valid.
    valid : ndarray of bool, shape (cells,)
        Cells of which at least half of the pixels count.

    Examples
    --------
    >>> from scorefold.inspection.grid import image_grid
    >>> features, valid = cell_features(np.full((8, 16), 51, np.uint8), image_grid(np.uint8))
    >>> features.tolist(), valid.tolist()
    ([[3277, 0, 0, 0, 0, 0, 0, 0], [3277, 0, 0, 0, 0, 0, 0, 0]], [True, True])
    """
    given = np.asarray(image)
    if given.ndim != 2 or not given.size or (valid is not None and valid.shape != given.shape):
        masked = "" if valid is None else f", valid of shape {valid.shape}"
        raise InputError(f"image of shape {given.shape}{masked}: give images with the axes (y, x).")
    rows, columns = cell_grid(given.shape, cell)
    usable = np.isfinite(given) if valid is None else np.isfinite(given) & valid
    counted = _means(_whole(usable.astype(np.float32), cell, cv2.BORDER_CONSTANT), cell)
    present = _means(_whole(np.ones(given.shape, np.float32), cell, cv2.BORDER_CONSTANT), cell)
    valid_cells = (counted >= 0.5 * present).reshape(-1)
    if not usable.any():
        return np.zeros((rows * columns, len(FEATURES)), np.int32), valid_cells
    image = _whole(_filled(grid.unit(given), usable), cell, cv2.BORDER_REPLICATE)
    measured = _measure(image, cell).reshape(-1, len(FEATURES))
    features = np.rint(measured * (_SCALES * FEATURE_LEVELS)).astype(np.int32)
    features[~valid_cells] = 0
    return features, valid_cells


def _filled(pixels: Array, usable: NDArray[np.bool_]) -> Array:
    """Return the image with pixels that do not count replaced by the nearest one that does."""
    if usable.all():
        return pixels
    _, nearest = cv2.distanceTransformWithLabels(
        (~usable).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(nearest.max()) + 1, np.float32)
    values[nearest[usable]] = pixels[usable]
    filled: Array = values[nearest]
    return filled


def _measure(image: Array, cell: int) -> Array:
    """Return the features of every cell, of an image that whole cells cover: (rows, columns, features)."""
    smooth, wider = _blurred(image, FINE_SCALES[0]), _blurred(image, FINE_SCALES[1])
    along_y, along_x = (
        np.asarray(
            cv2.Sobel(smooth, cv2.CV_32F, dx, dy, ksize=3, scale=1 / 8, borderType=_BORDER), np.float32
        )
        for dx, dy in ((0, 1), (1, 0))
    )
    blobs = np.abs(smooth - wider)
    brightness = _means(smooth, cell)
    deviation = smooth - np.repeat(np.repeat(brightness, cell, axis=0), cell, axis=1)
    features = [
        brightness,
        _means(along_y, cell),
        _means(along_x, cell),
        _means(np.sqrt(along_y**2 + along_x**2), cell),
        np.sqrt(_means(deviation**2, cell)),
        _means(blobs, cell),
        brightness - _blurred(brightness, COARSE_SCALE),
        _blocks(blobs, cell).max(axis=3).max(axis=1),
    ]
    return np.stack(features, axis=-1)


def _blurred(image: Array, sigma: float) -> Array:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=_BORDER), np.float32)


def _whole(image: Array, cell: int, border: int) -> Array:
    """Return the image continued below and at its right until whole cells cover it."""
    rows, columns = cell_grid((image.shape[0], image.shape[1]), cell)
    below, right = rows * cell - image.shape[0], columns * cell - image.shape[1]
    if not below and not right:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, border), np.float32)


def _blocks(image: Array, cell: int) -> Array:
    return image.reshape(image.shape[0] // cell, cell, image.shape[1] // cell, cell)


def _means(image: Array, cell: int) -> Array:
    means: Array = _blocks(image, cell).sum(axis=1).sum(axis=2) / np.float32(cell * cell)
    return means
