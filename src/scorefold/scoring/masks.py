"""Template masks: where in the template's box a template counts, as weights between 0 and 1."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.object_stores import is_url

MASK_SHAPES = ("none", "disk", "sphere", "ellipse", "box")
"""Shapes that `template_mask` draws; "disk" and "sphere" are the same in two and three dimensions."""


def radial_distance(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return every voxel's distance from the centre (shape - 1)/2, in voxels.

    Examples
    --------
    >>> radial_distance((3,))
    array([1., 0., 1.])
    """
    centred = [np.arange(n) - (n - 1) / 2 for n in shape]
    grids = np.meshgrid(*centred, indexing="ij", sparse=True)
    squared: NDArray[np.float64] = sum((grid**2 for grid in grids), start=np.zeros(shape))
    return np.sqrt(squared)


def is_mask_shape(mask: object) -> bool:
    """Tell whether a mask is, or is meant for, the name of a shape, rather than a file, URL or array."""
    if not isinstance(mask, str) or is_url(mask):
        return False
    return mask in MASK_SHAPES or not Path(mask).exists()


def template_mask(
    kind: str,
    shape: tuple[int, ...],
    *,
    radius: float | tuple[float, ...] | None = None,
    soft_edge: float = 0.0,
) -> NDArray[np.float32]:
    """Draw a mask in a template's box.

    Parameters
    ----------
    kind : {"none", "disk", "sphere", "ellipse", "box"}
        ``none`` is one everywhere; ``disk`` and ``sphere`` (the same thing) are rotation-invariant;
        ``ellipse`` and ``box`` have one radius (half extent) an axis.
    shape : tuple of int
        The template's shape, (y, x) or (z, y, x).
    radius : float or tuple of float, optional
        Radius in voxels, or one per axis for ``ellipse`` and ``box``. Default: the largest that fits the box.
    soft_edge : float
        Width in voxels of a raised-cosine edge that falls from 1 at the radius to 0 outside of it; 0 for a
        hard edge.

    Returns
    -------
    ndarray of float32
        Weights between 0 and 1 with the given shape.

    Raises
    ------
    InputError
        For an unknown kind, a radius that is not positive, one radius too many or too few, or a mask without
        any voxel.

    Examples
    --------
    >>> int(template_mask("disk", (5, 5), radius=2).sum())
    13
    """
    if kind not in MASK_SHAPES:
        raise InputError(
            f'mask "{kind}": no such shape and no such file. Use {", ".join(MASK_SHAPES)} or a file.'
        )
    if not np.isfinite(soft_edge) or soft_edge < 0:
        raise InputError(f"mask edge {soft_edge:g}: the soft edge is a width in voxels, 0 or more.")
    if kind == "none":
        return np.ones(shape, np.float32)
    fitting = [(n - 1) / 2 for n in shape]
    if radius is None:
        radii = [max(half - soft_edge, 0.5) for half in fitting]
        if kind in ("disk", "sphere"):
            radii = [min(radii)] * len(shape)
    else:
        radii = [float(r) for r in (radius if isinstance(radius, tuple) else (radius,) * len(shape))]
    if len(radii) != len(shape):
        raise InputError(
            f"mask radius {radius}: {len(radii)} values for a template of {len(shape)} dimensions."
        )
    if not all(np.isfinite(r) and r > 0 for r in radii):
        raise InputError(f"mask radius {radius}: a radius is a positive number of voxels.")
    if kind in ("disk", "sphere") and len(set(radii)) > 1:
        raise InputError(
            f"mask radius {radius}: a {kind} has one radius. Use the ellipse mask for one per axis."
        )
    weights = _weights(_outside_distance(kind, shape, radii), soft_edge)
    if not weights.any():
        raise InputError(
            f'mask "{kind}": no voxel of a template of shape {shape} lies inside. Give a larger mask radius.'
        )
    return weights


