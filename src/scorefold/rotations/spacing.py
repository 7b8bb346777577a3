"""How far apart the rotations of a set are, and rotations as points of a sphere."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from scorefold.rotations.conventions import matrix_to_angle

SAMPLES = 1000


def points_of_rotations(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotations as points of the circle, shape (n, 2), or as quaternions, shape (n, 4)."""
    if matrices.shape[1] == 2:
        angles = np.radians(matrix_to_angle(matrices))
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    quaternions: NDArray[np.float64] = Rotation.from_matrix(matrices).as_quat()
    return quaternions


def rotation_spacing(rotations: NDArray[np.float64]) -> float:
    """Return the median angle between a rotation of a set and the nearest other one.

    Parameters
    ----------
    rotations : ndarray, shape (n, d, d)
        The rotation set; of more than a thousand rotations, a thousand are looked at.

    Returns
    -------
    float
        Degrees; 90 for a set of one.

    Examples
    --------
    >>> from scorefold.rotations import plane_rotations
    >>> round(rotation_spacing(plane_rotations(5)), 6)
    5.0
    """
    if len(rotations) == 1:
        return 90.0
    points = points_of_rotations(rotations)
    in_space = points.shape[1] == 4
    tree = KDTree(np.concatenate([points, -points]) if in_space else points)
    chord = float(np.median(tree.query(points[:: max(1, len(points) // SAMPLES)], k=2)[0][:, 1]))
    # Quaternions of rotations ω apart are ω/2 apart.
    return float(np.degrees((4 if in_space else 2) * np.arcsin(min(chord / 2, 1.0))))
