"""Templates without their fine detail: a low-pass filter, and the cutoff that a template does not miss."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

EDGE = 0.1
"""Half of the width over which the filter falls, as a part of the cutoff."""

ENOUGH = 0.99
"""Correlation with the template itself at which a low-passed one is as good."""

CUTOFFS = tuple(step / 20 for step in range(2, 20))
"""Automatic cutoffs, from the lowest."""


def low_passed(values: NDArray[Any], cutoff: float) -> NDArray[np.float64]:
    """Return an array without what is finer than a cutoff.

    Frequencies are radial. The filter falls from 1 to 0 as a cosine, from 0.9 to 1.1 of the cutoff, where it is 1/2.
    The array is continued by its mirror image, so that its borders leave no steps.

    Parameters
    ----------
    values : ndarray
        Image or volume.
    cutoff : float
        As a part of the Nyquist frequency, which is half a period a voxel.

    Examples
    --------
    >>> y = np.arange(64)
    >>> waves = np.cos(np.pi * 0.25 * (y + 0.5)), np.cos(np.pi * 0.75 * (y + 0.5))  # of 0.25 and 0.75 Nyquist
    >>> image = np.add(*waves)[:, np.newaxis] * np.ones(8)
    >>> bool(np.allclose(low_passed(image, 0.5)[:, 0], waves[0]))
    True
    """
    squares = [
        np.reshape((np.arange(n) / n) ** 2, [-1 if a == axis else 1 for a in range(values.ndim)])
        for axis, n in enumerate(values.shape)
    ]
    # Of a mirrored array the j-th cosine of n has the frequency j/n of Nyquist's.
    frequencies: NDArray[np.float64] = np.sqrt(sum(squares, start=np.zeros(values.shape)))
    beyond = np.clip((frequencies / cutoff - 1 + EDGE) / (2 * EDGE), 0.0, 1.0)
    spectrum = dctn(np.asarray(values, np.float64), norm="ortho", workers=1)
    result: NDArray[np.float64] = idctn(
        spectrum * 0.5 * (1 + np.cos(np.pi * beyond)), norm="ortho", workers=1
    )
    return result


def automatic_cutoff(
    values: NDArray[Any],
    mask: NDArray[Any],
    searched: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda values: values,
) -> float | None:
    """Return the lowest cutoff at which a template is still the same under its mask, or None if there is none.

    The same means a correlation of 0.99: what is lost of a signal in white noise by searching with the low-passed
    template is one part in a hundred.

    Parameters
    ----------
    values, mask : ndarray
        Template, and its mask of the same shape.
    searched : callable
        Returns what a score searches for, of a template: its Laplacian, for instance.
    """
    detailed = searched(np.asarray(values, np.float64))
    for cutoff in CUTOFFS:
        if _correlation(detailed, searched(low_passed(values, cutoff)), mask) >= ENOUGH:
            return cutoff
    return None


def _correlation(first: NDArray[Any], second: NDArray[Any], weights: NDArray[Any]) -> float:
    """Return Pearson's correlation coefficient, weighted."""
    first, second = (values - np.average(values, weights=weights) for values in (first, second))
    norm = math.sqrt(float((weights * first**2).sum()) * float((weights * second**2).sum()))
    return float((weights * first * second).sum()) / norm if norm else 0.0
