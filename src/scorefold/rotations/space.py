"""Rotation sets of space: nearly uniform, reduced by the template's symmetry."""

import math

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rotations.conventions import relion_to_matrix
from scorefold.rotations.orbits import grid_rotations
from scorefold.rotations.symmetry import symmetry_group
from scorefold.rotations.views import spread_views

_LARGEST_STEP = 90.0
_LARGEST_SET = 20_000_000
# From this step on the six views along the axes are enough.
_AXES_COVER = 66.4


def space_rotations(step: float, symmetry: str = "C1") -> NDArray[np.float64]:
    """Return rotations of space, spread nearly evenly, for a template of the given symmetry.

    Parameters
    ----------
    step : float
        Nominal spacing in degrees: the side of the cube that is one rotation's share of the space of all
        rotations. RELION's samplings are named in the same way. Above 0, at most 90.
    symmetry : str, default "C1"
        Point group of the template, see `symmetry_group`. Of the rotations R·g, which show the same, only
        one is kept.

    Returns
    -------
    ndarray of float64, shape (n, 3, 3)
        Rotations on (z, y, x) vectors; row 0 is the identity. Without symmetry n is about
        8π² / step³ (step in radians), more for steps above 20 degrees, and 24 rotations that follow each other
        are turns of their first one by `grid_rotations`. Same arguments, same rows in the same order.

    Raises
    ------
    InputError
        If the symmetry is unknown, or the step is out of range or asks for more than 20 million rotations.

    See Also
    --------
    covering_radius : Measures a set, this one or another.

    Notes
    -----
    A rotation is a viewing direction and a turn in the plane (the Hopf fibration, as in [1]_).
    The directions form a relaxed, nearly hexagonal net, one per step² of the sphere; each is turned in the
    plane by the step, or the next smaller angle that divides the turn. Net and turns are invariant under the
    symmetry, so that a reduced set covers nearly as well as a whole one.

    Without symmetry of the template there is that of the grid: the set is one that is reduced by the symmetry of the
    cube, inverted, and turned by the 24 rotations that take a cubic grid into itself. Templates that are turned so
    are the same array, its axes exchanged and reversed.

    No rotation is farther from the set than its covering radius, below 0.85 step as measured by
    `covering_radius`:

    ====  =======  ================================  ================
    step  n        covering radius (degrees)         same n, spiral
    ====  =======  ================================  ================
    30    648      22.6                              27.4
    20    1 848    16.3                              19.1
    15    4 176    12.6                              13.7
    10    14 904   8.3                               8.9
    7     43 992   5.8                               6.4
    5     119 664  4.2                               4.8
    3     550 800  2.5                               2.8
    ====  =======  ================================  ================

    The last column is the super-Fibonacci spiral [2]_ with as many rotations. The grid of [1]_, HEALPix
    directions times turns, covers to 13.9 degrees with 4 608 rotations and to 6.9 with 36 864. Some published
    sets are named by their covering radius instead: one named 5 compares with a step of 6 here.

    The number of rotations falls by the order of the group, except that cyclic and dihedral groups of more
    than 13-fold symmetry are reduced as if they were 13-fold. The covering radius (modulo symmetry) stays
    below 0.95 step: so measured for C2 to C14, D1 to D12, T, O and I at steps from 90 to 5.

    References
    ----------
    .. [1] Yershova, Jain, LaValle & Mitchell (2010), "Generating uniform incremental grids on SO(3) using the
       Hopf fibration", Int. J. Robotics Research 29, 801.
    .. [2] Alexa (2022), "Super-Fibonacci spirals: fast, low-discrepancy sampling of SO(3)", CVPR, 8291.

    Examples
    --------
    >>> space_rotations(15).shape
    (4176, 3, 3)
    >>> space_rotations(15, symmetry="O").shape
    (198, 3, 3)
    """
    group = symmetry_group(symmetry)
    if not 0 < step <= _LARGEST_STEP:
        raise InputError(f"step {step}: must be above 0 and at most {_LARGEST_STEP:g} degrees.")
    expected = 4 * math.pi / math.radians(step) ** 2 * 360 / step / len(group)
    if expected > _LARGEST_SET:
        raise InputError(
            f"step {step}: about {expected:.2g} rotations, more than {_LARGEST_SET:,}. Pass a larger step."
        )
    return _orbits_of_grid(step) if len(group) == 1 else _spread(step, math.radians(step), group)


def _orbits_of_grid(step: float) -> NDArray[np.float64]:
    """Return rotations that those of a cubic grid turn into one another; these follow each other."""
    grid = grid_rotations(3)
    # Besides the views along the six axes; as many as come nearest to one view per step², and one that covers.
    orbits = (4 * math.pi / math.radians(step) ** 2 - 6) / len(grid)
    views = len(grid) * max(round(orbits), int(step < _AXES_COVER)) + 6
    # The inverses of rotations without their equivalents by the grid's symmetry, turned by the grid's rotations.
    inverse = _spread(step, math.sqrt(4 * math.pi / (views - 0.5)), grid).transpose(0, 2, 1)
    return (grid @ inverse[:, np.newaxis]).reshape(-1, 3, 3)


def _spread(step: float, spacing: float, group: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotations that cover those of space with their equivalents: views and turns of them by the step."""
    views = spread_views(spacing, group)
    angles = np.concatenate([_turn(views.free, step, 360.0), _turn(views.axial, step, 360.0 / views.fold)])
    rotations = relion_to_matrix(angles)
    # One more rotation in front, after the symmetry, changes neither coverage nor equivalence.
    centred: NDArray[np.float64] = rotations[0].T @ rotations
    centred[0] = np.eye(3)
    return centred


def _turn(views: NDArray[np.float64], step: float, turn: float) -> NDArray[np.float64]:
    """Return the RELION angles (n, 3) of each view (z, y, x), turned in the plane through `turn` degrees."""
    count = math.ceil(turn / step * (1 - 1e-9))
    psi = np.arange(count) * (turn / count)
    rot = np.degrees(np.arctan2(views[:, 1], views[:, 2]))
    tilt = np.degrees(np.arctan2(np.hypot(views[:, 1], views[:, 2]), views[:, 0]))
    angles = np.empty((len(views), count, 3))
    angles[..., 0] = rot[:, np.newaxis]
    angles[..., 1] = tilt[:, np.newaxis]
    angles[..., 2] = psi
    return angles.reshape(-1, 3)
