"""Rotations that take a grid into itself, and rotation sets that are made of their turns."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.rotations.symmetry import symmetry_group

_EQUAL = 1e-9


_QUARTERS = [0, 2, 1, 3]
"""Quarters of the turn in the order of `grid_rotations`: masks often are the same after half a turn."""


@cache
def grid_rotations(dimensions: int) -> NDArray[np.float64]:
    """Return the rotations that take a square or cubic grid into itself: 4 of the plane, 24 of space.

    Parameters
    ----------
    dimensions : {2, 3}
        Of the grid.

    Returns
    -------
    ndarray of float64, shape (g, d, d)
        Row 0 is the identity; all entries are -1, 0 or 1. In the plane half a turn follows each rotation. Read-only.

    Examples
    --------
    >>> grid_rotations(3).shape
    (24, 3, 3)
    """
    quarters = [np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), k) for k in _QUARTERS]
    group = np.array(quarters) if dimensions == 2 else np.rint(symmetry_group("O"))
    group.flags.writeable = False
    return group


@cache
def grid_products(dimensions: int) -> NDArray[np.int32]:
    """Return which rotation of a grid follows from two, shape (g, g): of turns a after b, in row a and column b."""
    group = grid_rotations(dimensions)
    products = (group[:, np.newaxis] @ group)[:, :, np.newaxis]
    table: NDArray[np.int32] = (products == group).all(axis=(3, 4)).argmax(axis=2).astype(np.int32)
    table.flags.writeable = False
    return table


def turned_with_grid(array: NDArray[Any], rotation: NDArray[np.float64]) -> NDArray[Any]:
    """Return a view of a square or cubic array, turned about its centre by a rotation of its grid.

    Parameters
    ----------
    array : ndarray of d axes, all as long
        What is turned.
    rotation : ndarray, shape (d, d)
        One of `grid_rotations`.

    Examples
    --------
    >>> turned_with_grid(np.array([[1, 2], [3, 4]]), grid_rotations(2)[1])
    array([[4, 3],
           [2, 1]])
    """
    view = array.transpose(np.abs(rotation).argmax(axis=1))
    return view[tuple(slice(None, None, int(sign)) for sign in rotation.sum(axis=1))]


def grid_orbits(rotations: NDArray[np.float64]) -> NDArray[np.int32] | None:
    """Return which rotations of a set are turns of one another by the rotations of a grid.

    A template that is turned by them is the same array, its axes exchanged and reversed.

    Parameters
    ----------
    rotations : ndarray, shape (n, d, d)
        The rotation set. Looked for are the sets that `plane_rotations` and `space_rotations` return: orbits follow
        each other in space, and quarters of the turn in the plane.

    Returns
    -------
    ndarray of int32, shape (n / g, g), or None
        Ids: rotation ``[k, j]`` is ``grid_rotations(d)[j]`` after rotation ``[k, 0]``. None if the set is another.

    Examples
    --------
    >>> from scorefold.rotations import plane_rotations
    >>> grid_orbits(plane_rotations(45)).tolist()
    [[0, 4, 2, 6], [1, 5, 3, 7]]
    """
    group = grid_rotations(rotations.shape[1])
    if len(rotations) % len(group):
        return None
    ids = np.arange(len(rotations), dtype=np.int32)
    in_plane = rotations.shape[1] == 2
    orbits = ids.reshape(len(group), -1).T[:, _QUARTERS] if in_plane else ids.reshape(-1, len(group))
    for element, members in zip(group, orbits.T, strict=True):
        if np.abs(element @ rotations[orbits[:, 0]] - rotations[members]).max() > _EQUAL:
            return None
    return orbits
