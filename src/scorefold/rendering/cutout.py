"""A pick cut out of its target and turned back upright, to be compared with the template."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from scorefold.errors import InputError

_SPLINE_MARGIN = 12
"""Voxels around the region for splines of order ≥ 2, whose prefilter decays to 1e-7 over them (cubic)."""


def cut_out(
    read: Callable[[tuple[slice, ...]], ArrayLike],
    position: ArrayLike,
    rotation: ArrayLike,
    shape: tuple[int, ...],
    order: int = 1,
) -> NDArray[np.float32]:
    """Sample a target where the rotated template lies, in the template's own frame.

    For each template voxel u the target is interpolated at ``rotation @ (u - c) + position`` with
    ``c = (shape - 1) / 2``: what was found turned is upright in the result.

    Parameters
    ----------
    read : callable
        Returns the target in a region, a tuple of slices with starts of at least 0; like the indexing of
        an array it cuts short what reaches past the end. ``array.__getitem__`` of NumPy and Zarr does.
        Called once, with the smallest region that is needed.
    position : (d,) array_like
        Target coordinates of the pick.
    rotation : (d, d) array_like
        Active rotation on array-axis vectors.
    shape : tuple of d ints
        Shape of the template.
    order : int
        Order of the interpolating spline, 0 to 5.

    Returns
    -------
    float32 array of `shape`
        NaN where the template reaches outside the target.

    Raises
    ------
    InputError
        If position, rotation and shape disagree in their number of axes, the position is not finite, or
        the order is not in 0 to 5.

    Examples
    --------
    >>> target = np.zeros((40, 40))
    >>> target[20, 13:20] = 1.0  # an arm that points left ...
    >>> quarter_turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> upright = cut_out(target.__getitem__, (20, 20), quarter_turn, (9, 9))
    >>> upright[:4, 4]  # ... pointed up before the counter-clockwise quarter turn
    array([1., 1., 1., 1.], dtype=float32)
    """
    centre = np.asarray(position, dtype=np.float64)
    matrix = np.asarray(rotation, dtype=np.float64)
    axes = len(shape)
    if centre.shape != (axes,) or matrix.shape != (axes, axes) or not np.isfinite(centre).all():
        raise InputError(
            f"position {centre.tolist()} and rotation of shape {matrix.shape}: "
            f"a template of shape {shape} needs {axes} finite coordinates and {(axes, axes)}."
        )
    if order not in range(6):
        raise InputError(f"interpolation order {order}: give 0 to 5.")
    half = (np.array(shape) - 1) / 2
    offsets = np.indices(shape).reshape(axes, -1) - half[:, np.newaxis]
    points = matrix @ offsets + centre[:, np.newaxis]

    margin = 1 if order <= 1 else _SPLINE_MARGIN
    start = np.maximum(np.floor(points.min(axis=1)).astype(int) - margin, 0)
    stop = np.maximum(np.ceil(points.max(axis=1)).astype(int) + margin + 1, start)
    region = tuple(slice(int(first), int(end)) for first, end in zip(start, stop, strict=True))
    block = np.asarray(read(region), dtype=np.float64)
    if block.size == 0:
        return np.full(shape, np.nan, dtype=np.float32)
    local = points - start[:, np.newaxis]
    # A voxel reaches half a voxel around its centre; the allowance also absorbs rounding at the border.
    last = np.array(block.shape)[:, np.newaxis] - 1
    inside = ((local >= -0.5) & (local <= last + 0.5)).all(axis=0)
    sampled = ndimage.map_coordinates(block, local, order=order, mode="nearest")
    return np.where(inside, sampled, np.nan).astype(np.float32).reshape(shape)
