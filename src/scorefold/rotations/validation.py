"""Refuse arrays that are not rotation sets, naming the offending row."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError

ORTHONORMAL_TOLERANCE = 1e-6
"""Largest accepted element of ``|R Rᵀ − 1|``: float32 files pass, sheared or scaled matrices do not."""


def check_dimensions(dimensions: int) -> int:
    """Return `dimensions` if it is 2 or 3.

    Parameters
    ----------
    dimensions : int
        Number of array axes that the rotations act on.

    Returns
    -------
    int
        The same number.

    Raises
    ------
    InputError
        If it is neither 2 nor 3.
    """
    if dimensions not in (2, 3):
        raise InputError(f"dimensions {dimensions!r}: rotations act on 2 (image) or 3 (volume) axes.")
    return dimensions


def check_rotations(matrices: ArrayLike, dimensions: int | None = None) -> NDArray[np.float64]:
    """Return `matrices` as a rotation set, or say what keeps it from being one.

    Parameters
    ----------
    matrices : array_like, shape (n, d, d)
        Rotation matrices, d = 2 or 3, n ≥ 1.
    dimensions : int, optional
        The d that is required; by default either 2 or 3 is accepted.

    Returns
    -------
    ndarray of float64, shape (n, d, d)
        C-contiguous; a copy only where dtype or layout demand one.

    Raises
    ------
    InputError
        If the array is empty, not numeric, of another shape, not finite, not orthonormal to 1e-6, or
        holds a reflection (determinant −1). The message names the first offending row.

    Examples
    --------
    >>> check_rotations([[[0, -1], [1, 0]]]).dtype
    dtype('float64')
    >>> check_rotations([[[0, 1], [1, 0]]])
    Traceback (most recent call last):
    ...
    scorefold.errors.InputError: rotations: row 0 has determinant -1, a reflection. Negate one of its columns.
    """
    try:
        given = np.asarray(matrices).astype(np.float64, casting="same_kind", copy=False)
    except (TypeError, ValueError) as error:
        raise InputError("rotations: not a real numeric array. Pass matrices of shape (n, d, d).") from error
    rotations = np.ascontiguousarray(given)
    allowed = (2, 3) if dimensions is None else (check_dimensions(dimensions),)
    if rotations.ndim != 3 or rotations.shape[1] != rotations.shape[2] or rotations.shape[1] not in allowed:
        wanted = " or ".join(f"(n, {d}, {d})" for d in allowed)
        raise InputError(f"rotations: shape {given.shape}; pass matrices of shape {wanted}.")
    if len(rotations) == 0:
        raise InputError("rotations: the set is empty. Pass at least one matrix.")
    finite = np.isfinite(rotations).all(axis=(1, 2))
    if not finite.all():
        raise InputError(f"rotations: row {finite.argmin()} is not finite. Remove or correct it.")
    gram = rotations @ rotations.transpose(0, 2, 1)
    deviation = np.abs(gram - np.eye(rotations.shape[1])).max(axis=(1, 2))
    if deviation.max() > ORTHONORMAL_TOLERANCE:
        row = int((deviation > ORTHONORMAL_TOLERANCE).argmax())
        raise InputError(
            f"rotations: row {row} is not orthonormal, off by {deviation[row]:.3g} "
            f"(allowed {ORTHONORMAL_TOLERANCE:g}). Pass pure rotations, without scale or shear."
        )
    proper = np.linalg.det(rotations) > 0
    if not proper.all():
        raise InputError(
            f"rotations: row {proper.argmin()} has determinant -1, a reflection. Negate one of its columns."
        )
    return rotations
