"""How well scores separate anomalous from normal: AUROC, average precision, F1 and the curves behind them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.statistics import LabelledCounts
from scorefold.errors import InputError


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Rates of false and true positives at descending thresholds.

    Parameters
    ----------
    false_positive_rates, true_positive_rates : ndarray of float64, shape (n + 1,)
        From (0, 0) to (1, 1).
    thresholds : ndarray, shape (n + 1,)
        A score is anomalous if it is greater; see `Bins.thresholds`.
    """

    false_positive_rates: NDArray[np.float64]
    true_positive_rates: NDArray[np.float64]
    thresholds: NDArray[Any]


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """Precision and recall at descending thresholds.

    Parameters
    ----------
    precisions, recalls : ndarray of float64, shape (n,)
        Recalls ascend to 1. There is no point where nothing is found, which has no precision.
    thresholds : ndarray, shape (n,)
        A score is anomalous if it is greater; see `Bins.thresholds`.
    """

    precisions: NDArray[np.float64]
    recalls: NDArray[np.float64]
    thresholds: NDArray[Any]


@dataclass(frozen=True)
class Confusion:
    """How many scores are found anomalous, rightly or not.

    Parameters
    ----------
    true_positives, false_positives, true_negatives, false_negatives : int
        Numbers of scores.
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Fraction of what was found that is anomalous; 0 if nothing was found."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Fraction of what is anomalous that was found; 0 if nothing is anomalous."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if nothing was found and nothing is anomalous."""
        errors = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + errors)

    @property
    def false_positive_rate(self) -> float:
        """Fraction of what is normal that was found; 0 if nothing is normal."""
        return _ratio(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def accuracy(self) -> float:
        """Fraction of all that was judged rightly; 0 if there is nothing."""
        right = self.true_positives + self.true_negatives
        return _ratio(right, right + self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class ErrorBounds:
    """How far metrics of binned scores can be from those of the scores themselves; see `error_bounds`.

    Parameters
    ----------
    auroc, average_precision, f1 : float
        Bounds of the absolute errors.
    """

    auroc: float
    average_precision: float
    f1: float


def roc_curve(counts: LabelledCounts) -> RocCurve:
    """Return the receiver operating characteristic.

    Parameters
    ----------
    counts : LabelledCounts
        Result of `LabelledHistogram`.

    Raises
    ------
    InputError
        If there are no anomalous or no normal scores; so do all functions of this module but `confusion`.
    """
    true, false = _found(counts)
    return RocCurve(false / false[-1], true / true[-1], counts.thresholds)


def precision_recall_curve(counts: LabelledCounts) -> PrecisionRecallCurve:
    """Return precision over recall; the area under its steps is `average_precision`."""
    true, false = _found(counts)
    return PrecisionRecallCurve(true[1:] / (true[1:] + false[1:]), true[1:] / true[-1], counts.thresholds[1:])


def auroc(counts: LabelledCounts) -> float:
    """Return the area under the receiver operating characteristic.

    It is the probability that an anomalous score is greater than a normal one, ties counting one half, as
    `sklearn.metrics.roc_auc_score` has it.

    Parameters
    ----------
    counts : LabelledCounts
        Result of `LabelledHistogram`.

    Returns
    -------
    float
        Exact up to the rounding of float64 for float16 scores, and for float32 scores of at most 262 144 values.
        Beyond that it differs from the AUROC of the scores by at most half the fraction of the pairs of an anomalous
        and a normal score that share one of more than 131 072 bins (`error_bounds`), and in practice far less, since
        the pairs of a bin are ordered both ways: below 1e-7 for two million scores.

    Examples
    --------
    >>> from scorefold.analyzer import LabelledHistogram
    >>> analyzer = LabelledHistogram(np.float16)
    >>> scores, labels = np.float16([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    >>> counts = analyzer.result(analyzer(analyzer.init_state(), scores, labels=labels))
    >>> auroc(counts), average_precision(counts), f1_max(counts)
    (0.75, 0.8333333333333333, (0.8, 0.2249755859375))
    """
    true, false = _found(counts)
    # In units of pairs: every normal score of a bin has all anomalous ones of higher bins above it.
    pairs = np.diff(false) * (true[1:] + true[:-1].astype(np.float64)) / 2
    return float(pairs.sum() / (float(true[-1]) * float(false[-1])))


def average_precision(counts: LabelledCounts) -> float:
    """Return the average precision, Σ (Rᵢ − Rᵢ₋₁) Pᵢ over thresholds, without interpolation.

    It is that of `sklearn.metrics.average_precision_score`, the scores of one bin being tied.

    Parameters
    ----------
    counts : LabelledCounts
        Result of `LabelledHistogram`.

    Returns
    -------
    float
        Exact where `auroc` is; else see `error_bounds`. Within 5e-5 for two million scores of which 1 % are anomalous.
    """
    true, false = _found(counts)
    return float((np.diff(true) * (true[1:] / (true[1:] + false[1:]))).sum() / true[-1])


def f1_max(counts: LabelledCounts) -> tuple[float, float]:
    """Return the largest F1 that a threshold reaches, and that threshold.

    Parameters
    ----------
    counts : LabelledCounts
        Result of `LabelledHistogram`.

    Returns
    -------
    f1 : float
        F1 = 2 TP / (2 TP + FP + FN). Exact where `auroc` is; else, as only thresholds between bins are tried, too small
        by at most `error_bounds`.
    threshold : float
        In the type of the scores. The scores, or bins, greater than it have exactly this F1. It lies halfway between
        two bins; of several with one F1, it is the highest.
    """
    true, false = _found(counts)
    thresholds = counts.thresholds
    # As `Confusion.f1` has it: 2 TP / (TP + FP + P).
    f1 = 2 * true / (true + false + true[-1])
    # Nothing is below −∞, so that scores of −∞ cannot be found.
    reachable = len(f1) if np.isfinite(thresholds[-1]) else len(f1) - 1
    best = int(np.argmax(f1[:reachable]))
    return float(f1[best]), float(thresholds[best])


def confusion(counts: LabelledCounts, threshold: float) -> Confusion:
    """Return how many scores are rightly and wrongly found anomalous, being greater than a threshold.

    Parameters
    ----------
    counts : LabelledCounts
        Result of `LabelledHistogram`; either label may be missing.
    threshold : float
        Rounded to the type of the scores; see `Bins.above` for scores in the threshold's own bin.

    Returns
    -------
    Confusion
        Exact where `auroc` is, and everywhere at the thresholds of `f1_max` and of the curves.
    """
    found, missed = counts.above(threshold), counts.counts.sum(axis=1)
    missed = missed - found
    return Confusion(int(found[0]), int(found[1]), int(missed[1]), int(missed[0]))


def error_bounds(counts: LabelledCounts) -> ErrorBounds:
    """Return how far binning can have moved the metrics, whatever the order of the scores within each bin.

    With p anomalous and n normal scores in a bin, of P and N in all, and T scores (of which TP anomalous) in it and all
    higher bins:

    - AUROC: at most Σ p n / (2 P N), as all pairs of a bin may be ordered one way;
    - average precision: at most Σ (p / P) (p + n − 1) / T, since taking j scores out of T changes the fraction that
      is anomalous by at most j / T;
    - F1: the anomalous scores of a bin may all come first, which gives at most
      max 2 TP / (P + T − n); never less than was found.

    Where each bin holds a single value nothing was lost; the bounds are 0.
    """
    true, false = _found(counts)
    if counts.exact:
        return ErrorBounds(0.0, 0.0, 0.0)
    positives, negatives = np.diff(true).astype(np.float64), np.diff(false).astype(np.float64)
    reached = (true + false)[1:]
    pairs = (positives * negatives).sum() / (2 * float(true[-1]) * float(false[-1]))
    precision = (positives * (positives + negatives - 1) / reached).sum() / true[-1]
    best_order = (2 * true[1:] / (true[-1] + reached - negatives)).max()
    return ErrorBounds(float(pairs), float(precision), max(0.0, float(best_order) - f1_max(counts)[0]))


def _found(counts: LabelledCounts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return numbers of true and false positives at descending thresholds, from none to all."""
    true, false = counts.cumulative()
    if not true[-1]:
        raise InputError("no anomalous scores among the labels: this metric needs some; add labelled defects")
    if not false[-1]:
        raise InputError("no normal scores among the labels: this metric needs some; add good images")
    return true, false


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
