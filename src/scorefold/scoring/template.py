"""A template with its mask, rotated by interpolation inside the smallest box that holds all rotations."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from scorefold.errors import InputError
from scorefold.scoring.interpolation import extended, points_of, turned
from scorefold.scoring.masks import is_rotation_invariant, radial_distance

CORE_WEIGHT = 0.5
"""Part of the largest weight that a mask has at least in its core."""

NEGLIGIBLE_WEIGHT = 1e-4
"""Interpolated mask weights below this fraction of the largest weight count as zero."""


@dataclass(frozen=True)
class RotatedTemplate:
    """A template and its mask after one rotation.

    Attributes
    ----------
    values, weights : ndarray of float64
        The template and its mask in the search box; values where the weight is zero are zero.
    support : tuple of (int, int)
        Per axis the first and last index of the box with a weight above zero.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    support: tuple[tuple[int, int], ...]


class Template:
    """What is searched for: an array, its mask, and how both are rotated.

    Parameters
    ----------
    values : ndarray
        The template, (y, x) or (z, y, x).
    mask : ndarray
        Weights in [0, 1] of the same shape.
    rotations : ndarray, shape (n, d, d)
        The rotation set of the job; only its extent matters here (it decides the search box).
    order : {1, 3}
        Interpolation of the template: linear or cubic B-spline. Masks are always interpolated linearly, which
        keeps their weights within [0, 1].

    Attributes
    ----------
    box : tuple of int
        Shape of the *search box*: the smallest with the template's centre in its middle that holds the mask
        at every rotation of the set.
    invariant : bool
        Whether the mask looks the same at every rotation of the set.
    reach : tuple of (int, int)
        Per axis how many positions at the beginning and at the end of any target no rotation can score,
        because the mask would stick out.

    Raises
    ------
    InputError
        When the template is constant under its mask, contains values that are not finite, or `order` is
        neither 1 nor 3.

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.arange(15.0).reshape(3, 5)
    >>> quarter = np.array([[0.0, -1.0], [1.0, 0.0]])  # 90 degrees counter-clockwise on screen
    >>> template = Template(ramp, np.ones((3, 5)), np.stack([np.eye(2), quarter]), order=1)
    >>> template.box
    (5, 5)
    >>> np.allclose(template.rotated(quarter).values[:, 1:-1], np.rot90(ramp))
    True
    """

    def __init__(
        self, values: NDArray[Any], mask: NDArray[Any], rotations: NDArray[np.float64], *, order: int = 3
    ) -> None:
        if order not in (1, 3):
            raise InputError(f"interpolation order {order}: use 1 (linear) or 3 (cubic).")
        self.values = np.asarray(values, np.float64)
        self.mask = np.asarray(mask, np.float64)
        if not np.isfinite(self.values).all():
            raise InputError(
                "template: it contains NaN or infinity. Replace them, or mask them out and set them to 0."
            )
        inside = self.values[self.mask > 0]
        if inside.size < 2 or np.ptp(inside) <= 1e-12 * np.abs(inside).max():
            raise InputError(
                "template: constant under its mask, so nothing can be told apart. Use another template."
            )
        self.order = order
        self.invariant = is_rotation_invariant(self.mask) or (
            len(rotations) == 1 and _is_identity(rotations[0])
        )
        self.box = _search_box(self.mask, rotations, invariant=self.invariant)
        self.reach = _reach(self.mask, rotations, self.box, invariant=self.invariant)
        self._centres = (np.array(self.mask.shape) - 1) / 2, (np.array(self.box) - 1) / 2
        self._coefficients = extended(self._spline(self.values), mirror=True)
        self._mask_values = extended(self.mask, mirror=False)
        self._box_points = points_of(np.ones(self.box))
        self._fixed = self._with_places(_centred(self.mask, self.box)) if self.invariant else None

    def _spline(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.order == 1:
            return values
        coefficients: NDArray[np.float64] = ndimage.spline_filter(values, order=self.order, mode="mirror")
        return coefficients

    @property
    def fixed_mask(self) -> NDArray[np.float64]:
        """The rotation-invariant mask in the search box.

        Raises
        ------
        InputError
            If the mask changes under rotation.
        """
        return self._fixed_mask.weights

    @property
    def fixed_support(self) -> tuple[tuple[int, int], ...]:
        """First and last index, per axis, of the box under the rotation-invariant mask."""
        return self._fixed_mask.support

    @cached_property
    def core(self) -> tuple[NDArray[np.float64], float]:
        """A ball that the mask holds, somewhere, at every rotation, and its lowest weight there.

        The ball is ones in an array that just holds it; without any where the mask is too thin.
        """
        heavy = np.pad(self.mask >= CORE_WEIGHT * self.mask.max(), 1)
        depth: NDArray[np.float64] = ndimage.distance_transform_edt(heavy)
        middle, radius = np.unravel_index(depth.argmax(), depth.shape), float(depth.max())
        places = np.moveaxis(np.indices(self.mask.shape), 0, -1) + 1
        weights = self.mask[np.linalg.norm(places - middle, axis=-1) < radius]
        # A turned voxel is interpolated from those less than the diagonal of a voxel away, and its place is rounded.
        radius -= 1.5 * math.sqrt(self.mask.ndim)
        axis = np.arange(-math.floor(max(radius, 0.0)), math.floor(max(radius, 0.0)) + 1)
        distances = np.linalg.norm(np.meshgrid(*[axis] * self.mask.ndim), axis=0)
        return (distances < radius).astype(np.float64), float(weights.min())

    @cached_property
    def central_core(self) -> tuple[NDArray[np.float64], float]:
        """A ball about the centre of the search box that the mask holds at every rotation, and its lowest weight there.

        The ball is ones in the search box; without any where the mask is thin at its centre.
        """
        distances = radial_distance(self.mask.shape)
        light = self.mask < CORE_WEIGHT * self.mask.max()
        edge = (min(self.mask.shape) + 1) / 2
        radius = min(float(distances[light].min(initial=edge)), edge)
        weights = self.mask[distances < radius]
        # As for `core`.
        ball = radial_distance(self.box) < radius - 1.5 * math.sqrt(self.mask.ndim)
        return ball.astype(np.float64), float(weights.min(initial=1.0))

    @cached_property
    def radius(self) -> float:
        """How far from the centre of the search box a turned mask may have a weight, in voxels."""
        support = np.argwhere(self.mask > 0) - (np.array(self.mask.shape) - 1) / 2
        # A voxel is spread over those less than its diagonal away.
        return float(np.linalg.norm(support, axis=1).max()) + math.sqrt(self.mask.ndim)

    @property
    def _fixed_mask(self) -> "_TurnedMask":
        if self._fixed is None:
            raise InputError(
                "mask: it changes when it is rotated; this score needs a rotation-invariant one."
            )
        return self._fixed

    def rotated(self, rotation: NDArray[np.float64]) -> RotatedTemplate:
        """Return the template and mask turned by the active rotation matrix, in the search box."""
        inverse, offset = self._inverse(rotation)
        mask = self._fixed or self._turned_mask(inverse, offset)
        values = np.zeros(self.box)
        values.reshape(-1)[mask.places] = turned(self._coefficients, inverse, offset, self.order, mask.points)
        return RotatedTemplate(values, mask.weights, mask.support)

    def under_mask(self, rotation: NDArray[np.float64]) -> RotatedTemplate:
        """Return the turned template where the rotation-invariant mask has a weight, as arrays of one axis."""
        mask = self._fixed_mask
        values = turned(self._coefficients, *self._inverse(rotation), self.order, mask.points)
        return RotatedTemplate(values, mask.inside, mask.support)

    def _turned_mask(self, inverse: NDArray[np.float64], offset: NDArray[np.float64]) -> "_TurnedMask":
        weights = turned(self._mask_values, inverse, offset, 1, self._box_points).reshape(self.box)
        weights[weights < NEGLIGIBLE_WEIGHT * self.mask.max()] = 0.0
        return self._with_places(weights)

    def _with_places(self, weights: NDArray[np.float64]) -> "_TurnedMask":
        places = np.flatnonzero(weights > 0)
        return _TurnedMask(
            weights, places, self._box_points[places], weights.reshape(-1)[places], _support(weights)
        )

    def _inverse(self, rotation: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return matrix and offset from voxels of the box to voxels of the template."""
        centre, box_centre = self._centres
        if _is_identity(rotation):
            # Whole-voxel shifts: evaluate without rounding in the coordinates.
            return np.eye(len(rotation)), np.rint(centre - box_centre)
        return rotation.T, centre - rotation.T @ box_centre


class _TurnedMask(NamedTuple):
    """A mask in the search box, the voxels where it has a weight, their weights, and their extent per axis.

    The voxels are there as places in the flat box, and as what `points_of` returns.
    """

    weights: NDArray[np.float64]
    places: NDArray[np.intp]
    points: NDArray[np.float64]
    inside: NDArray[np.float64]
    support: tuple[tuple[int, int], ...]


def _is_identity(rotation: NDArray[np.float64]) -> bool:
    return bool(np.abs(rotation - np.eye(len(rotation))).max() < 1e-12)


def _support(weights: NDArray[np.float64]) -> tuple[tuple[int, int], ...]:
    bounds = []
    for axis in range(weights.ndim):
        others = tuple(a for a in range(weights.ndim) if a != axis)
        indices = np.flatnonzero(weights.any(axis=others))
        bounds.append((int(indices[0]), int(indices[-1])) if indices.size else (0, weights.shape[axis] - 1))
    return tuple(bounds)


def _search_box(
    mask: NDArray[np.float64], rotations: NDArray[np.float64], *, invariant: bool
) -> tuple[int, ...]:
    centre = (np.array(mask.shape) - 1) / 2
    support = np.argwhere(mask > 0) - centre
    half_extent = np.abs(support).max(axis=0)
    if invariant:
        needed = half_extent
    else:
        radius = float(np.sqrt((support**2).sum(axis=1).max()))
        magnitude = np.abs(rotations)
        extents = np.minimum(magnitude @ half_extent, radius)
        # Linear interpolation spreads a voxel over the open cube of two voxels' width around it, which turns
        # with the template; the first voxel outside of the box is one further than the last one inside.
        spread = magnitude.sum(axis=2) - 1
        needed = (extents + spread).max(axis=0)
    box = []
    for length, half in zip(mask.shape, needed, strict=True):
        size = int(np.ceil(2 * half + 1 - 1e-9))
        box.append(size + (size - length) % 2)  # equal parity keeps the centre on the same half voxel
    return tuple(box)


def _reach(
    mask: NDArray[np.float64], rotations: NDArray[np.float64], box: tuple[int, ...], *, invariant: bool
) -> tuple[tuple[int, int], ...]:
    centre = (np.array(mask.shape) - 1) / 2
    if invariant:
        support = np.argwhere(mask > 0) - centre
        lowest, highest, slack = -support.min(axis=0), support.max(axis=0), 0.0
    else:
        # A turned voxel lies within half a voxel, on every axis, of a voxel of the box, which gets at least
        # this part of its weight. What is too light for that part to count may not stick out.
        part = (1 - math.sqrt(mask.ndim) / 2) ** mask.ndim
        heavy = mask * part >= NEGLIGIBLE_WEIGHT * mask.max()
        corners, slack = _hull(np.argwhere(heavy) - centre), 0.5
        below, above = np.full(mask.ndim, np.inf), np.full(mask.ndim, np.inf)
        for start in range(0, len(rotations), 1024):  # bounds the memory for large sets
            turned = np.einsum("rij,kj->rki", rotations[start : start + 1024], corners)
            below = np.minimum(below, (-turned.min(axis=1)).min(axis=0))
            above = np.minimum(above, turned.max(axis=1).min(axis=0))
        lowest, highest = below, above
    reach = []
    for size, low, high in zip(box, lowest, highest, strict=True):
        half = ((size - 1) % 2) / 2
        reach.append(
            (
                max(0, int(np.ceil(low - half - slack - 1e-9))),
                max(0, int(np.ceil(high + half - slack - 1e-9))),
            )
        )
    return tuple(reach)


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners of the convex hull, or all points where these have no volume."""
    try:
        corners: NDArray[np.float64] = points[ConvexHull(points).vertices]
    except QhullError:
        return points
    return corners


def _centred(array: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Crop or zero-pad `array` about its centre; both shapes have the same parity per axis."""
    result = np.zeros(shape)
    source, sink = [], []
    for have, want in zip(array.shape, shape, strict=True):
        shift = (want - have) // 2
        source.append(slice(max(-shift, 0), max(-shift, 0) + min(have, want)))
        sink.append(slice(max(shift, 0), max(shift, 0) + min(have, want)))
    result[tuple(sink)] = array[tuple(source)]
    return result
