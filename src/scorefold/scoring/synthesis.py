"""Score maps of many rotations as sums of a few basis maps, folded without being stored.

For every position the kernel forms the numerators of all rotations of a cell, keeps the largest and its rotation, and
applies the weight, which no rotation changes, once. Sums over rotations follow from the basis maps alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import compiled, fused

Array = NDArray[Any]

BLOCK = 256
"""Positions that are worked on together: their basis maps fit the caches."""

STEP = 4
"""Basis maps that are summed before a sum is stored again, and rotations that are compared together."""


# Buffers are of one length, and loops are over all of it and of few arrays each: so they become vector instructions.
# Views, which count references, are not made for a rotation. Four rotations are summed together, four maps at a time:
# a map is loaded once for all of them, and a sum stored once for four maps.


@fused
def _begin(
    coefficients: Array, row: int, maps: Array, first: Array, second: Array, third: Array, fourth: Array
) -> None:
    """Write the sums of the first maps for rows of coefficients."""
    zero = first.dtype.type(0)  # makes the order of rounding that of `sum_of_maps`
    p0, p1, p2, p3 = (
        coefficients[row, 0],
        coefficients[row, 1],
        coefficients[row, 2],
        coefficients[row, 3],
    )
    q0, q1, q2, q3 = (
        coefficients[row + 1, 0],
        coefficients[row + 1, 1],
        coefficients[row + 1, 2],
        coefficients[row + 1, 3],
    )
    r0, r1, r2, r3 = (
        coefficients[row + 2, 0],
        coefficients[row + 2, 1],
        coefficients[row + 2, 2],
        coefficients[row + 2, 3],
    )
    s0, s1, s2, s3 = (
        coefficients[row + 3, 0],
        coefficients[row + 3, 1],
        coefficients[row + 3, 2],
        coefficients[row + 3, 3],
    )
    for j in range(BLOCK):
        a, b, c, d = maps[0, j], maps[1, j], maps[2, j], maps[3, j]
        first[j] = zero + p0 * a + p1 * b + p2 * c + p3 * d
        second[j] = zero + q0 * a + q1 * b + q2 * c + q3 * d
        third[j] = zero + r0 * a + r1 * b + r2 * c + r3 * d
        fourth[j] = zero + s0 * a + s1 * b + s2 * c + s3 * d


@fused
def _add(
    coefficients: Array,
    row: int,
    maps: Array,
    k: int,
    first: Array,
    second: Array,
    third: Array,
    fourth: Array,
) -> None:
    """Add the next maps to the sums."""
    p0, p1, p2, p3 = (
        coefficients[row, k],
        coefficients[row, k + 1],
        coefficients[row, k + 2],
        coefficients[row, k + 3],
    )
    q0, q1, q2, q3 = (
        coefficients[row + 1, k],
        coefficients[row + 1, k + 1],
        coefficients[row + 1, k + 2],
        coefficients[row + 1, k + 3],
    )
    r0, r1, r2, r3 = (
        coefficients[row + 2, k],
        coefficients[row + 2, k + 1],
        coefficients[row + 2, k + 2],
        coefficients[row + 2, k + 3],
    )
    s0, s1, s2, s3 = (
        coefficients[row + 3, k],
        coefficients[row + 3, k + 1],
        coefficients[row + 3, k + 2],
        coefficients[row + 3, k + 3],
    )
    for j in range(BLOCK):
        a, b, c, d = maps[k, j], maps[k + 1, j], maps[k + 2, j], maps[k + 3, j]
        first[j] = first[j] + p0 * a + p1 * b + p2 * c + p3 * d
        second[j] = second[j] + q0 * a + q1 * b + q2 * c + q3 * d
        third[j] = third[j] + r0 * a + r1 * b + r2 * c + r3 * d
        fourth[j] = fourth[j] + s0 * a + s1 * b + s2 * c + s3 * d


@compiled
def _raise(
    first: Array, second: Array, third: Array, fourth: Array, row: int, highest: Array, winner: Array
) -> None:
    """Keep the highest sums of rows that follow each other, and which these are; of equal ones the first."""
    a, b, c, d = np.int32(row), np.int32(row + 1), np.int32(row + 2), np.int32(row + 3)
    for j in range(BLOCK):
        high, which = highest[j], winner[j]
        above = first[j] > high
        high, which = first[j] if above else high, a if above else which
        above = second[j] > high
        high, which = second[j] if above else high, b if above else which
        above = third[j] > high
        high, which = third[j] if above else high, c if above else which
        above = fourth[j] > high
        highest[j], winner[j] = fourth[j] if above else high, d if above else which


@fused
def _moments(totals: Array, squares: Array, maps: Array, linear: Array, square: Array) -> None:
    """Write the sums of all rotations' sums, and of their squares."""
    linear[:] = 0
    square[:] = 0
    for k in range(len(totals)):
        total, of_squares = totals[k], squares[k]
        for j in range(BLOCK):
            value = maps[k, j]
            linear[j] += total * value
            square[j] += of_squares * value * value


