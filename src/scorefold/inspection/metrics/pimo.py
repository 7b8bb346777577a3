"""Per-image overlap where normal images have next to no false positives: AUPIMO, in two passes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.analyzer.statistics import RegionCounts
from scorefold.errors import InputError


@dataclass(frozen=True, eq=False)
class PimoBand:
    """Thresholds in a band of false-positive rates, and how much each counts: what the first pass leaves.

    Parameters
    ----------
    thresholds : ndarray, shape (n,)
        Descending, in the type of the scores: for each rate in the band, the lowest that has it.
    weights : ndarray of float64, shape (n,)
        Share of the band, on a logarithmic axis, in which each threshold is the lowest that may be used; they sum to 1.
    limits : (float, float)
        The band.
    """

    thresholds: NDArray[Any]
    weights: NDArray[np.float64]
    limits: tuple[float, float]


def pimo_band(normal: RegionCounts, limits: tuple[float, float] = (1e-5, 1e-4)) -> PimoBand:
    """Return the thresholds at which normal images have false-positive rates within a band.

    The rate is the mean over normal images of the fraction of an image's pixels whose scores exceed the threshold.

    Parameters
    ----------
    normal : RegionCounts
        Result of `RegionHistogram` over the normal images alone, folded with ``labels=True``.
    limits : (float, float)
        Lowest and highest rate, above 0 and at most 1.

    Raises
    ------
    InputError
        If the limits are out of order, or there are no normal images.

    References
    ----------
    J. P. C. Bertoldo, D. Ameln, A. Vaidya, S. Akçay, AUPIMO: redefining visual anomaly detection benchmarks with high
    speed and low tolerance, 2024.
    """
    lowest, highest = limits
    if not 0 < lowest < highest <= 1:
        raise InputError(f"limits {limits}: give two ascending false-positive rates above 0, at most 1")
    found = normal.cumulative()[0]
    if not found[-1]:
        raise InputError("no normal images: the false-positive rate needs some; add good images")
    rates = found / found[-1]
    first, last = np.searchsorted(rates, limits, side="right") - 1
    edges = np.concatenate([[lowest], rates[first + 1 : last + 1], [highest]])
    weights = np.log(edges[1:] / edges[:-1]) / np.log(highest / lowest)
    # The lowest threshold that leaves out a bin is the largest score in it.
    thresholds = np.append(normal.upper[::-1], normal.thresholds[-1:])
    return PimoBand(thresholds[first : last + 1], weights, (lowest, highest))


def aupimo(scores: ArrayLike, truth: ArrayLike, band: PimoBand) -> float:
    """Return the area under the per-image overlap of one anomalous image.

    With TPR(t) the fraction of the image's anomalous pixels whose scores exceed t, and t(z) the lowest threshold at
    which the normal images' false-positive rate is at most z, it is ∫ TPR(t(z)) d log z over the band, divided by the
    band's length. The rate has steps, so that the integral is a sum, without interpolation.

    Parameters
    ----------
    scores : array_like of real numbers
        Scores of the image; NaN is passed over. They are rounded to the type of the normal images' scores.
    truth : array_like of bool, of the same shape
        True where anomalous.
    band : PimoBand
        What `pimo_band` made of the normal images.

    Returns
    -------
    float
        0 to 1. Exact up to rounding if each bin of the normal scores holds a single value. Else thresholds lie between
        bins, and the rate of each is exact: what is lost are the steps within a bin.

    Raises
    ------
    InputError
        If the truth is not a bool mask of the scores' shape, or has no anomalous pixel with a score.

    Examples
    --------
    >>> from scorefold.analyzer import RegionHistogram
    >>> analyzer = RegionHistogram(np.float16)
    >>> normal = np.linspace(0, 1, 40_000).reshape(200, 200).astype(np.float16)
    >>> band = pimo_band(analyzer.result(analyzer(analyzer.init_state(), normal, labels=True)))
    >>> round(aupimo(np.float16([[0.5, 2.0, 3.0, 0.9]]), np.array([[False, True, True, True]]), band), 9)
    0.666666667
    """
    given, mask = np.asarray(scores), np.asarray(truth)
    if mask.dtype != np.bool_ or mask.shape != given.shape:
        raise InputError(
            f"truth of dtype {mask.dtype}, shape {mask.shape}: expected bool of the scores' shape {given.shape}"
        )
    with np.errstate(over="ignore"):
        anomalous = given[mask].astype(band.thresholds.dtype).astype(np.float64)
    anomalous = np.sort(anomalous[~np.isnan(anomalous)])
    if not anomalous.size:
        raise InputError(
            "no anomalous pixels with a score: the overlap is defined for anomalous images alone"
        )
    found = anomalous.size - np.searchsorted(anomalous, band.thresholds.astype(np.float64), side="right")
    # The weights sum to 1 but for rounding.
    return min(1.0, float(found @ band.weights / anomalous.size))
