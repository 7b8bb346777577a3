"""Rotation sets, the symmetry of templates, conventions of angles, and files of rotations."""

from scorefold.rotations.cells import RotationCells, rotation_cells
from scorefold.rotations.conventions import (
    angle_to_matrix,
    geodesic_angle,
    matrix_to_angle,
    matrix_to_relion,
    relion_to_matrix,
)
from scorefold.rotations.covering import covering_radius
from scorefold.rotations.files import read_rotations, write_rotations
from scorefold.rotations.orbits import grid_orbits, grid_rotations, turned_with_grid
from scorefold.rotations.plane import plane_rotations
from scorefold.rotations.space import space_rotations
from scorefold.rotations.spacing import rotation_spacing
from scorefold.rotations.symmetry import symmetry_group
from scorefold.rotations.validation import check_rotations

__all__ = [
    "RotationCells",
    "angle_to_matrix",
    "check_rotations",
    "covering_radius",
    "geodesic_angle",
    "grid_orbits",
    "grid_rotations",
    "matrix_to_angle",
    "matrix_to_relion",
    "plane_rotations",
    "read_rotations",
    "relion_to_matrix",
    "rotation_cells",
    "rotation_spacing",
    "space_rotations",
    "symmetry_group",
    "turned_with_grid",
    "write_rotations",
]
