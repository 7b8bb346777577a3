"""Convert between rotation matrices on array axes, in-plane angles and RELION's angles, and measure angles.

A rotation matrix R is active and acts on array-axis vectors, (y, x) or (z, y, x):
x_target = R (x_template − c) + t, with c = (shape − 1)/2.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation
from scipy.special import cosdg, sindg

from scorefold.errors import InputError

# Below this sine of the tilt, rot and psi turn about one axis and only their sum is known.
_GIMBAL_LOCK = 1e-12


def _as_float(values: ArrayLike, name: str, trailing: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape[array.ndim - len(trailing) :] != trailing:
        wanted = ", ".join(["...", *map(str, trailing)])
        raise InputError(f"{name}: shape {array.shape}; pass an array of shape ({wanted}).")
    return array


def angle_to_matrix(angle: ArrayLike) -> NDArray[np.float64]:
    """Return the 2D rotation matrix of an in-plane angle.

    R(θ) = [[cos θ, −sin θ], [sin θ, cos θ]] on (y, x) vectors.

    Parameters
    ----------
    angle : array_like, shape (...)
        Degrees, counter-clockwise as seen on screen with y pointing down.

    Returns
    -------
    ndarray of float64, shape (..., 2, 2)
        Exact at multiples of 90°.

    See Also
    --------
    matrix_to_angle : The inverse.

    Examples
    --------
    A quarter turn takes what lies right of the centre to above it, as `numpy.rot90` does:

    >>> angle_to_matrix(90) @ [0, 1]
    array([-1.,  0.])
    """
    degrees = np.asarray(angle, dtype=np.float64)
    # The scalar routines of SciPy are exact at multiples of 90° and the same on every CPU; + 0.0 clears -0.0.
    cosine, sine = cosdg(degrees) + 0.0, sindg(degrees) + 0.0
    return np.stack([np.stack([cosine, 0.0 - sine], axis=-1), np.stack([sine, cosine], axis=-1)], axis=-2)


def matrix_to_angle(matrix: ArrayLike) -> NDArray[np.float64]:
    """Return the in-plane angle of a 2D rotation matrix.

    Parameters
    ----------
    matrix : array_like, shape (..., 2, 2)
        Rotation on (y, x) vectors.

    Returns
    -------
    ndarray of float64, shape (...)
        Degrees in [0, 360), counter-clockwise as seen on screen with y pointing down.

    Raises
    ------
    InputError
        If the last two axes are not 2 × 2.

    See Also
    --------
    angle_to_matrix : The inverse.

    Examples
    --------
    >>> float(matrix_to_angle([[0, -1], [1, 0]]))
    90.0
    """
    rotation = _as_float(matrix, "matrix", (2, 2))
    degrees = np.degrees(np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0])) % 360.0
    # A tiny negative angle rounds up to a whole turn.
    return np.where(degrees == 360.0, 0.0, degrees)


def relion_to_matrix(angles: ArrayLike) -> NDArray[np.float64]:
    """Return the 3D rotation matrix of RELION's angles.

    RELION's matrix A takes reference to particle coordinates in (x, y, z) order and is the inverse of the
    intrinsic ZYZ rotation (rot, tilt, psi) [1]_; here it acts on (z, y, x) vectors.

    Parameters
    ----------
    angles : array_like, shape (..., 3)
        ``rlnAngleRot``, ``rlnAngleTilt``, ``rlnAnglePsi`` in degrees.

    Returns
    -------
    ndarray of float64, shape (..., 3, 3)
        Rotation on (z, y, x) vectors.

    Raises
    ------
    InputError
        If the last axis does not have length 3.

    See Also
    --------
    matrix_to_relion : The inverse.

    References
    ----------
    .. [1] Heymann, Chagoyen & Belnap (2005), "Common conventions for interchange and archiving of
       three-dimensional electron microscopy information in structural biology", J. Struct. Biol. 151, 196.

    Examples
    --------
    psi alone turns the template in the plane of (y, x), as `angle_to_matrix` does:

    >>> bool(np.allclose(relion_to_matrix([0, 0, 30])[1:, 1:], angle_to_matrix(30)))
    True
    """
    degrees = _as_float(angles, "angles", (3,))
    xyz = Rotation.from_euler("ZYZ", degrees.reshape(-1, 3), degrees=True).inv().as_matrix()
    return np.ascontiguousarray(xyz[:, ::-1, ::-1].reshape(*degrees.shape, 3))


def matrix_to_relion(matrix: ArrayLike) -> NDArray[np.float64]:
    """Return RELION's angles of a 3D rotation matrix.

    Parameters
    ----------
    matrix : array_like, shape (..., 3, 3)
        Rotation on (z, y, x) vectors.

    Returns
    -------
    ndarray of float64, shape (..., 3)
        rot, tilt, psi in degrees; tilt in [0, 180], the others in [−180, 180]. Where the tilt is 0 or 180
        only the sum or difference of rot and psi is determined: rot is then 0.

    Raises
    ------
    InputError
        If the last two axes are not 3 × 3.

    See Also
    --------
    relion_to_matrix : The inverse, and the convention.

    Examples
    --------
    >>> matrix_to_relion(relion_to_matrix([10, 20, 30])).round(9)
    array([10., 20., 30.])
    >>> matrix_to_relion(np.eye(3))
    array([0., 0., 0.])
    """
    zyx = _as_float(matrix, "matrix", (3, 3))
    # M = Rz(rot) Ry(tilt) Rz(psi) in (x, y, z) order, the transpose of RELION's A.
    m = np.swapaxes(zyx[..., ::-1, ::-1], -1, -2)
    sine = np.hypot(m[..., 0, 2], m[..., 1, 2])
    tilt = np.arctan2(sine, m[..., 2, 2])
    locked = sine < _GIMBAL_LOCK
    rot = np.where(locked, 0.0, np.arctan2(m[..., 1, 2], m[..., 0, 2]))
    # psi from Rz(−rot) M stays accurate near the lock, where rot itself is noise.
    cosine_rot, sine_rot = np.cos(rot), np.sin(rot)
    psi = np.arctan2(
        cosine_rot * m[..., 1, 0] - sine_rot * m[..., 0, 0],
        cosine_rot * m[..., 1, 1] - sine_rot * m[..., 0, 1],
    )
    angles: NDArray[np.float64] = np.degrees(np.stack([rot, tilt, psi], axis=-1))
    return angles


def geodesic_angle(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return the angle of the rotation that takes one rotation to another.

    In two and in three dimensions alike, ‖A − B‖ (Frobenius) = 2√2 sin(ω/2).

    Parameters
    ----------
    a, b : array_like, shape (..., d, d)
        Rotation matrices, d = 2 or 3; the leading axes broadcast.

    Returns
    -------
    ndarray of float64, shape (...)
        ω in degrees, in [0, 180]. Accurate to about 1e-14 near 0 and 1e-6 near 180.

    Raises
    ------
    InputError
        If the matrices are not both 2 × 2 or both 3 × 3.

    Examples
    --------
    >>> geodesic_angle(np.eye(2), angle_to_matrix([0, 350])).round(9)
    array([ 0., 10.])
    """
    first = np.asarray(a, dtype=np.float64)
    second = np.asarray(b, dtype=np.float64)
    if first.shape[-2:] != second.shape[-2:] or first.shape[-2:] not in ((2, 2), (3, 3)):
        raise InputError(
            f"rotations of shapes {first.shape} and {second.shape}: pass two of (..., d, d), d 2 or 3."
        )
    chord = np.linalg.norm(first - second, axis=(-2, -1))
    return np.asarray(np.degrees(2 * np.arcsin(np.minimum(chord / np.sqrt(8.0), 1.0))))
