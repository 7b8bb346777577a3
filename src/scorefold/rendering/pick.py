"""A pick as the pictures need it: where, how turned, how well, and in which target."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rotations import matrix_to_angle, matrix_to_relion


@dataclass(frozen=True, eq=False)
class DrawnPick:
    """One detected position, ready to be drawn.

    Parameters
    ----------
    position : (d,) float64 array
        Target coordinates of the template's rotation centre, in array axes ((y, x) or (z, y, x)),
        in voxels of the full-resolution target, voxel centres at integers.
    rotation : (d, d) float64 array
        Active rotation on array-axis vectors, ``x_target = rotation @ (x_template - c) + position``.
    score : float
        Score at the position.
    rank : int
        1 for the best pick of its target (or of the whole job; it is only printed).
    target : str
        Name of the target.

    Raises
    ------
    InputError
        If the rotation is not (d, d) for a position of length d in {2, 3}.

    Examples
    --------
    >>> pick = DrawnPick(np.array([12.0, 30.5]), np.eye(2), score=0.91, rank=1, target="a.tif")
    >>> pick.dimensions
    2
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    score: float
    rank: int
    target: str

    def __post_init__(self) -> None:
        position = np.asarray(self.position, dtype=np.float64)
        rotation = np.asarray(self.rotation, dtype=np.float64)
        if position.shape not in {(2,), (3,)}:
            raise InputError(f"pick position of shape {position.shape}: give 2 or 3 coordinates.")
        if rotation.shape != position.shape * 2:
            raise InputError(
                f"pick rotation of shape {rotation.shape}: a position of {position.size} coordinates "
                f"needs {position.shape * 2}."
            )
        object.__setattr__(self, "position", position)
        object.__setattr__(self, "rotation", rotation)

    @property
    def dimensions(self) -> int:
        """Number of array axes, 2 or 3."""
        return self.position.size

    @property
    def angles(self) -> tuple[float, ...]:
        """Degrees: (θ,) counter-clockwise on screen in 2D, (rot, tilt, psi) as RELION writes them in 3D."""
        if self.dimensions == 2:
            return (float(matrix_to_angle(self.rotation)),)
        return tuple(float(angle) for angle in matrix_to_relion(self.rotation))

    @property
    def rotation_label(self) -> str:
        """Return the angles as printed in pictures and tables: "45.0°", or "rot 10.0 tilt 20.0 psi 30.0"."""
        if self.dimensions == 2:
            return f"{self.angles[0]:.1f}°"
        rot, tilt, psi = self.angles
        return f"rot {rot:.1f} tilt {tilt:.1f} psi {psi:.1f}"


def check_dimensions(picks: Iterable[DrawnPick], dimensions: int) -> None:
    """Refuse picks that do not have `dimensions` axes."""
    for pick in picks:
        if pick.dimensions != dimensions:
            raise InputError(
                f"pick {pick.rank} of {pick.target!r} has {pick.dimensions} coordinates: "
                f"this picture draws {dimensions}D targets."
            )
