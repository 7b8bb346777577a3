"""Score maps of many rotations as sums of a few basis maps, folded without being stored.

For every position the kernel forms the numerators of all rotations of a cell, keeps the largest and its rotation, and
applies the weight, which no rotation changes, once. Sums over rotations follow from the basis maps alone.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import fused

Array = NDArray[Any]

BLOCK = 256
"""Positions that are worked on together: their basis maps fit the first-level cache up to rank 32."""

UNROLLED = 4
"""Rotations whose sums are formed together, so that a basis map is loaded once for all of them."""

Kernel = Callable[..., tuple[int, float, float]]


@cache
def _kernel(rank: int, dtype: str) -> Kernel:  # noqa: C901
    """Return the kernel for a rank, which is a constant of its innermost loop."""
    real = np.dtype(dtype).type
    smallest, zero = real(-np.inf), real(0)

    @fused
    def fold(  # noqa: C901 - one nest of loops over buffers that must stay in the cache
        coefficients: Array,
        total_of_coefficients: Array,
        squares_of_coefficients: Array,
        maps: Array,
        weights: Array,
        ids: Array,
        best: Array,
        held: Array,
    ) -> tuple[int, float, float]:
        values = np.zeros((rank, BLOCK), maps.dtype)
        highest = np.empty(BLOCK, maps.dtype)
        winner = np.empty(BLOCK, np.int32)
        linear = np.empty(BLOCK, maps.dtype)
        square = np.empty(BLOCK, maps.dtype)
        # One sum per place in a block: the processor adds several at a time, in an order that is fixed.
        totals = np.zeros(BLOCK)
        totals_of_squares = np.zeros(BLOCK)
        count = 0
        for start in range(0, maps.shape[1], BLOCK):
            size = min(BLOCK, maps.shape[1] - start)
            for k in range(rank):
                for j in range(size):
                    values[k, j] = maps[k, start + j]
            highest[:] = smallest
            winner[:] = 0
            for r in range(0, coefficients.shape[0], UNROLLED):
                for j in range(BLOCK):
                    high, which = highest[j], winner[j]
                    for u in range(UNROLLED):
                        value = zero  # makes the order of rounding that of `sum_of_maps`
                        for k in range(rank):
                            value += coefficients[r + u, k] * values[k, j]
                        above = value > high
                        high = value if above else high
                        which = np.int32(r + u) if above else which
                    highest[j], winner[j] = high, which
            for j in range(BLOCK):
                sum_of_scores = total_of_coefficients[0] * values[0, j]
                sum_of_squares = squares_of_coefficients[0] * values[0, j] * values[0, j]
                for k in range(1, rank):
                    sum_of_scores += total_of_coefficients[k] * values[k, j]
                    sum_of_squares += squares_of_coefficients[k] * values[k, j] * values[k, j]
                linear[j], square[j] = sum_of_scores, sum_of_squares
            for j in range(size):
                weight = weights[start + j]
                scored = weight == weight  # noqa: PLR0124 - NaN, where nothing is scored, is not
                count += scored
                totals[j] += np.float64(weight * linear[j]) if scored else 0.0
                totals_of_squares[j] += np.float64(weight * weight * square[j]) if scored else 0.0
            for j in range(size):
                weight, place = weights[start + j], start + j
                score = highest[j] * weight
                # Where the weight is 0 all rotations score alike, and the lowest id wins.
                rotation = ids[winner[j]] if weight != zero else ids[0]
                higher = score > best[place]
                first = (score == best[place]) & (rotation < held[place])
                best[place] = score if higher else best[place]
                held[place] = rotation if higher | first else held[place]
        total, total_of_squares = 0.0, 0.0
        for j in range(BLOCK):
            total += totals[j]
            total_of_squares += totals_of_squares[j]
        return count, total, total_of_squares

    return fold


@fused
def _sum_of_maps(coefficients: Array, maps: Array, result: Array) -> None:
    for start in range(0, maps.shape[1], BLOCK):
        part = result[start : start + BLOCK]
        part[:] = 0
        for k in range(maps.shape[0]):
            coefficient, values = coefficients[k], maps[k, start : start + BLOCK]
            for j in range(part.size):  # from 0 on: vector instructions
                part[j] += coefficient * values[j]


def sum_of_maps(coefficients: Array, maps: Array) -> Array:
    """Return the numerators of one rotation, Σ_k a_k maps_k.

    Parameters
    ----------
    coefficients : ndarray, shape (k,)
        The rotation's coordinates.
    maps : ndarray, shape (k, n)
        Basis maps.
    """
    result = np.empty(maps.shape[1], maps.dtype)
    _sum_of_maps(coefficients.astype(maps.dtype), maps, result)
    return result


def fold_cell(
    coefficients: Array, maps: Array, weights: Array, ids: Array, best: Array, held: Array
) -> tuple[int, float, float]:
    """Fold all rotations of a cell into the best scores, and return the sums of all their scores.

    Parameters
    ----------
    coefficients : ndarray of float32, shape (n, k)
        Coordinates of every rotation in the basis; orthogonal columns.
    maps : ndarray, shape (k, p)
        Numerators of the basis vectors at every position.
    weights : ndarray, shape (p,)
        Weights by which numerators become scores; NaN where none is scored.
    ids : ndarray of int32, shape (n,)
        Ids of the rotations, ascending.
    best, held : ndarray, shape (p,)
        Best score so far and the rotation that gave it, updated in place. Ties go to the lower id.

    Returns
    -------
    count : int
        Number of scores.
    total, total_of_squares : float
        Their sum and the sum of their squares.
    """
    missing = -len(coefficients) % UNROLLED
    # The last rotation again: what is not above it changes nothing.
    rows = np.concatenate([coefficients, np.repeat(coefficients[-1:], missing, axis=0)]).astype(maps.dtype)
    exact = coefficients.astype(np.float64)
    count, total, total_of_squares = _kernel(len(maps), maps.dtype.name)(
        rows,
        exact.sum(axis=0).astype(maps.dtype),
        (exact**2).sum(axis=0).astype(maps.dtype),
        maps,
        weights,
        np.concatenate([ids, np.repeat(ids[-1:], missing)]),
        best,
        held,
    )
    return int(count) * len(coefficients), total, total_of_squares
