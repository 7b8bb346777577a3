"""Cells: a rotation set cut into groups of neighbouring rotations."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from scorefold.errors import InputError
from scorefold.rotations.orbits import grid_orbits, grid_products
from scorefold.rotations.plane import plane_rotations
from scorefold.rotations.space import space_rotations
from scorefold.rotations.spacing import points_of_rotations
from scorefold.rotations.validation import check_rotations


@dataclass(frozen=True)
class RotationCells:
    """A partition of the ids of a rotation set.

    Attributes
    ----------
    order : ndarray of int32, shape (n,)
        All ids, cell after cell, ascending within each.
    starts : ndarray of int32, shape (cells + 1,)
        Where each cell begins in `order`, and the end of the last.
    turns : int
        How many cells that follow each other are turns of the first of them, by ``grid_rotations(d)`` in their order:
        1 where every cell is on its own.
    orbits : ndarray of int32, shape (n,)
        Which orbit of turns a rotation belongs to.
    """

    order: NDArray[np.int32]
    starts: NDArray[np.int32]
    turns: int
    orbits: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def ids(self, cell: int) -> NDArray[np.int32]:
        """Return the rotation ids of a cell, ascending."""
        return self.order[self.starts[cell] : self.starts[cell + 1]]

    def model(self, cell: int) -> int:
        """Return the cell of which this one is a turn."""
        return cell - cell % self.turns

    def model_rows(self, cell: int) -> NDArray[np.intp]:
        """Return which rotation of the model, by its row there, becomes each of this cell by the turn."""
        in_model = np.argsort(self.orbits[self.ids(self.model(cell))])
        rows = np.empty_like(in_model)
        rows[np.argsort(self.orbits[self.ids(cell)])] = in_model
        return rows

    @property
    def typical_model(self) -> int:
        """A cell of median size, of which others may be turns."""
        return self.model(int(np.argsort(np.diff(self.starts), kind="stable")[len(self) // 2]))

    @property
    def largest(self) -> int:
        """Number of rotations of the largest cell."""
        return int(np.diff(self.starts).max())


def rotation_cells(rotations: ArrayLike, angle: float, *, turned: bool = False) -> RotationCells:
    """Cut a rotation set into cells around centres that are spaced by an angle.

    Every rotation belongs to the nearest centre: in the plane the centres are `plane_rotations` of the angle and cells
    are arcs, in space they are `space_rotations` and cells are about balls. As there, the spacing may be less.

    Parameters
    ----------
    rotations : array_like, shape (n, d, d)
        The rotation set; any, in any order.
    angle : float
        Spacing of the centres in degrees, at most 90.
    turned : bool
        Whether cells are turns of one another by the rotations of a grid, as the rotation set has to be. In the plane
        the spacing is then one that divides a quarter of the turn.

    Returns
    -------
    RotationCells
        The cells that have a rotation, in the order of their centres.

    Raises
    ------
    InputError
        If the rotations or the angle cannot be used.
    ValueError
        If cells are to be turns of one another, and the rotations are not.

    Examples
    --------
    >>> cells = rotation_cells(plane_rotations(5), 90)
    >>> len(cells), cells.ids(0).tolist()
    (4, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 66, 67, 68, 69, 70, 71])
    """
    if not 0 < angle <= 90:
        raise InputError(f"cell angle {angle:g}: give degrees, more than 0 and at most 90.")
    matrices = check_rotations(rotations)
    in_plane = matrices.shape[1] == 2
    if turned:
        centres = (
            plane_rotations(90 / math.ceil(90 / angle * (1 - 1e-9))) if in_plane else space_rotations(angle)
        )
        order = grid_orbits(centres)
        members = grid_orbits(matrices)
        if members is None or order is None:
            raise ValueError("rotations that are not turns of one another by those of a grid")
        centres = centres[order.ravel()]
    else:
        centres = plane_rotations(angle) if in_plane else space_rotations(angle)
        members = np.arange(len(matrices), dtype=np.int32)[:, np.newaxis]
    turns = members.shape[1]
    nearest = _nearest(matrices[members[:, 0]], centres)
    # What turns a rotation, and with it its cell, into the others.
    cell_of, orbits = np.empty((2, len(matrices)), np.int32)
    products = grid_products(matrices.shape[1]) if turned else np.zeros((1, 1), np.int32)
    cell_of[members] = (nearest - nearest % turns)[:, np.newaxis] + products[:, nearest % turns].T
    orbits[members] = np.arange(len(members), dtype=np.int32)[:, np.newaxis]
    counts = np.unique(cell_of, return_counts=True)[1]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return RotationCells(np.argsort(cell_of, kind="stable").astype(np.int32), starts, turns, orbits)


def _nearest(rotations: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the centre that is nearest to each rotation."""
    points = points_of_rotations(centres)
    both = np.concatenate([points, -points]) if points.shape[1] == 4 else points
    # Rounded: a rotation half-way between two centres goes to the first on every machine.
    distances, nearest = KDTree(both).query(points_of_rotations(rotations), k=min(2, len(both)))
    if distances.ndim == 2:
        tied = np.abs(distances[:, 0] - distances[:, 1]) < 1e-9
        nearest = np.where(tied, nearest.min(axis=1), nearest[:, 0])
    owner: NDArray[np.intp] = nearest % len(points)
    return owner
