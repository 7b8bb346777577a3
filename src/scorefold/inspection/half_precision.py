"""Half precision, in which score maps are stored: rounding to it faster than NumPy does."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import compiled

LARGEST_SCORE = 65504.0
"""The largest number of half precision: a larger score would turn infinite."""


def to_half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to the nearest number of half precision, of two as near to the even one (IEEE 754, binary16).

    Parameters
    ----------
    values : ndarray of float32
        Numbers of any shape.

    Returns
    -------
    ndarray of float16
        What ``values.astype(np.float16)`` gives; NaN is always the same one.

    Examples
    --------
    >>> to_half(np.array([0.1, -70000, 1e-8, np.nan], np.float32)).tolist()
    [0.0999755859375, -inf, 0.0, nan]
    """
    flat = np.ascontiguousarray(values, np.float32).ravel()
    halves = np.empty(flat.size, np.uint16)
    _round(flat, flat.view(np.uint32), halves)
    return halves.view(np.float16).reshape(values.shape)


_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_INFINITY = np.uint32(0x7F80_0000)
_TOO_LARGE = np.uint32(0x477F_F000)  # 65520, half-way to what would be the next number
_LEAST_NORMAL = np.uint32(0x3880_0000)  # 2**-14
_REBIAS = np.uint32(112 << 23)  # exponents begin at -127 and at -15
_HALF_AN_ULP = np.uint32(0xFFF)
_HALF_INFINITY = np.uint32(0x7C00)
_HALF_NAN = np.uint32(0x7E00)
_SHIFT = np.uint32(13)  # a mantissa has 23 bits and 10
_SUBNORMALS = np.float32(2.0**24)
_INTEGERS = np.float32(2.0**23)  # added, it leaves no bits behind the point


@compiled
def _round(values: Any, patterns: Any, halves: Any) -> None:
    for i in range(values.size):
        magnitude = patterns[i] & _MAGNITUDE
        odd = (magnitude >> _SHIFT) & np.uint32(1)
        half = (magnitude - _REBIAS + _HALF_AN_ULP + odd) >> _SHIFT
        small = np.uint32(np.int32(abs(values[i]) * _SUBNORMALS + _INTEGERS)) & np.uint32(0x7F_FFFF)
        half = half if magnitude >= _LEAST_NORMAL else small
        half = _HALF_INFINITY if magnitude >= _TOO_LARGE else half
        half |= (patterns[i] >> np.uint32(16)) & np.uint32(0x8000)
        halves[i] = np.uint16(_HALF_NAN if magnitude > _INFINITY else half)
