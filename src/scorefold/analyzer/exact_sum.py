"""Sums of floating-point numbers without any rounding, so that no order of addition can matter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError

# Every finite float64 is an integer multiple of the smallest subnormal, 2^-1074 (IEEE 754-2019, 3.3).
_FRACTION_BITS = 1074
# 1024 bits before the point, 1074 after it, a sign, and room for 2^77 summands of the largest size.
_LIMBS = 34


@dataclass(frozen=True)
class ExactSum:
    """A sum of float64 numbers as an integer multiple of 2^-1074.

    Parameters
    ----------
    units : int
        The sum divided by 2^-1074.

    Examples
    --------
    >>> sum([ExactSum.of(1e300), ExactSum.of(1.0), ExactSum.of(-1e300)], ExactSum()).value
    1.0
    """

    units: int = 0

    @classmethod
    def of(cls, value: float) -> "ExactSum":
        """Return one finite number as a sum or raise `InputError`."""
        if not np.isfinite(value):
            raise InputError(f"sum of scores {value}: not finite; the scores are too large for float64 sums")
        numerator, denominator = float(value).as_integer_ratio()
        return cls(numerator * ((1 << _FRACTION_BITS) // denominator))

    def __add__(self, other: "ExactSum") -> "ExactSum":
        return ExactSum(self.units + other.units)

    @property
    def value(self) -> float:
        """The sum rounded once, to the nearest float64."""
        return self.ratio(1)

    def ratio(self, count: int) -> float:
        """Return the sum divided by a positive integer, rounded once."""
        return self.units / (count << _FRACTION_BITS)  # Python rounds the quotient of two integers correctly

    def to_limbs(self) -> NDArray[np.uint64]:
        """Return the sum as 34 little-endian 64-bit limbs in two's complement."""
        packed = self.units.to_bytes(8 * _LIMBS, "little", signed=True)
        return np.frombuffer(packed, dtype="<u8").astype(np.uint64)

    @classmethod
    def from_limbs(cls, limbs: NDArray[np.uint64]) -> "ExactSum":
        """Return the sum that `to_limbs` took apart."""
        if limbs.shape != (_LIMBS,):
            raise InputError(f"limbs of shape {limbs.shape}: expected ({_LIMBS},)")
        return cls(int.from_bytes(limbs.astype("<u8").tobytes(), "little", signed=True))
