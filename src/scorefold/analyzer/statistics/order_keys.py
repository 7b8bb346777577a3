"""Order-preserving integer keys of scores: the bins of every histogram, without a pass to find the range."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from scorefold.compiled import compiled
from scorefold.errors import InputError

KEY_BITS: dict[np.dtype[Any], int] = {np.dtype(np.float16): 16, np.dtype(np.float32): 20}
"""Bits of a key by the type of the scores.

16 bits are the whole of a float16. The first 20 bits of a float32 are its sign, exponent and 11 bits of its
significand: numbers with at most 12 significant bits, all float16 and the integers to 4096 among them, have a bin
of their own, and two scores in one bin differ by less than 2⁻¹¹ of their size. With only 16 bits, two million scores
within a factor of two of each other would move an AUROC by several 1e-6.
"""


def checked_score_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the type of the scores of a histogram, float16 or float32, or raise `InputError`."""
    given: np.dtype[Any] = np.dtype(dtype)
    if given not in KEY_BITS:
        raise InputError(f"dtype {given}: histograms are of float16 or float32 scores")
    return given


def number_of_keys(dtype: DTypeLike) -> int:
    """Return the number of different keys of scores of a type: 65 536 or 1 048 576."""
    return 1 << KEY_BITS[checked_score_dtype(dtype)]


def order_keys(values: ArrayLike) -> NDArray[Any]:
    """Return integer keys in the order of the values.

    ``order_keys(a) < order_keys(b)`` implies ``a < b``; ``a <= b`` implies ``order_keys(a) <= order_keys(b)``. The
    sign bit of positive numbers and all bits of negative ones are flipped, and the first bits kept
    (M. Herf, Radix tricks, 2001).

    Parameters
    ----------
    values : array_like of real numbers
        Scores; infinite ones have their place, −0.0 is 0.0. The keys of NaN mean nothing: leave them out.

    Returns
    -------
    ndarray
        uint16 for float16 values, one key for each value; else uint32, 20 bits, of the values as float32.

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


def as_scores(values: ArrayLike, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return real numbers in a type, rounded to the nearest, copied only if need be, or raise `InputError`."""
    given = np.asarray(values)
    if given.dtype.kind not in "biuf":
        raise InputError(f"scores of dtype {given.dtype}: expected real numbers")
    with np.errstate(over="ignore"):
        return given.astype(dtype, copy=False)


def bit_patterns(scores: NDArray[Any]) -> tuple[NDArray[Any], int, int, int]:
    """Return the bits of float16 or float32 scores, flat, and what `key_of_bits` must know about their type."""
    unsigned, sign, _, dropped = _layout(scores.dtype)
    infinite = int(scores.dtype.type(np.inf).view(unsigned))
    return scores.ravel().view(unsigned), int(sign), infinite, int(dropped)


@compiled
def key_of_bits(bits: Any, sign: int, infinite: int, dropped: int) -> Any:
    """Return the key of a score with these bits, -1 for NaN; see `order_keys` and `bit_patterns`."""
    if bits & (sign - 1) > infinite:
        return -1
    # The bits of -0.0 are `sign` alone, and its key is that of 0.0.
    return (bits | sign if bits <= sign else 2 * sign - 1 - bits) >> dropped


@compiled
def _write_keys(keys: NDArray[Any], bits: NDArray[Any], sign: int, infinite: int, dropped: int) -> None:
    for index in range(bits.size):
        keys[index] = key_of_bits(np.int64(bits[index]), sign, infinite, dropped)


def key_values(keys: ArrayLike, dtype: DTypeLike, *, upper: bool = False) -> NDArray[Any]:
    """Return the smallest score, or the largest, of each key's bin.

    Parameters
    ----------
    keys : array_like of integers
        Keys that `order_keys` gives for scores of this type.
    dtype : dtype
        float16 or float32.
    upper : bool
        Return the largest score instead.

    Returns
    -------
    ndarray of `dtype`
        Edges; both belong to the bin. For float16 they are the same.
    """
    dtype = checked_score_dtype(dtype)
    unsigned, sign, ones, dropped = _layout(dtype)
    ordered = np.asarray(keys).astype(unsigned) << dropped
    if upper:
        ordered = ordered | unsigned((1 << int(dropped)) - 1)
    positive = ordered >> unsigned(8 * dtype.itemsize - 1)
    bits = ordered ^ ((unsigned(1) - positive) * ones | sign)
    # -0.0 is in the bin of 0.0; the bin below it ends at the number before.
    bits = bits + (bits == sign).astype(unsigned)
    edges = bits.view(dtype)
    # The bins of the infinities are filled up with patterns of NaN.
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


def _layout(dtype: np.dtype[Any]) -> tuple[Any, Any, Any, Any]:
    """Return unsigned type, sign bit, all bits, and number of last bits that keys drop, of a score type."""
    width = 8 * dtype.itemsize
    unsigned = np.uint16 if width == 16 else np.uint32
    return unsigned, unsigned(1 << width - 1), unsigned((1 << width) - 1), unsigned(width - KEY_BITS[dtype])
