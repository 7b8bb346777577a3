"""Turning a template: spline interpolation of a small array, at the voxels that count and nowhere else."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import compiled

Array = NDArray[Any]

MARGIN = 3
"""Voxels around an array: a coordinate lies less than one outside of it, and a cubic spline reaches two further."""

NEAREST = MARGIN - 1.0
"""Coordinate, from the beginning of the margin, at which an array is out of reach."""


def extended(array: Array, *, mirror: bool) -> Array:
    """Return an array as a volume with a margin around it.

    Parameters
    ----------
    array : ndarray of float64
        (y, x) or (z, y, x).
    mirror : bool
        Whether the margin mirrors the array about the centres of its outermost voxels, as spline coefficients go on;
        else it is 0.
    """
    padded = np.pad(array, MARGIN, mode="reflect") if mirror else np.pad(array, MARGIN)
    return np.ascontiguousarray(padded[(np.newaxis,) * (3 - array.ndim)], np.float64)


def turned(source: Array, inverse: Array, offset: Array, order: int, weights: Array) -> Array:
    """Return a spline at ``inverse @ voxel + offset`` for every voxel with a weight, 0 elsewhere.

    Equal to `scipy.ndimage.affine_transform` with ``prefilter=False`` up to rounding: with ``mode="mirror"`` for a
    mirrored margin, ``"grid-constant"`` for one of zeros.

    Parameters
    ----------
    source : ndarray of float64, shape (z, y, x)
        What `extended` returned.
    inverse : ndarray of float64, shape (d, d)
        From voxels of the result to voxels of the array.
    offset : ndarray of float64, shape (d,)
        Coordinates of the result's first voxel.
    order : {1, 3}
        Degree of the spline.
    weights : ndarray, shape of the result
        Where the result counts. A voxel that lies a voxel or more outside of the array is 0.
    """
    dimensions = weights.ndim
    matrix, start = np.zeros((3, 3)), np.zeros(3)
    matrix[3 - dimensions :, 3 - dimensions :] = inverse
    start[3 - dimensions :] = np.asarray(offset) + MARGIN
    result = np.zeros(weights.shape)
    volumes = (array[(np.newaxis,) * (3 - dimensions)] for array in (weights, result))
    (_cubic if order == 3 else _linear)(source, matrix, start, *volumes)
    return result


@compiled
def _linear(source: Array, matrix: Array, start: Array, weights: Array, result: Array) -> None:
    flat = source.shape[0] == 1
    deepest = source.shape[0] - MARGIN
    lowest, rightmost = source.shape[1] - MARGIN, source.shape[2] - MARGIN
    for z in range(result.shape[0]):
        for y in range(result.shape[1]):
            for x in range(result.shape[2]):
                if weights[z, y, x] == 0:
                    continue
                a = matrix[0, 0] * z + matrix[0, 1] * y + matrix[0, 2] * x + start[0]
                b = matrix[1, 0] * z + matrix[1, 1] * y + matrix[1, 2] * x + start[1]
                c = matrix[2, 0] * z + matrix[2, 1] * y + matrix[2, 2] * x + start[2]
                if not (NEAREST < b < lowest and NEAREST < c < rightmost):
                    continue
                if not flat and not NEAREST < a < deepest:
                    continue
                j, k = int(np.floor(b)), int(np.floor(c))
                v, w = b - j, c - k
                if flat:
                    i, u, deep = 0, 0.0, 1
                else:
                    i, deep = int(np.floor(a)), 2
                    u = a - i
                total = 0.0
                for p in range(deep):
                    plane = (1.0 - v) * ((1.0 - w) * source[i + p, j, k] + w * source[i + p, j, k + 1])
                    plane += v * ((1.0 - w) * source[i + p, j + 1, k] + w * source[i + p, j + 1, k + 1])
                    total += plane * (1.0 - u if p == 0 else u)
                result[z, y, x] = total


@compiled
def _weights_of_cubic(t: float) -> tuple[float, float, float, float]:
    """Return the cubic B-spline at distances 1 + t, t, 1 - t and 2 - t."""
    s = 1.0 - t
    return (
        s * s * s / 6.0,
        (t * t * (t - 2.0) * 3.0 + 4.0) / 6.0,
        (s * s * (s - 2.0) * 3.0 + 4.0) / 6.0,
        t * t * t / 6.0,
    )


@compiled
def _plane(
    source: Array,
    place: tuple[int, int, int],
    v: tuple[float, float, float, float],
    w: tuple[float, float, float, float],
) -> float:
    """Return the sum over 4 × 4 voxels of one plane."""
    i, j, k = place
    total = 0.0
    for q, weight in enumerate(v):
        row = source[i, j + q]
        total += weight * (w[0] * row[k] + w[1] * row[k + 1] + w[2] * row[k + 2] + w[3] * row[k + 3])
    return total


@compiled
def _cubic(source: Array, matrix: Array, start: Array, weights: Array, result: Array) -> None:
    flat = source.shape[0] == 1
    deepest = source.shape[0] - MARGIN
    lowest, rightmost = source.shape[1] - MARGIN, source.shape[2] - MARGIN
    for z in range(result.shape[0]):
        for y in range(result.shape[1]):
            for x in range(result.shape[2]):
                if weights[z, y, x] == 0:
                    continue
                a = matrix[0, 0] * z + matrix[0, 1] * y + matrix[0, 2] * x + start[0]
                b = matrix[1, 0] * z + matrix[1, 1] * y + matrix[1, 2] * x + start[1]
                c = matrix[2, 0] * z + matrix[2, 1] * y + matrix[2, 2] * x + start[2]
                if not (NEAREST < b < lowest and NEAREST < c < rightmost):
                    continue
                if not flat and not NEAREST < a < deepest:
                    continue
                j, k = int(np.floor(b)), int(np.floor(c))
                v, w = _weights_of_cubic(b - j), _weights_of_cubic(c - k)
                if flat:
                    result[z, y, x] = _plane(source, (0, j - 1, k - 1), v, w)
                    continue
                i = int(np.floor(a))
                u = _weights_of_cubic(a - i)
                result[z, y, x] = (
                    u[0] * _plane(source, (i - 1, j - 1, k - 1), v, w)
                    + u[1] * _plane(source, (i, j - 1, k - 1), v, w)
                    + u[2] * _plane(source, (i + 1, j - 1, k - 1), v, w)
                    + u[3] * _plane(source, (i + 2, j - 1, k - 1), v, w)
                )
