"""Rotation sets of the plane: equally spaced in-plane angles."""

import math

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rotations.conventions import angle_to_matrix

# Relative slack when counting steps, so that 0.1° into 360° is 3600 steps and not 3601.
_WHOLE = 1e-9


def plane_rotations(step: float, start: float = 0.0, stop: float = 360.0) -> NDArray[np.float64]:
    """Return rotations of the plane, equally spaced from one angle to another.

    Parameters
    ----------
    step : float
        Largest spacing in degrees, > 0. A step that does not divide the range is shrunk to the nearest
        one that does: 7° over a whole turn gives 52 rotations 6.92° apart.
    start, stop : float, default 0 and 360
        The range in degrees, counter-clockwise as seen on screen with y pointing down. Both ends belong to
        the set, unless the range is a whole turn, whose ends are one rotation: then `stop` is left out.

    Returns
    -------
    ndarray of float64, shape (n, 2, 2)
        Rotations on (y, x) vectors, in order of their angle.

    Raises
    ------
    InputError
        If the step is not positive, an argument is not finite, `stop` < `start` or the range exceeds 360°.

    Examples
    --------
    >>> from scorefold.rotations import matrix_to_angle
    >>> matrix_to_angle(plane_rotations(90)).round(9)
    array([  0.,  90., 180., 270.])
    >>> matrix_to_angle(plane_rotations(4, -5, 5)).round(9)
    array([355.        , 358.33333333,   1.66666667,   5.        ])
    """
    if not (math.isfinite(step) and step > 0):
        raise InputError(f"step {step}: must be a positive number of degrees.")
    if not (math.isfinite(start) and math.isfinite(stop)):
        raise InputError(f"angle range {start} to {stop}: both ends must be finite degrees.")
    extent = stop - start
    if extent < 0:
        raise InputError(f"angle range {start} to {stop}: the end lies before the start. Add 360 to the end.")
    whole_turn = math.isclose(extent, 360.0, rel_tol=_WHOLE)
    if extent > 360.0 and not whole_turn:
        raise InputError(f"angle range {start} to {stop}: more than a whole turn. Pass at most 360 degrees.")
    intervals = math.ceil(extent / step * (1 - _WHOLE))
    count = intervals if whole_turn else intervals + 1
    return angle_to_matrix(start + extent * np.arange(count) / max(intervals, 1))
