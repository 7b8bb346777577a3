"""Refining a peak's position below the voxel from the scores around it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def parabola_offset(neighbourhood: NDArray[Any]) -> NDArray[np.float64]:
    r"""Return where, relative to its middle, the scores around a peak have their maximum.

    Along every axis a parabola is laid through the middle score b and its neighbours a and c; its vertex lies at

    .. math:: \frac{1}{2}\, \frac{a - c}{a - 2b + c}

    (three-point estimator, e.g. Tian & Huhns (1986), CVGIP 35:220).

    Parameters
    ----------
    neighbourhood : ndarray, shape (3,) * d
        Scores with the peak in the middle; NaN where there is no score.

    Returns
    -------
    ndarray of float64, shape (d,)
        Offset in voxels, each within [-0.5, 0.5]; 0 along axes where the middle is no proper maximum.

    Examples
    --------
    >>> parabola_offset(np.array([0.5, 1.0, 0.75]))
    array([0.16666667])
    """
    scores = np.asarray(neighbourhood, np.float64)
    offset = np.zeros(scores.ndim)
    for axis in range(scores.ndim):
        before, peak, after = np.moveaxis(scores, axis, -1)[(1,) * (scores.ndim - 1)]
        curvature = before - 2 * peak + after
        if np.isfinite(curvature) and curvature < 0 and peak >= max(before, after):
            offset[axis] = np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)
    return offset
