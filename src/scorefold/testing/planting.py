"""Planted truth: copies of a template at known positions and rotations, and how well picks recover them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from scorefold.errors import InputError
from scorefold.rotations import geodesic_angle


def plant(
    target: NDArray[Any],
    template: ArrayLike,
    mask: ArrayLike,
    positions: ArrayLike,
    rotations: ArrayLike,
    *,
    add: bool = False,
) -> None:
    """Put rotated copies of a template into a target, in place.

    Voxel x of the target gets the template's value (cubic interpolation) at ``R.T @ (x - t) + c``, c = (shape - 1)/2,
    weighted by the mask there (linear interpolation).

    Parameters
    ----------
    target : ndarray of float
        Image or volume, changed in place; what reaches out of it is cut off.
    template, mask : array_like
        Template and its weights between 0 and 1, of one shape.
    positions : array_like, shape (n, d)
        Target coordinates of the copies' rotation centres.
    rotations : array_like, shape (n, d, d)
        Active rotation matrices on array-axis vectors.
    add : bool
        Add the weighted template to the target instead of blending it over.

    Raises
    ------
    InputError
        If the target is not of a floating type.

    Examples
    --------
    >>> image = np.zeros((9, 9))
    >>> plant(image, [[1.0, 2.0, 3.0]] * 3, np.ones((3, 3)), [[4, 5]], [np.eye(2)])
    >>> image[4].round(6)
    array([0., 0., 0., 0., 1., 2., 3., 0., 0.])
    """
    if target.dtype.kind != "f":
        raise InputError(
            f"target of dtype {target.dtype}: plant changes it in place and needs a floating type."
        )
    values, weights = np.asarray(template, np.float64), np.asarray(mask, np.float64)
    centre = (np.array(values.shape) - 1) / 2
    coefficients = ndimage.spline_filter(values, order=3, mode="mirror")
    reach = int(np.ceil(np.linalg.norm(centre))) + 1
    for position, rotation in zip(np.asarray(positions, float), np.asarray(rotations, float), strict=True):
        start = np.maximum(np.floor(position).astype(int) - reach, 0)
        stop = np.minimum(np.ceil(position).astype(int) + reach + 1, target.shape)
        region = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        offsets = (
            np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in region], indexing="ij"), axis=-1)
            - position
        )
        points = np.moveaxis(offsets @ rotation + centre, -1, 0)
        sampled = ndimage.map_coordinates(coefficients, points, order=3, mode="mirror", prefilter=False)
        weight = ndimage.map_coordinates(weights, points, order=1, mode="grid-constant")
        kept = target[region] if add else target[region] * (1 - weight)
        target[region] = kept + weight * sampled


def scattered(
    rng: np.random.Generator, shape: tuple[int, ...], count: int, distance: float, margin: float
) -> NDArray[np.float64]:
    """Return random positions that keep a distance from each other and from the border.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the randomness.
    shape : tuple of int
        Shape of the target.
    count : int
        Number of positions.
    distance, margin : float
        Smallest distance between two positions, and of any position from the border, in voxels.

    Returns
    -------
    ndarray of float64, shape (count, d)
        Positions between voxels.

    Raises
    ------
    InputError
        If so many do not fit.
    """
    found = np.empty((0, len(shape)))
    for _ in range(1000 * count):
        candidate = rng.uniform(margin, np.array(shape) - 1 - margin)
        if not len(found) or cdist([candidate], found).min() >= distance:
            found = np.vstack([found, candidate])
            if len(found) == count:
                return found
    raise InputError(
        f"{count} positions at distance {distance:g} in {shape}: they do not fit. Ask for fewer."
    )


def chain_density(
    rng: np.random.Generator, size: int, *, blur: float = 1.3, atoms: int = 3000
) -> NDArray[np.float64]:
    """Simulate the density of a compact, asymmetric particle: a random walk of atoms in a ball, blurred.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the randomness.
    size : int
        Edge of the volume in voxels.
    blur : float
        Standard deviation of the Gaussian that stands for an atom, in voxels.
    atoms : int
        Number of atoms.

    Returns
    -------
    ndarray of float64, shape (size, size, size)
        Density with maximum 1; zero towards the border.
    """
    radius = 0.36 * size
    atom = np.zeros(3)
    walk: list[NDArray[np.float64]] = []
    while len(walk) < atoms:
        step = atom + rng.normal(scale=0.05 * radius, size=3)
        # A flattened ball with a lobe: no rotation maps it onto itself.
        inside = (
            np.linalg.norm(step * (1.0, 1.25, 0.85)) < radius
            or np.linalg.norm(step - radius * 0.8) < radius / 3
        )
        if inside:
            atom = step
            walk.append(atom)
    points = np.array(walk) + (size - 1) / 2
    counts, _ = np.histogramdd(points, bins=[np.arange(size + 1) - 0.5] * 3)
    density: NDArray[np.float64] = ndimage.gaussian_filter(counts, blur)
    density /= density.max()
    return density


@dataclass(frozen=True)
class Recovery:
    """How well picks recover planted copies.

    Attributes
    ----------
    planted, picked, matched : int
        Numbers of copies, of picks, and of pairs of both within the tolerance.
    position_errors : ndarray, shape (matched,)
        Distances in voxels.
    angle_errors : ndarray, shape (matched,)
        Angles between planted and picked rotations in degrees.
    """

    planted: int
    picked: int
    matched: int
    position_errors: NDArray[np.float64]
    angle_errors: NDArray[np.float64]

    @property
    def recall(self) -> float:
        """Fraction of the planted copies that were picked."""
        return self.matched / self.planted

    @property
    def precision(self) -> float:
        """Fraction of the picks that are planted copies; 1 without picks."""
        return self.matched / self.picked if self.picked else 1.0


def recovery(
    positions: ArrayLike,
    rotations: ArrayLike,
    found_positions: ArrayLike,
    found_rotations: ArrayLike,
    tolerance: float,
) -> Recovery:
    """Pair planted copies with picks, one to one, at the least total distance.

    Parameters
    ----------
    positions, rotations : array_like, shapes (n, d) and (n, d, d)
        The truth.
    found_positions, found_rotations : array_like, shapes (k, d) and (k, d, d)
        The picks.
    tolerance : float
        A pair further apart than this does not count, in voxels.

    Examples
    --------
    >>> found = recovery([[3, 3], [9, 9]], [np.eye(2)] * 2, [[3, 4]], [np.eye(2)], tolerance=2)
    >>> found.recall, found.precision, found.position_errors
    (0.5, 1.0, array([1.]))
    """
    truth, turned = np.asarray(positions, float), np.asarray(rotations, float)
    found, found_turned = np.asarray(found_positions, float), np.asarray(found_rotations, float)
    if not len(found):
        return Recovery(len(truth), 0, 0, np.empty(0), np.empty(0))
    distances = cdist(truth, found)
    rows, columns = linear_sum_assignment(np.minimum(distances, 2 * tolerance))
    near = distances[rows, columns] <= tolerance
    rows, columns = rows[near], columns[near]
    angles = np.atleast_1d(geodesic_angle(turned[rows], found_turned[columns])) if len(rows) else np.empty(0)
    return Recovery(len(truth), len(found), len(rows), distances[rows, columns], angles)
