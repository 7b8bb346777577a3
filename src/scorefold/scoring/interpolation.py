"""Turning a template: spline interpolation of a small array, at the voxels that count and nowhere else."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import fused

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


def points_of(weights: Array) -> NDArray[np.float64]:
    """Return the voxels with a weight as coordinates (z, y, x), shape (v, 3); an image lies in plane 0."""
    points = np.argwhere(weights).astype(np.float64)
    return np.pad(points, [(0, 0), (3 - weights.ndim, 0)])


def turned(
    source: Array, inverse: Array, offset: Array, order: int, points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a spline at ``inverse @ voxel + offset`` for some voxels.

    Equal to `scipy.ndimage.affine_transform` with ``prefilter=False`` up to rounding: with ``mode="mirror"`` for a
    mirrored margin, ``"grid-constant"`` for one of zeros.

    Parameters
    ----------
    source : ndarray of float64, shape (z, y, x)
        What `extended` returned.
    inverse : ndarray of float64, shape (d, d)
        From voxels of the result to voxels of the array.
    offset : ndarray of float64, shape (d,)
        Coordinates of the voxel 0.
    order : {1, 3}
        Degree of the spline.
    points : ndarray of float64, shape (v, 3)
        What `points_of` returned.

    Returns
    -------
    ndarray of float64, shape (v,)
        A voxel that lies a voxel or more outside of the array is 0.
    """
    dimensions = len(offset)
    matrix, start = np.zeros((3, 3)), np.zeros(3)
    matrix[3 - dimensions :, 3 - dimensions :] = inverse
    start[3 - dimensions :] = np.asarray(offset) + MARGIN
    result = np.zeros(len(points))
    (_cubic if order == 3 else _linear)(source, matrix, start, points, result)
    return result


@fused
def _linear(source: Array, matrix: Array, start: Array, points: Array, result: Array) -> None:
    flat = source.shape[0] == 1
    deepest = source.shape[0] - MARGIN
    lowest, rightmost = source.shape[1] - MARGIN, source.shape[2] - MARGIN
    for n in range(points.shape[0]):
        z, y, x = points[n, 0], points[n, 1], points[n, 2]
        a = matrix[0, 0] * z + matrix[0, 1] * y + matrix[0, 2] * x + start[0]
        b = matrix[1, 0] * z + matrix[1, 1] * y + matrix[1, 2] * x + start[1]
        c = matrix[2, 0] * z + matrix[2, 1] * y + matrix[2, 2] * x + start[2]
        if not (NEAREST < b < lowest and NEAREST < c < rightmost):
            continue
        if not flat and not NEAREST < a < deepest:
            continue
        # Indices are unsigned: none can count from the end, which would cost a test at every voxel.
        j, k = np.uint64(b), np.uint64(c)
        v, w = b - j, c - k
        if flat:
            i, u, deep = np.uint64(0), 0.0, 1
        else:
            i, deep = np.uint64(a), 2
            u = a - i
        total = 0.0
        for p in range(deep):
            upper, lower = source[i + np.uint64(p), j], source[i + np.uint64(p), j + np.uint64(1)]
            plane = (1.0 - v) * ((1.0 - w) * upper[k] + w * upper[k + np.uint64(1)])
            plane += v * ((1.0 - w) * lower[k] + w * lower[k + np.uint64(1)])
            total += plane * (1.0 - u if p == 0 else u)
        result[n] = total


@fused
def _weights_of_cubic(t: float) -> tuple[float, float, float, float]:
    """Return six times the cubic B-spline at distances 1 + t, t, 1 - t and 2 - t: a voxel needs but one division."""
    s = 1.0 - t
    return (
        s * s * s,
        t * t * (t - 2.0) * 3.0 + 4.0,
        s * s * (s - 2.0) * 3.0 + 4.0,
        t * t * t,
    )


@fused
def _plane(
    source: Array,
    place: tuple[Any, Any, Any],
    v: tuple[float, float, float, float],
    w: tuple[float, float, float, float],
) -> float:
    """Return the sum over 4 × 4 voxels of one plane."""
    i, j, k = place
    total = 0.0
    for q in range(4):
        row = source[i, j + np.uint64(q)]
        total += v[q] * (
            w[0] * row[k]
            + w[1] * row[k + np.uint64(1)]
            + w[2] * row[k + np.uint64(2)]
            + w[3] * row[k + np.uint64(3)]
        )
    return total


@fused
def _cubic(source: Array, matrix: Array, start: Array, points: Array, result: Array) -> None:
    flat = source.shape[0] == 1
    deepest = source.shape[0] - MARGIN
    lowest, rightmost = source.shape[1] - MARGIN, source.shape[2] - MARGIN
    for n in range(points.shape[0]):
        z, y, x = points[n, 0], points[n, 1], points[n, 2]
        a = matrix[0, 0] * z + matrix[0, 1] * y + matrix[0, 2] * x + start[0]
        b = matrix[1, 0] * z + matrix[1, 1] * y + matrix[1, 2] * x + start[1]
        c = matrix[2, 0] * z + matrix[2, 1] * y + matrix[2, 2] * x + start[2]
        if not (NEAREST < b < lowest and NEAREST < c < rightmost):
            continue
        if not flat and not NEAREST < a < deepest:
            continue
        j, k = np.uint64(b), np.uint64(c)
        v, w = _weights_of_cubic(b - j), _weights_of_cubic(c - k)
        j, k = j - np.uint64(1), k - np.uint64(1)
        if flat:
            result[n] = _plane(source, (np.uint64(0), j, k), v, w) / 36.0
            continue
        i = np.uint64(a)
        u = _weights_of_cubic(a - i)
        total = 0.0
        for p in range(4):
            total += u[p] * _plane(source, (i - np.uint64(1) + np.uint64(p), j, k), v, w)
        result[n] = total / 216.0
