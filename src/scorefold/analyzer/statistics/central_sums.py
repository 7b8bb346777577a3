"""Sums of products of deviations from the mean, out of integer sums, without cancellation."""

import numpy as np
from numpy.typing import NDArray


def central_sums(
    count: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64], products: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return Σ(x − x̄)(y − ȳ).

    Around whole numbers a and b next to the means, Σ(x − a)(y − b) is an integer that is far smaller than Σxy. It
    comes out exact modulo 2⁶⁴, also where Σxy itself has overflowed. The rest to subtract,
    n (x̄ − a)(ȳ − b), is at most n/4.

    Parameters
    ----------
    count, first, second, products : ndarray of int64
        n, Σx, Σy, and Σxy modulo 2⁶⁴; shapes that broadcast.

    Returns
    -------
    ndarray of float64
        Right to a few units in the last place, unless the true Σ(x − a)(y − b) reaches 2⁶³; 0 where n is 0.

    Examples
    --------
    >>> x = 10**9 + np.array([1, 2, 4])
    >>> float(central_sums(np.int64(3), x.sum(), x.sum(), (x * x).sum()))  # of 1, 2, 4: 21 - 49/3
    4.666666666666667
    """
    some = np.maximum(count, 1)
    first_whole, first_rest = _nearest_mean(some, first)
    second_whole, second_rest = _nearest_mean(some, second)
    with np.errstate(over="ignore"):
        around = products - first_whole * second - second_whole * first + count * first_whole * second_whole
    sums: NDArray[np.float64] = around - first_rest.astype(np.float64) * second_rest / some
    return sums


def _nearest_mean(
    count: NDArray[np.int64], total: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the whole number nearest to the mean, and what the total has beyond it."""
    whole = total // count
    whole = whole + (2 * (total - whole * count) >= count)
    return whole, total - whole * count
