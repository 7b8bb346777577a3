"""Cells: a rotation set cut into groups of neighbouring rotations."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from scorefold.errors import InputError
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
    centres : ndarray, shape (cells, e)
        Points on the circle (e = 2) or the sphere of quaternions (e = 4) that the cells lie around.
    angle : float
        Spacing of the centres in degrees.
    """

    order: NDArray[np.int32]
    starts: NDArray[np.int32]
    centres: NDArray[np.float64]
    angle: float

    def __len__(self) -> int:
        return len(self.starts) - 1

    def ids(self, cell: int) -> NDArray[np.int32]:
        """Return the rotation ids of a cell, ascending."""
        return self.order[self.starts[cell] : self.starts[cell + 1]]

    @cached_property
    def cell_of(self) -> NDArray[np.int32]:
        """The cell of every rotation id."""
        cells = np.empty(len(self.order), np.int32)
        cells[self.order] = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.starts))
        return cells

    @property
    def largest(self) -> int:
        """Number of rotations of the largest cell."""
        return int(np.diff(self.starts).max())

    def neighbours(self, cell: int, angle: float) -> NDArray[np.int64]:
        """Return the cells, `cell` among them, whose centres lie within an angle in degrees of its centre."""
        cosines = self.centres @ self.centres[cell]
        if self.centres.shape[1] == 4:
            # q and -q are one rotation; between rotations ω apart the cosine is cos(ω/2).
            return np.flatnonzero(np.abs(cosines) >= np.cos(np.radians(angle) / 2))
        return np.flatnonzero(cosines >= np.cos(np.radians(angle)))


def rotation_cells(rotations: ArrayLike, angle: float) -> RotationCells:
    """Cut a rotation set into cells around centres that are spaced by an angle.

    Every rotation belongs to the nearest centre: in the plane the centres are `plane_rotations` of the angle and cells
    are arcs, in space they are `space_rotations` and cells are about balls.

    Parameters
    ----------
    rotations : array_like, shape (n, d, d)
        The rotation set; any, in any order.
    angle : float
        Spacing of the centres in degrees, at most 90.

    Returns
    -------
    RotationCells
        The cells that have a rotation, in the order of their centres.

    Raises
    ------
    InputError
        If the rotations or the angle cannot be used.

    Examples
    --------
    >>> cells = rotation_cells(plane_rotations(5), 90)
    >>> len(cells), cells.ids(0).tolist()
    (4, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 66, 67, 68, 69, 70, 71])
    """
    if not 0 < angle <= 90:
        raise InputError(f"cell angle {angle:g}: give degrees, more than 0 and at most 90.")
    matrices = check_rotations(rotations)
    centres = points_of_rotations(
        plane_rotations(angle) if matrices.shape[1] == 2 else space_rotations(angle)
    )
    both = np.concatenate([centres, -centres]) if centres.shape[1] == 4 else centres
    # Rounded: a rotation half-way between two centres goes to the first on every machine.
    distances, nearest = KDTree(both).query(points_of_rotations(matrices), k=min(2, len(both)))
    if distances.ndim == 2:
        tied = np.abs(distances[:, 0] - distances[:, 1]) < 1e-9
        nearest = np.where(tied, nearest.min(axis=1), nearest[:, 0])
    owner = nearest % len(centres)
    order = np.argsort(owner, kind="stable").astype(np.int32)
    used, counts = np.unique(owner, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return RotationCells(order, starts, centres[used], angle)
