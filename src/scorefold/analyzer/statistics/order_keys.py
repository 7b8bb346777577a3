"""Order-preserving integer keys of scores: bins without a pass to find the range."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from scorefold.compiled import compiled
from scorefold.errors import InputError

SCORE_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))


def checked_score_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the type of the scores of a histogram, float16 or float32, or raise `InputError`."""
    given: np.dtype[Any] = np.dtype(dtype)
    if given not in SCORE_DTYPES:
        raise InputError(f"dtype {given}: histograms are of float16 or float32 scores")
    return given


def order_keys(values: ArrayLike) -> NDArray[Any]:
    """Return integer keys in the order of the values, and equal where the values are.

    The sign bit of positive numbers is flipped, and all bits of negative ones (M. Herf, Radix tricks, 2001).

    Parameters
    ----------
    values : array_like of real numbers
        Scores; infinite ones have their place, −0.0 is 0.0. The keys of NaN mean nothing: leave them out.

    Returns
    -------
    ndarray
        uint16 for float16 values; else uint32, of the values as float32.

    Examples
    --------
    >>> keys = order_keys(np.array([-np.inf, -1.5, -0.0, 0.0, 2.0], dtype=np.float16))
    >>> keys
    array([ 1023, 16895, 32768, 32768, 49152], dtype=uint16)
    >>> key_values(keys, np.float16)
    array([-inf, -1.5,  0. ,  0. ,  2. ], dtype=float16)
    """
    given = np.asarray(values)
    dtype = np.dtype(np.float16 if given.dtype == np.float16 else np.float32)
    scores = as_scores(given, dtype)
    keys = np.empty(scores.size, np.uint16 if dtype == np.float16 else np.uint32)
    _write_keys(keys, *bit_patterns(scores))
    return keys.reshape(given.shape)


def key_values(
    keys: ArrayLike, dtype: DTypeLike, *, dropped_bits: int = 0, upper: bool = False
) -> NDArray[Any]:
    """Return the scores that have keys, or the smallest or largest whose keys begin alike.

    Parameters
    ----------
    keys : array_like of integers
        Keys that `order_keys` gives for scores of this type, shifted right by `dropped_bits`.
    dtype : dtype
        float16 or float32.
    dropped_bits : int
        Number of last bits that the keys lack.
    upper : bool
        Return the largest score instead of the smallest.

    Returns
    -------
    ndarray of `dtype`
        Edges; both belong to the bin. They are the same if no bits were dropped.
    """
    dtype = checked_score_dtype(dtype)
    unsigned, sign = _layout(dtype)
    width = 8 * dtype.itemsize
    ordered = np.asarray(keys).astype(np.uint64) << np.uint64(dropped_bits)
    if upper:
        ordered = ordered | np.uint64((1 << dropped_bits) - 1)
    positive = ordered >= sign
    bits = np.where(positive, ordered ^ np.uint64(sign), np.uint64((1 << width) - 1) - ordered)
    # -0.0 has the key of 0.0; a bin below it ends at the number before.
    bits = bits + (bits == sign)
    edges = bits.astype(unsigned).view(dtype)
    # Bins of the infinities may be filled up with patterns of NaN.
    beyond = np.where(positive, dtype.type(np.inf), dtype.type(-np.inf))
    edges_in_range: NDArray[Any] = np.where(np.isnan(edges), beyond, edges)
    return edges_in_range


def rounded_threshold(threshold: float, dtype: DTypeLike) -> np.floating[Any]:
    """Return a threshold as scores of a type meet it: rounded to the nearest of them, or raise `InputError`.

    Scores are compared with thresholds in the scores' type; where every part does so with this number, all agree.
    """
    dtype = checked_score_dtype(dtype)
    with np.errstate(over="ignore"):
        rounded: np.floating[Any] = dtype.type(threshold)
    if np.isnan(rounded) or (np.isinf(rounded) and np.isfinite(threshold)):
        largest = np.finfo(dtype).max
        raise InputError(f"threshold {threshold}: {dtype} scores reach to {largest:g}; give a number within")
    return rounded


def as_scores(values: ArrayLike, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return real numbers in a type, rounded to the nearest, copied only if need be, or raise `InputError`."""
    given = np.asarray(values)
    if given.dtype.kind not in "biuf":
        raise InputError(f"scores of dtype {given.dtype}: expected real numbers")
    with np.errstate(over="ignore"):
        return given.astype(dtype, copy=False)


def bit_patterns(scores: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Return the bits of float16 or float32 scores, flat, and the sign bit of their type."""
    unsigned, sign = _layout(scores.dtype)
    return scores.ravel().view(unsigned), sign


@compiled
def key_of_bits(bits: Any, sign: int) -> Any:
    """Return the key of a score with these bits, -1 for NaN; see `order_keys` and `bit_patterns`."""
    infinity = 0x7C00 if sign == 1 << 15 else 0x7F80_0000
    if bits & (sign - 1) > infinity:
        return -1
    # The bits of -0.0 are `sign` alone, and its key is that of 0.0.
    return bits | sign if bits <= sign else 2 * sign - 1 - bits


@compiled
def _write_keys(keys: NDArray[Any], bits: NDArray[Any], sign: int) -> None:
    for index in range(bits.size):
        keys[index] = key_of_bits(np.int64(bits[index]), sign)


def _layout(dtype: np.dtype[Any]) -> tuple[type[np.unsignedinteger[Any]], int]:
    """Return the unsigned type of the same width as a score type, and its sign bit."""
    return (np.uint16, 1 << 15) if dtype == np.float16 else (np.uint32, 1 << 31)
