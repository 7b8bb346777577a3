"""Local scores of many rotations from a few basis maps: of numerators, and of the sums under their masks.

For every position the kernel forms numerator, mean and mean square of all rotations of a cell, and keeps the largest
score and its rotation. Every rotation has a mask, and with it a window, of its own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import compiled, fused
from scorefold.scoring.basis import Basis, MaskBasis
from scorefold.scoring.kernels import FLAT_VARIANCE, as_volume

Array = NDArray[Any]

BLOCK = 256
"""Positions of a row that are worked on together: their basis maps fit the first-level cache."""

TOGETHER = 2
"""Rotations whose sums are formed together, so that a basis map is loaded once for both."""

STEP = 4
"""Basis maps that are summed before a sum is stored again."""


@dataclass(frozen=True)
class LocalMaps:
    """What the basis of a cell gives at the positions of a tile.

    Attributes
    ----------
    numerators : ndarray, shape (k, *tile)
        Of the basis of the filters.
    first, second : ndarray, shape (m, *tile)
        Sums of f - c and of (f - c)² under the basis of the masks; c is the mean in the search box.
    floor : ndarray, shape (*tile,)
        The least variance that is believed; infinite where the score is 0.
    """

    numerators: Array
    first: Array
    second: Array
    floor: Array


LEAST_PART = 1e-3
"""Part of the variance in all the search box that the one under a mask is believed to have at least.

