"""Alignment: an image resampled in the coordinates of the template, with what of it is valid."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.compiled import compiled
from scorefold.errors import InputError
from scorefold.inspection.pose import Pose


def align(
    image: ArrayLike, pose: Pose, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Resample an image as if the part in it lay like the template, by linear interpolation.

    Pixel x of the result is the image at ``R (x - c) + t``, c = (shape - 1)/2: the pose's rotation undone.

    Parameters
    ----------
    image : array_like, shape (rows, columns)
        The image in which the part was found.
    pose : Pose
        Where the part lies.
    shape : (int, int)
        Shape of the template.

    Returns
    -------
    aligned : ndarray of float32, shape `shape`
        Grey levels, 0 where not valid.
    valid : ndarray of bool, shape `shape`
        Pixels that lie in the image and whose interpolated value is finite.

    Raises
    ------
    InputError
        If the image does not have two axes of at least one pixel.

    Examples
    --------
    >>> image = np.arange(9.0).reshape(3, 3)
    >>> aligned, valid = align(image, Pose((1.0, 1.5), 90.0), (1, 3))
    >>> aligned
    array([[7.5, 4.5, 1.5]], dtype=float32)
    """
    pixels = np.ascontiguousarray(image, np.float32)
    if pixels.ndim != 2 or not pixels.size:
        raise InputError(f"image of shape {pixels.shape}: give an image with the axes (y, x).")
    return resample(pixels, pose, shape)


def resample(
    pixels: NDArray[np.float32], pose: Pose, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Do what `align` does for an image that is float32 and contiguous."""
    aligned, valid = np.empty(shape, np.float32), np.empty(shape, bool)
    rotation = pose.rotation
    offset = np.array(pose.centre) - rotation @ ((np.array(shape) - 1) / 2)
    _resample(pixels, rotation, offset, aligned, valid)
    return aligned, valid


@compiled
def _at_edge(pixels: NDArray[Any], y: float, x: float) -> float:
    """Interpolate where neighbours may lie outside or not be finite: only those that have a weight count."""
    # Rotations leave rounding errors in coordinates that are whole.
    rounding = 1e-6
    if not (
        -rounding <= y <= pixels.shape[0] - 1 + rounding and -rounding <= x <= pixels.shape[1] - 1 + rounding
    ):
        return np.nan
    nearest_y, nearest_x = np.rint(y), np.rint(x)
    y = nearest_y if abs(y - nearest_y) <= rounding else y
    x = nearest_x if abs(x - nearest_x) <= rounding else x
    value = 0.0
    for row in range(int(y), int(np.ceil(y)) + 1):
        for column in range(int(x), int(np.ceil(x)) + 1):
            value += (1 - abs(y - row)) * (1 - abs(x - column)) * pixels[row, column]
    return value if np.isfinite(value) else np.nan


@compiled
def _resample(
    pixels: NDArray[Any],
    rotation: NDArray[np.float64],
    offset: NDArray[np.float64],
    aligned: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    last_row, last_column = pixels.shape[0] - 1, pixels.shape[1] - 1
    for i in range(aligned.shape[0]):
        for j in range(aligned.shape[1]):
            y = rotation[0, 0] * i + rotation[0, 1] * j + offset[0]
            x = rotation[1, 0] * i + rotation[1, 1] * j + offset[1]
            value = np.nan
            if 0 <= y < last_row and 0 <= x < last_column:
                row, column = int(y), int(x)
                down, right = y - row, x - column
                above = pixels[row, column] * (1 - right) + pixels[row, column + 1] * right
                below = pixels[row + 1, column] * (1 - right) + pixels[row + 1, column + 1] * right
                value = above * (1 - down) + below * down
            if not np.isfinite(value):
                value = _at_edge(pixels, y, x)
            valid[i, j] = not np.isnan(value)
            aligned[i, j] = value if valid[i, j] else 0.0
