"""Compiled loops over the positions of a tile: local weights, masked correlation, and the fused updates."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import compiled

Array = NDArray[Any]

FLAT_VARIANCE = 1e-8
"""A window whose variance is below this fraction of the whole target's variance counts as flat and scores 0.

The target is standardised, so that this is an absolute bound. It lies far above the rounding error of the
double- precision sums (about 1e-14) and below one grey level in one pixel of any window of an 8-bit image of
ordinary contrast.
"""


def as_volume(array: Array) -> Array:
    """Return a view with three axes, so that one compiled kernel serves images and volumes."""
    return array[(np.newaxis,) * (3 - array.ndim)]


@compiled
def _local_weights(
    first: Array, second: Array, offset: float, total: float, flat: float, weights: Array
) -> None:
    one, size = weights.dtype.type(1), weights.dtype.type(total)
    means, squares = np.empty(weights.shape[2]), np.empty(weights.shape[2])
    for z in range(weights.shape[0]):
        for y in range(weights.shape[1]):
            # The sums may lie apart in memory; what follows is vector instructions.
            for x in range(means.size):
                means[x], squares[x] = first[z, y, x], second[z, y, x] + offset
            row = weights[z, y]
            for x in range(means.size):
                mean = means[x] / total
                variance = squares[x] / total - mean * mean
                row[x] = variance if variance > flat else np.inf
            for x in range(means.size):
                row[x] = one / (size * np.sqrt(row[x]))


def local_weights(first: Array, second: Array, total: float, weights: Array, *, offset: float = 0.0) -> None:
    """Write 1/(N·std) of the target under the mask at every position into `weights`, 0 for flat windows.

    Parameters
    ----------
    first, second : ndarray
        CC(f, m) and CC(f², m).
    total : float
        N, the sum of the mask.
    weights : ndarray
        Where to write; same shape.
    offset : float
        What is to be added to `second`.
    """
    _local_weights(as_volume(first), as_volume(second), offset, total, FLAT_VARIANCE, as_volume(weights))


@compiled
def _masked_correlation(
    overlap: Array,
    target: Array,
    target_squares: Array,
    template: Array,
    template_squares: Array,
    product: Array,
    minimum: float,
    flat: float,
    scores: Array,
) -> None:
    for z in range(scores.shape[0]):
        for y in range(scores.shape[1]):
            for x in range(scores.shape[2]):
                n = overlap[z, y, x]
                score = 0.0
                # Overlaps are known up to the rounding of the transforms.
                if n >= minimum * (1.0 - 1e-6):
                    f = target[z, y, x]
                    g = template[z, y, x]
                    target_variance = target_squares[z, y, x] / n - (f / n) * (f / n)
                    template_variance = template_squares[z, y, x] / n - (g / n) * (g / n)
                    if target_variance > flat and template_variance > flat:
                        covariance = product[z, y, x] / n - (f / n) * (g / n)
                        score = covariance / np.sqrt(target_variance * template_variance)
                        score = min(max(score, -1.0), 1.0)
                scores[z, y, x] = score


def masked_correlation(
    overlap: Array,
    target: Array,
    target_squares: Array,
    template: Array,
    template_squares: Array,
    product: Array,
    minimum: float,
    scores: Array,
) -> None:
    """Write the masked correlation coefficient at every position into `scores`.

    Parameters
    ----------
    overlap : ndarray of float64
        Sum of target mask × template mask.
    target, target_squares, template, template_squares, product : ndarray of float64
        Sums of f, f², g, g² and f·g over that overlap.
    minimum : float
        Smallest overlap that is scored, more than 0.
    scores : ndarray
        Where to write; same shape.
    """
    _masked_correlation(
        as_volume(overlap),
        as_volume(target),
        as_volume(target_squares),
        as_volume(template),
        as_volume(template_squares),
        as_volume(product),
        minimum,
        FLAT_VARIANCE,
        as_volume(scores),
    )
