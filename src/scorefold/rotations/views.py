"""Spread viewing directions evenly over the sphere, as a template's symmetry allows.

A rotation R sees the template along v = Rᵀ z. Views that the symmetry takes into one another are equivalent:
one of each orbit is kept, and the orbits together cover the sphere.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

# Around an axis of this fold or more the equivalent views leave a hole that a view on the axis must fill.
_FOLD_WITH_AXIAL_VIEW = 4
# Beyond this fold the rings of equivalent views around the axis would lie too far apart if the number of
# orbits fell any further.
_LARGEST_USEFUL_FOLD = 13
# Further iterations change the covering radius of the views by about 2 %, up or down.
_RELAXATIONS = 20
# Any directions off the symmetry axes and planes will do, for the domain and for the lattice's pole.
_DOMAIN_CENTRE = np.array([0.80, 0.48, 0.36])
_LATTICE_TILT = Rotation.from_rotvec([0.1, 0.5, 0.3]).as_matrix()


@dataclass(frozen=True)
class Views:
    """One viewing direction of each orbit of a symmetry group.

    Parameters
    ----------
    free : ndarray of float64, shape (m, 3)
        Unit vectors (z, y, x) that no rotation of the group leaves in place.
    axial : ndarray of float64, shape (a, 3)
        Unit vectors on the axes of highest fold, one of each orbit.
    fold : int
        The fold of those axes: turns by 360°/fold about an axial view are equivalent.
    """

    free: NDArray[np.float64]
    axial: NDArray[np.float64]
    fold: int


def spread_views(spacing: float, group: NDArray[np.float64]) -> Views:
    """Return views whose orbits cover the sphere about one per `spacing`².

    The points of a Fibonacci lattice [1]_ inside a Dirichlet domain of the group are relaxed, all equivalent
    points taking part, towards a centroidal Voronoi tessellation by Lloyd's method [2]_. They form a nearly
    hexagonal net that the symmetry takes into itself.

    Parameters
    ----------
    spacing : float
        Square root of the solid angle per view, in radians.
    group : ndarray of float64, shape (k, 3, 3)
        Rotation group on (z, y, x) vectors, row 0 the identity.

    Returns
    -------
    Views
        The same on every call; free views in the order of the lattice's spiral.

    References
    ----------
    .. [1] Swinbank & Purser (2006), "Fibonacci grids: a novel approach to global modelling", Q. J. R.
       Meteorol. Soc. 132, 1769.
    .. [2] Du, Faber & Gunzburger (1999), "Centroidal Voronoi tessellations: applications and algorithms",
       SIAM Review 41, 637.
    """
    fold, axes = _principal_axes(group)
    axial = _one_per_orbit(axes, group)
    per_orbit = len(group) * min(1.0, _LARGEST_USEFUL_FOLD / fold)
    orbits = max(0, math.ceil((4 * math.pi / spacing**2 - len(axes)) / per_orbit))
    free = _relax(_lattice_in_domain(orbits, group), axes, group) if orbits else np.zeros((0, 3))
    return Views(free, axial, fold)


def _principal_axes(group: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """Return the highest fold of the group and, if high enough for axial views, the axes' 2j directions."""
    vectors = Rotation.from_matrix(group).as_rotvec()
    turns = np.linalg.norm(vectors, axis=1)
    if len(group) == 1:
        return 1, np.zeros((0, 3))
    smallest = turns[1:].min()
    fold = round(2 * math.pi / smallest)
    if fold < _FOLD_WITH_AXIAL_VIEW:
        return fold, np.zeros((0, 3))
    # The smallest turn occurs once about each direction: about v, and its inverse about −v.
    return fold, vectors[np.isclose(turns, smallest)] / smallest


def _one_per_orbit(directions: NDArray[np.float64], group: NDArray[np.float64]) -> NDArray[np.float64]:
    chosen: list[NDArray[np.float64]] = []
    for direction in directions:
        if not any(np.isclose(group @ known @ direction, 1.0).any() for known in chosen):
            chosen.append(direction)
    return np.reshape(chosen, (-1, 3))


def _lattice_in_domain(orbits: int, group: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the `orbits` points of a Fibonacci lattice that lie deepest in the group's Dirichlet domain."""
    count = orbits * len(group)
    index = np.arange(count)
    height = 1 - (2 * index + 1) / count
    longitude = index * math.pi * (3 - math.sqrt(5))
    radius = np.sqrt(1 - height**2)
    points = (
        np.stack([height, radius * np.sin(longitude), radius * np.cos(longitude)], axis=1) @ _LATTICE_TILT.T
    )
    closeness = points @ (group @ _DOMAIN_CENTRE).T
    depth = closeness[:, 0] - closeness[:, 1:].max(axis=1, initial=-np.inf)
    deepest = np.argsort(-depth, kind="stable")[:orbits]
    chosen: NDArray[np.float64] = points[np.sort(deepest)]
    return chosen


def _relax(
    free: NDArray[np.float64], axes: NDArray[np.float64], group: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move each free view to the centroid of its Voronoi cell among all equivalent views, again and again."""
    for _ in range(_RELAXATIONS):
        # The identity is row 0 of the group: the first len(free) points are the free views themselves.
        orbit = np.concatenate([np.einsum("gij,nj->gni", group, free).reshape(-1, 3), axes])
        centroids = _voronoi_centroids(orbit)[: len(free)]
        free = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    return free


def _voronoi_centroids(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, up to a factor, the centroid of each point's Voronoi cell on the sphere.

    A facet of the convex hull is a Delaunay triangle; its outward normal points at its circumcentre. The
    triangle (corner, middle of an edge, circumcentre) belongs to the corner's cell; its area is signed,
    because the circumcentre may lie outside the facet.
    """
    hull = ConvexHull(points)
    corners = points[hull.simplices]
    circumcentre = hull.equations[:, np.newaxis, :3]
    following = np.roll(corners, -1, axis=1)
    area = (circumcentre * np.cross(following - corners, circumcentre - corners)).sum(axis=2, keepdims=True)
    # Qhull does not order a facet's corners; the facet's own area tells which way round they are.
    area *= np.sign(area.sum(axis=1, keepdims=True))
    shared = (corners + following) / 2 + circumcentre
    moment = area * (shared + corners) + np.roll(area * (shared + following), 1, axis=1)
    centroids = np.zeros_like(points)
    np.add.at(centroids, hull.simplices, moment)
    return centroids
