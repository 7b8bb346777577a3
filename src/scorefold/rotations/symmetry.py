"""The rotation groups of symmetric templates, in the orientations that RELION gives them."""

import re

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError

_NAME = re.compile(r"[CD][1-9][0-9]?|T|O|I|I1|I2")

# Takes SciPy's tetrahedron, with two-fold axes on x, y and z, to RELION's, with the three-fold axis [1 1 1]
# on z and a two-fold axis in the yz plane.
_THREE_FOLD_ON_Z = np.array(
    [
        [-np.sqrt(1 / 2), np.sqrt(1 / 2), 0.0],
        [-np.sqrt(1 / 6), -np.sqrt(1 / 6), np.sqrt(2 / 3)],
        [np.sqrt(1 / 3), np.sqrt(1 / 3), np.sqrt(1 / 3)],
    ]
)
_QUARTER_TURN_ABOUT_Z = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def symmetry_group(name: str) -> NDArray[np.float64]:
    """Return the rotations that leave a template of the named point group unchanged.

    Parameters
    ----------
    name : str
        One of the names below, upper or lower case. The axes are those of the template array, z being
        axis 0; the orientations are RELION's [1]_, which follow Heymann et al. [2]_ except for T.

        ============  =====  ==========================================================================
        name          order  orientation
        ============  =====  ==========================================================================
        C1 to C99     n      n-fold axis on z
        D1 to D99     2n     n-fold axis on z, two-fold axis on x
        T             12     three-fold axis on z, a two-fold axis in the yz plane
        O             24     four-fold axes on x, y and z
        I1, or I      60     two-fold axes on x, y and z; the five-fold axes nearest to z in the yz plane
        I2            60     two-fold axes on x, y and z; the five-fold axes nearest to z in the xz plane
        ============  =====  ==========================================================================

        "I" is I1, the standard of [2]_. (RELION takes a bare "I" for I2; write the digit to be safe.)

    Returns
    -------
    ndarray of float64, shape (k, 3, 3)
        Rotations on (z, y, x) vectors; row 0 is the identity.

    Raises
    ------
    InputError
        If there is no such name.

    References
    ----------
    .. [1] RELION documentation, "Conventions", https://relion.readthedocs.io
    .. [2] Heymann, Chagoyen & Belnap (2005), J. Struct. Biol. 151, 196.

    Examples
    --------
    >>> symmetry_group("d7").shape
    (14, 3, 3)
    >>> symmetry_group("C4")[1].round(9) @ [0, 0, 1]
    array([0., 1., 0.])
    """
    key = name.strip().upper()
    if _NAME.fullmatch(key) is None:
        raise InputError(f"symmetry {name!r}: unknown. Use C1 to C99, D1 to D99, T, O, I, I1 or I2.")
    rotations = Rotation.create_group("I" if key in {"I1", "I2"} else key)
    xyz = rotations.as_matrix()
    if key == "T":
        xyz = _THREE_FOLD_ON_Z @ xyz @ _THREE_FOLD_ON_Z.T
    elif key == "I2":
        xyz = _QUARTER_TURN_ABOUT_Z @ xyz @ _QUARTER_TURN_ABOUT_Z.T
    identity = int(rotations.magnitude().argmin())
    order = [identity, *(row for row in range(len(xyz)) if row != identity)]
    group = np.ascontiguousarray(xyz[order, ::-1, ::-1])
    group[0] = np.eye(3)
    return group