Less is lost in what the basis of the masks leaves out.
"""


def scattered(first: Array, second: Array, total: float) -> Array:
    """Return Σ m (f - mean)² under a mask m, from Σ m f, Σ m (f² - 1) and Σ m."""
    result: Array = second + total - first**2 / (total or 1.0)
    return result


def variance_floor(held: Array, everything: Array, total: float) -> Array:
    """Return the least variance that is believed under any turn of a mask.

    Parameters
    ----------
    held : ndarray
        `scattered` under what every turn of the mask holds.
    everything : ndarray
        The same for what any turn may hold.
    total : float
        Sum of the mask.

    Returns
    -------
    ndarray
        Infinite where there is no variance at all.
    """
    least = np.maximum(held, LEAST_PART * everything) / total
    return np.where(everything / total > FLAT_VARIANCE, np.maximum(least, FLAT_VARIANCE), np.inf)


@compiled
def _centre(
    first: Array, second: Array, means: Array, total: float, centred: Array, centred_squares: Array
) -> None:
    size = means.shape[2]
    values, squares = np.empty(size), np.empty(size)
    for z in range(means.shape[0]):
        for y in range(means.shape[1]):
            # The sums may lie apart in memory; what follows is vector instructions.
            for x in range(size):
                values[x], squares[x] = first[z, y, x], second[z, y, x] + total
            row, row_of_squares, middle = centred[z, y], centred_squares[z, y], means[z, y]
            for x in range(size):
                row[x] = values[x] - middle[x] * total
            for x in range(size):
                mean = np.float64(middle[x])
                row_of_squares[x] = squares[x] - mean * (2 * values[x] - mean * total)


def centre(sums: tuple[Array, Array], means: Array, total: float, first: Array, second: Array) -> None:
    """Write sums of f - c and of (f - c)² under weights, of which less is rounded than of f and f² where c is large.

    Parameters
    ----------
    sums : tuple of ndarray
        Sums of f and f² - 1.
    means : ndarray
        What c is at every position.
    total : float
        Sum of the weights.
    first, second : ndarray
        Where to write.
    """
    values, squares = sums
    _centre(
        as_volume(values), as_volume(squares), as_volume(means), total, as_volume(first), as_volume(second)
    )


# Buffers are of one length, and loops are over all of it and of few arrays each: so they become vector instructions,
# and no views are made for a rotation and a row but at the edges of windows.


@fused
def _sum(coefficients: Array, row: int, maps: Array, first: int, stop: int, one: Array, other: Array) -> None:
    """Write the sums of some maps for two rows of coefficients."""
    for j in range(BLOCK):
        one[j] = 0
        other[j] = 0
    whole = stop - (stop - first) % STEP
    for k in range(first, whole, STEP):
        i = k - first
        p0, p1, p2, p3 = (
            coefficients[row, i],
            coefficients[row, i + 1],
            coefficients[row, i + 2],
            coefficients[row, i + 3],
        )
        q0, q1, q2, q3 = (
            coefficients[row + 1, i],
            coefficients[row + 1, i + 1],
            coefficients[row + 1, i + 2],
            coefficients[row + 1, i + 3],
        )
        for j in range(BLOCK):
            a, b, c, d = maps[k, j], maps[k + 1, j], maps[k + 2, j], maps[k + 3, j]
            one[j] = one[j] + p0 * a + p1 * b + p2 * c + p3 * d
            other[j] = other[j] + q0 * a + q1 * b + q2 * c + q3 * d
    for k in range(whole, stop):
        p, q = coefficients[row, k - first], coefficients[row + 1, k - first]
        for j in range(BLOCK):
            one[j] += p * maps[k, j]
            other[j] += q * maps[k, j]


@fused
def _score(values: Array, means: Array, squares: Array, floor: Array) -> None:
    """Turn numerators into scores, in place."""
    one = values.dtype.type(1)
    for j in range(BLOCK):
        variance = max(squares[j] - means[j] * means[j], floor[j])
        values[j] = max(min(values[j] / np.sqrt(variance), one), -one)


@compiled
def _raise(scores: Array, row: int, highest: Array, winner: Array) -> None:
    """Keep the highest scores and their rows."""
    own = np.int32(row)
    for j in range(scores.size):
        above = scores[j] > highest[j]
        highest[j] = scores[j] if above else highest[j]
        winner[j] = own if above else winner[j]


@fused
def _add(scores: Array, totals: Array, totals_of_squares: Array) -> None:
    """Add scores, and their squares, to the sums of their places."""
    for j in range(scores.size):
        value = np.float64(scores[j])
        totals[j] += value
        totals_of_squares[j] += value * value


@compiled
def _fold(  # noqa: C901, PLR0912 - one nest of loops over buffers that must stay in the cache
    coefficients: Array,
    masks: Array,
    numerators: Array,
    first: Array,
    second: Array,
    floor: Array,
    windows: Array,
    ids: Array,
    best: Array,
    held: Array,
) -> tuple[int, float, float]:
    columns, count = floor.shape[2], 0
    k, m = numerators.shape[0], first.shape[0]
    # Rows of what is summed lie together; beyond the end of a row there is what was there before.
    maps = np.zeros((k + 2 * m, BLOCK), numerators.dtype)
    values = np.empty((TOGETHER, BLOCK), numerators.dtype)
    means, squares = np.empty_like(values), np.empty_like(values)
    least = np.ones(BLOCK, numerators.dtype)
    highest, winner = np.empty(BLOCK, numerators.dtype), np.empty(BLOCK, np.int32)
    totals, totals_of_squares = np.zeros(BLOCK), np.zeros(BLOCK)
    for z in range(floor.shape[0]):
        for y in range(floor.shape[1]):
            for start in range(0, columns, BLOCK):
                size = min(BLOCK, columns - start)
                for i in range(k):
                    maps[i, :size] = numerators[i, z, y, start : start + size]
                for i in range(m):
                    maps[k + i, :size] = first[i, z, y, start : start + size]
                    maps[k + m + i, :size] = second[i, z, y, start : start + size]
                least[:size] = floor[z, y, start : start + size]
                highest[:] = -np.inf
                winner[:] = -1
                for row in range(0, len(ids), TOGETHER):
                    summed = False
                    for u in range(min(TOGETHER, len(ids) - row)):
                        low = max(windows[row + u, 2, 0] - start, 0)
                        high = min(windows[row + u, 2, 1] - start, size)
                        if (
                            high <= low
                            or not windows[row + u, 0, 0] <= z < windows[row + u, 0, 1]
                            or not windows[row + u, 1, 0] <= y < windows[row + u, 1, 1]
                        ):
                            continue
                        if not summed:
                            _sum(coefficients, row, maps, 0, k, values[0], values[1])
                            _sum(masks, row, maps, k, k + m, means[0], means[1])
                            _sum(masks, row, maps, k + m, k + 2 * m, squares[0], squares[1])
                            for v in range(TOGETHER):
                                _score(values[v], means[v], squares[v], least)
                            summed = True
                        count += high - low
                        scores = values[u, low:high]
                        _raise(scores, row + u, highest[low:high], winner[low:high])
                        _add(scores, totals[low:high], totals_of_squares[low:high])
                for j in range(size):
                    if winner[j] >= 0:
                        score, x = highest[j], start + j
                        # Where the score is 0 for lack of variance all rotations score alike: the lowest id wins.
                        rotation = ids[winner[j]]
                        if score > best[z, y, x] or (score == best[z, y, x] and rotation < held[z, y, x]):
                            best[z, y, x] = score
                            held[z, y, x] = rotation
    total, total_of_squares = 0.0, 0.0
    for j in range(BLOCK):
        total += totals[j]
        total_of_squares += totals_of_squares[j]
    return count, total, total_of_squares


def fold_local_cell(
    basis: Basis,
    masks: MaskBasis,
    maps: LocalMaps,
    windows: Array,
    ids: NDArray[np.int32],
    best: Array,
    held: Array,
    *,
    only: int | None = None,
) -> tuple[int, float, float]:
    """Fold rotations of a cell into the best scores, and return the sums of all their scores.

    Parameters
    ----------
    basis, masks : Basis, MaskBasis
        Of the rotations.
    maps : LocalMaps
        Of their basis vectors.
    windows : ndarray of int, shape (n, d, 2)
        Positions, as ranges within the tile, that each rotation scores.
    ids : ndarray of int32, shape (n,)
        Ids of the rotations, ascending.
    best, held : ndarray, shape (*tile,)
        Best score so far and the rotation that gave it, updated in place. Ties go to the lower id.
    only : int, optional
        The row of the only rotation to fold. Default: all.

    Returns
    -------
    count : int
        Number of scores.
    total, total_of_squares : float
        Their sum and the sum of their squares.
    """
    some = slice(None) if only is None else slice(only, only + 1)
    ids, windows, scale = ids[some], windows[some], 1 / masks.totals[some, np.newaxis]
    missing = -len(ids) % TOGETHER
    rows = [
        np.pad((part.coefficients[some] * scale).astype(maps.floor.dtype), [(0, missing), (0, 0)])
        for part in (basis, masks)
    ]
    bounds = np.zeros((len(ids), 3, 2), np.int64)
    bounds[:, :, 1] = 1
    bounds[:, 3 - windows.shape[1] :] = windows
    count, total, total_of_squares = _fold(
        rows[0],
        rows[1],
        _volumes(maps.numerators),
        _volumes(maps.first),
        _volumes(maps.second),
        as_volume(maps.floor),
        bounds,
        ids,
        as_volume(best),
        as_volume(held),
    )
    return int(count), total, total_of_squares


def _volumes(maps: Array) -> Array:
    return maps.reshape(len(maps), *[1] * (4 - maps.ndim), *maps.shape[1:])
