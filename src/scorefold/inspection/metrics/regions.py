"""How well score maps outline anomalous regions over a data set: the per-region overlap and its area, AUPRO."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.statistics import RegionCounts
from scorefold.errors import InputError


@dataclass(frozen=True, eq=False)
class ProCurve:
    """Mean overlap with anomalous regions over the false-positive rate, at descending thresholds.

    Parameters
    ----------
    false_positive_rates : ndarray of float64, shape (n + 1,)
        Fraction of the normal pixels that are found, from 0 to 1.
    overlaps : ndarray of float64, shape (n + 1,)
        Fraction of a region that is found, averaged over the regions, from 0 to 1.
    thresholds : ndarray, shape (n + 1,)
        A pixel is found if its score is greater; see `Bins.thresholds`.
    """

    false_positive_rates: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    thresholds: NDArray[Any]


def pro_curve(counts: RegionCounts) -> ProCurve:
    """Return the per-region overlap over the false-positive rate.

    The overlaps are rounded to 2⁻³⁶ for each region and bin; between bins they are exact otherwise.

    Parameters
    ----------
    counts : RegionCounts
        Result of `RegionHistogram`.

    Raises
    ------
    InputError
        If there are no anomalous regions or no normal pixels.

    References
    ----------
    P. Bergmann et al., The MVTec anomaly detection dataset, International Journal of Computer Vision, 2021.
    """
    found, false = counts.cumulative()
    if not found[-1]:
        raise InputError(
            "no anomalous regions in the truth masks: the overlap needs some; add masks of defects"
        )
    if not false[-1]:
        raise InputError(
            "no normal pixels in the truth masks: the false-positive rate needs some; add good images"
        )
    return ProCurve(false / false[-1], found / found[-1], counts.thresholds)


def aupro(counts: RegionCounts, limit: float = 0.3) -> float:
    """Return the area under the per-region overlap up to a false-positive rate, divided by that rate.

    Parameters
    ----------
    counts : RegionCounts
        Result of `RegionHistogram`.
    limit : float
        Largest false-positive rate, above 0 and at most 1. The curve is linear between thresholds and is cut there.

    Returns
    -------
    float
        1 for maps whose scores on all regions exceed those elsewhere. Exact up to rounding (2⁻³⁶ for each region and
        bin) for float16 scores, and for float32 scores of at most 262 144 values; else see `aupro_error_bound`.

    Raises
    ------
    InputError
        If the limit is out of range, or there are no anomalous regions or no normal pixels.

    Examples
    --------
    >>> from scorefold.analyzer import RegionHistogram
    >>> analyzer = RegionHistogram(np.float16)
    >>> scores = np.float16([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1]])
    >>> truth = np.array([[True, False, False], [True, False, False]])
    >>> aupro(analyzer.result(analyzer(analyzer.init_state(), scores, labels=truth)))
    1.0
    """
    curve = _curve_up_to(counts, limit)
    rates, overlaps = curve.false_positive_rates, curve.overlaps
    stop = int(np.searchsorted(rates, limit, side="right"))
    if stop < len(rates):
        share = (limit - rates[stop - 1]) / (rates[stop] - rates[stop - 1])
        overlap = overlaps[stop - 1] + share * (overlaps[stop] - overlaps[stop - 1])
        rates, overlaps = np.append(rates[:stop], limit), np.append(overlaps[:stop], overlap)
    return float(np.trapezoid(overlaps, rates) / limit)


def aupro_error_bound(counts: RegionCounts, limit: float = 0.3) -> float:
    """Return how far binning can have moved `aupro`, whatever the order of the scores within each bin.

    Within a bin the curve may run along either side of the rectangle that the bin's ends span. That is half the
    rectangle away from the straight line, Σ ΔFPR ΔPRO / (2 limit) in all; of the bin that the limit cuts,
    a share f of the width away by f (1 − f/2) of the rectangle at most.

    Returns
    -------
    float
        0 if each bin holds a single value.
    """
    curve = _curve_up_to(counts, limit)
    if counts.exact:
        return 0.0
    widths, heights = np.diff(curve.false_positive_rates), np.diff(curve.overlaps)
    inside = np.clip(limit - curve.false_positive_rates[:-1], 0, widths)
    shares = np.divide(inside, widths, out=np.zeros_like(widths), where=widths > 0)
    return float((inside * heights * (1 - shares / 2)).sum() / limit)


def _curve_up_to(counts: RegionCounts, limit: float) -> ProCurve:
    """Return the whole curve if the limit is a false-positive rate."""
    if not 0 < limit <= 1:
        raise InputError(f"limit {limit}: give a false-positive rate above 0, at most 1")
    return pro_curve(counts)