@compiled
def _fold(
    coefficients: Array,
    total_of_coefficients: Array,
    squares_of_coefficients: Array,
    maps: Array,
    weights: Array,
    ids: Array,
    best: Array,
    held: Array,
) -> tuple[int, float, float]:
    rank, zero = maps.shape[0], maps.dtype.type(0)
    # Beyond the end there is what was there before, and under the last maps there are zeros.
    values = np.zeros((coefficients.shape[1], BLOCK), maps.dtype)
    sums = np.empty((STEP, BLOCK), maps.dtype)
    first, second, third, fourth = sums[0], sums[1], sums[2], sums[3]
    highest, winner = np.empty(BLOCK, maps.dtype), np.empty(BLOCK, np.int32)
    linear, square = np.empty(BLOCK, maps.dtype), np.empty(BLOCK, maps.dtype)
    # One sum per place in a block: the processor adds several at a time, in an order that is fixed.
    totals, totals_of_squares = np.zeros(BLOCK), np.zeros(BLOCK)
    count = 0
    for start in range(0, maps.shape[1], BLOCK):
        size = min(BLOCK, maps.shape[1] - start)
        for k in range(rank):
            values[k, :size] = maps[k, start : start + size]
        highest[:] = -np.inf
        winner[:] = 0
        for row in range(0, coefficients.shape[0], STEP):
            _begin(coefficients, row, values, first, second, third, fourth)
            for k in range(STEP, coefficients.shape[1], STEP):
                _add(coefficients, row, values, k, first, second, third, fourth)
            _raise(first, second, third, fourth, row, highest, winner)
        _moments(total_of_coefficients, squares_of_coefficients, values, linear, square)
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
            lower = (score == best[place]) & (rotation < held[place])
            best[place] = score if higher else best[place]
            held[place] = rotation if higher | lower else held[place]
    total, total_of_squares = 0.0, 0.0
    for j in range(BLOCK):
        total += totals[j]
        total_of_squares += totals_of_squares[j]
    return count, total, total_of_squares


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
    missing = -len(coefficients) % STEP
    # The last rotation again: what is not above it changes nothing.
    rows = np.concatenate([coefficients, np.repeat(coefficients[-1:], missing, axis=0)]).astype(maps.dtype)
    exact = coefficients.astype(np.float64)
    count, total, total_of_squares = _fold(
        np.pad(rows, [(0, 0), (0, -len(maps) % STEP)]),
        exact.sum(axis=0).astype(maps.dtype),
        (exact**2).sum(axis=0).astype(maps.dtype),
        maps,
        weights,
        np.concatenate([ids, np.repeat(ids[-1:], missing)]),
        best,
        held,
    )
    return int(count) * len(coefficients), total, total_of_squares