def _outside_distance(kind: str, shape: tuple[int, ...], radii: list[float]) -> NDArray[np.float64]:
    """Return how many voxels (for an ellipse: approximately) each voxel lies outside of the shape."""
    if kind in ("disk", "sphere"):
        return radial_distance(shape) - radii[0]
    axes = [np.arange(n) - (n - 1) / 2 for n in shape]
    scaled = np.meshgrid(
        *[np.abs(a) / r for a, r in zip(axes, radii, strict=True)], indexing="ij", sparse=True
    )
    if kind == "box":
        beyond = [(grid - 1) * r for grid, r in zip(scaled, radii, strict=True)]
        result = np.broadcast_to(beyond[0], shape)
        for other in beyond[1:]:
            result = np.maximum(result, other)
        return result
    norm: NDArray[np.float64] = np.sqrt(sum((grid**2 for grid in scaled), start=np.zeros(shape)))
    return (norm - 1) * min(radii)


def _weights(outside: NDArray[np.float64], soft_edge: float) -> NDArray[np.float32]:
    # A voxel whose centre lies on the surface is inside, whatever the rounding of its distance.
    tolerance = 1e-9
    if soft_edge == 0:
        return (outside <= tolerance).astype(np.float32)
    edge = np.clip(outside / soft_edge, 0.0, 1.0)
    return (0.5 + 0.5 * np.cos(np.pi * edge)).astype(np.float32)


def check_mask(mask: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[np.float32]:
    """Return a mask read from a file as float32 weights, or say why it cannot be one.

    Parameters
    ----------
    mask : ndarray
        Values to be used as weights; integer masks of 0 and 255 (or any single other value) count as 0 and 1.
    shape : tuple of int
        Shape that the mask must have.
    name : str
        What to call the mask in an error.

    Raises
    ------
    InputError
        For a wrong shape, values that are not finite or outside [0, 1], or a mask that is zero everywhere.
    """
    if mask.shape != tuple(shape):
        raise InputError(
            f'mask "{name}": shape {mask.shape} differs from {tuple(shape)}. Give a mask of equal shape.'
        )
    weights = np.asarray(mask, np.float32)
    if not np.isfinite(weights).all():
        raise InputError(f'mask "{name}": it contains NaN or infinity. Replace them by 0.')
    top = float(weights.max(initial=0.0))
    if np.issubdtype(mask.dtype, np.integer) and top > 0 and np.isin(weights, (0, top)).all():
        weights = weights / np.float32(top)
    if float(weights.min(initial=0.0)) < 0 or float(weights.max(initial=0.0)) > 1:
        raise InputError(f'mask "{name}": weights lie outside [0, 1]. Rescale the mask.')
    if not weights.any():
        raise InputError(f'mask "{name}": zero everywhere. A mask must keep part of the template.')
    return weights


def is_rotation_invariant(mask: NDArray[Any], tolerance: float = 1e-3) -> bool:
    """Tell whether a mask looks the same after any rotation about its centre.

    True when the weights are a function of the distance from the centre alone (within `tolerance`) and no
    weight lies outside of the largest sphere in the box, where a rotation would cut it off.

    Examples
    --------
    >>> is_rotation_invariant(template_mask("disk", (9, 9)))
    True
    >>> is_rotation_invariant(template_mask("none", (9, 9)))
    False
    """
    distance = radial_distance(mask.shape)
    inscribed = (min(mask.shape) - 1) / 2
    if mask[distance > inscribed + 1e-9].any():
        return False
    shell, index = np.unique(np.rint(4 * distance**2).astype(np.int64), return_inverse=True)
    lowest = np.full(shell.shape, np.inf)
    highest = np.full(shell.shape, -np.inf)
    np.minimum.at(lowest, index.ravel(), mask.ravel())
    np.maximum.at(highest, index.ravel(), mask.ravel())
    return bool((highest - lowest <= tolerance).all())
