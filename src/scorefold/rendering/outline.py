"""A mask's outline, turned to a pick's rotation: closed lines in 2D, cross-sections in 3D."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.measure import find_contours

from scorefold.errors import InputError

_SAMPLES_PER_RADIUS = 48
"""Cross-sections of large masks are traced on a coarser grid: finer than the eye sees in a panel."""


def mask_outline(mask: ArrayLike) -> list[NDArray[np.float64]]:
    """Trace where a 2D mask falls to half its maximum.

    Parameters
    ----------
    mask : (h, w) array_like
        Binary or soft mask of the template.

    Returns
    -------
    list of (n, 2) float64 arrays
        Closed lines of (y, x) in pixels from the rotation centre ``(shape - 1) / 2``, longest first;
        the first point of a line is repeated at its end. A mask that reaches its border is closed there.

    Raises
    ------
    InputError
        If the mask is not 2D or has no positive value.

    Examples
    --------
    >>> (line,) = mask_outline(np.ones((5, 9)))
    >>> line.min(axis=0), line.max(axis=0)
    (array([-2.5, -4.5]), array([2.5, 4.5]))
    """
    array = _checked(mask, dimensions=2)
    centre = (np.array(array.shape) - 1) / 2
    return [line - centre for line in _contours(array, level=array.max() / 2)]


def section_outline(
    mask: ArrayLike, rotation: NDArray[np.float64], axes: tuple[int, int], offset: float
) -> list[NDArray[np.float64]]:
    """Trace the cross-section of a rotated 3D mask with a plane of the target.

    Parameters
    ----------
    mask : (d, h, w) array_like
        Binary or soft mask of the template.
    rotation : (3, 3) float64 array
        Active rotation on array-axis vectors.
    axes : (int, int)
        Target axes along the rows and the columns of the plane.
    offset : float
        Where the plane cuts the remaining axis, in voxels from the mask's rotation centre.

    Returns
    -------
    list of (n, 2) float64 arrays
        Closed lines of (row, column) in voxels from the rotation centre, longest first; empty where the
        plane misses the mask.

    Raises
    ------
    InputError
        If the mask is not 3D or has no positive value.

    Examples
    --------
    >>> (square,) = section_outline(np.ones((5, 5, 5)), np.eye(3), axes=(1, 2), offset=2.0)
    >>> float(square.max())
    2.5
    >>> section_outline(np.ones((5, 5, 5)), np.eye(3), axes=(1, 2), offset=4.0)
    []
    """
    array = _checked(mask, dimensions=3)
    centre = (np.array(array.shape) - 1) / 2
    radius = float(np.linalg.norm(centre)) + 1.0
    if abs(offset) > radius:
        return []
    step = max(1.0, radius / _SAMPLES_PER_RADIUS)
    half = int(np.ceil(radius / step)) + 1
    line = step * np.arange(-half, half + 1)
    (normal,) = {0, 1, 2} - set(axes)
    points = np.empty((3, line.size, line.size))
    points[axes[0]] = line[:, np.newaxis]
    points[axes[1]] = line[np.newaxis, :]
    points[normal] = offset
    template_points = np.tensordot(rotation.T, points, axes=1) + centre[:, np.newaxis, np.newaxis]
    section = ndimage.map_coordinates(array, template_points, order=1, mode="grid-constant", cval=0.0)
    return [step * (contour - half) for contour in _contours(section, level=array.max() / 2)]


def place_outline(
    outline: list[NDArray[np.float64]], rotation: NDArray[np.float64], position: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Turn an outline by a rotation and move it to a position, both in target coordinates.

    Examples
    --------
    >>> tip = [np.array([[-3.0, 0.0]])]  # up on screen
    >>> quarter_turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> place_outline(tip, quarter_turn, np.array([10.0, 10.0]))  # now left: counter-clockwise
    [array([[10.,  7.]])]
    """
    return [line @ rotation.T + position for line in outline]


def _checked(mask: ArrayLike, dimensions: int) -> NDArray[np.float64]:
    array = np.asarray(mask, dtype=np.float64)
    if array.ndim != dimensions:
        raise InputError(f"mask of shape {array.shape}: an outline here needs {dimensions} axes.")
    if not array.max(initial=0.0) > 0:
        raise InputError(
            "mask without a positive value: it has no outline. Give a mask that covers the template."
        )
    return array


def _contours(array: NDArray[np.float64], level: float) -> list[NDArray[np.float64]]:
    """Return closed contours in index coordinates, longest first; outside the array counts as 0."""
    lines: list[NDArray[np.float64]] = find_contours(np.pad(array, 1), level)  # type: ignore[no-untyped-call]
    return sorted((line - 1.0 for line in lines), key=len, reverse=True)
