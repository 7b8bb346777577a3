"""Where to put the threshold: by hand, by good images, by a budget of false positives, or by labels."""

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from scorefold.analyzer.moments import Moments
from scorefold.analyzer.statistics import Histogram, LabelledCounts, rounded_threshold
from scorefold.errors import InputError
from scorefold.inspection.metrics import f1_max

ThresholdKind = Literal["manual", "quantile", "sigma", "false_positives", "f1"]

_PREFIXES: Final[dict[str, ThresholdKind]] = {
    "quantile": "quantile",
    "sigma": "sigma",
    "fp": "false_positives",
}


@dataclass(frozen=True)
class ThresholdRule:
    """A rule that gives a threshold; what is *greater* is anomalous.

    ================  =======================  =====================================================
    kind              value                    threshold
    ================  =======================  =====================================================
    manual            score                    that score
    quantile          fraction, 0 to 1         the score that this fraction of good images does not exceed
    sigma             k ≥ 0                    mean + k · standard deviation of good images' scores
    false_positives   fraction, 0 to 1         the lowest that at most this fraction of good images exceeds
    f1                none                     that of the largest F1 over labelled images
    ================  =======================  =====================================================

    Parameters
    ----------
    kind : str
        One of the kinds above.
    value : float, optional
        As above.

    Raises
    ------
    InputError
        If kind and value do not go together.

    Examples
    --------
    >>> ThresholdRule.parse("quantile:0.999")
    ThresholdRule(kind='quantile', value=0.999)
    >>> str(ThresholdRule.parse("fp:0.01")), str(ThresholdRule.parse("f1")), str(ThresholdRule.parse("1"))
    ('fp:0.01', 'f1', '1')
    >>> ThresholdRule("manual", 1.5).resolve()
    1.5
    """

    kind: ThresholdKind
    value: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(ThresholdKind):
            raise InputError(
                f"threshold kind {self.kind!r}: choose one of {', '.join(get_args(ThresholdKind))}"
            )
        if (self.kind == "f1") != (self.value is None):
            needs = "takes no value" if self.kind == "f1" else "needs a value"
            raise InputError(f"threshold {self.kind} with value {self.value}: {self.kind} {needs}")
        if self.value is None:
            return
        if not isfinite(self.value):
            raise InputError(f"threshold {self}: give a finite number")
        if self.kind in {"quantile", "false_positives"} and not 0 <= self.value <= 1:
            raise InputError(f"threshold {self}: give a fraction from 0 to 1")
        if self.kind == "sigma" and self.value < 0:
            raise InputError(f"threshold {self}: give 0 or more standard deviations")

    @classmethod
    def parse(cls, text: str) -> "ThresholdRule":
        """Return the rule that a text names: "1.0", "quantile:0.999", "sigma:3", "fp:0.01" or "f1"."""
        name, colon, number = text.strip().partition(":")
        if name == "f1" and not colon:
            return cls("f1")
        kind: ThresholdKind | None = _PREFIXES.get(name) if colon else "manual"
        try:
            value = float(number if colon else name)
        except ValueError:
            kind = None
        if kind is None:
            raise InputError(
                f'threshold "{text}": give a number, quantile:FRACTION, sigma:NUMBER, fp:FRACTION or f1'
            )
        return cls(kind, value)

    def __str__(self) -> str:
        if self.value is None:
            return self.kind
        prefix = next((prefix for prefix, kind in _PREFIXES.items() if kind == self.kind), None)
        return f"{self.value:.15g}" if prefix is None else f"{prefix}:{self.value:.15g}"

    def resolve(
        self,
        *,
        scores: Histogram | None = None,
        moments: Moments | None = None,
        labelled: LabelledCounts | None = None,
        dtype: DTypeLike = np.float32,
    ) -> float:
        """Return the threshold.

        Parameters
        ----------
        scores : Histogram, optional
            Scores of the good images, or of all where no one knows; for quantile and false_positives. By default those
            labelled normal.
        moments : Moments, optional
            Moments of the same scores, for sigma; the standard deviation is that of the population.
        labelled : LabelledCounts, optional
            Scores by label; for f1.
        dtype : dtype
            Type of the scores that will be compared, float16 or float32, and of the histograms.

        Returns
        -------
        float
            Rounded to the nearest number of that type, so that every comparison, in whatever type, finds the same.

        Raises
        ------
        InputError
            If what the rule needs is missing or empty, or of another type.
        """
        for state in (scores, labelled):
            if state is not None and state.dtype != np.dtype(dtype):
                raise InputError(
                    f"threshold {self}: the histogram is of {state.dtype} scores, the maps of {np.dtype(dtype)}; "
                    "fold scores in the type of the maps"
                )
        return float(rounded_threshold(self._threshold(scores, moments, labelled), dtype))

    def _threshold(
        self, scores: Histogram | None, moments: Moments | None, labelled: LabelledCounts | None
    ) -> float:
        if self.kind == "f1":
            if labelled is None:
                raise InputError("threshold f1: no labels are known; give labels, or another threshold rule")
            return f1_max(labelled)[1]
        assert self.value is not None, "only f1 has no value"
        if self.kind == "manual":
            return self.value
        if self.kind == "sigma":
            if moments is None or not moments.count:
                raise InputError(f"threshold {self}: no scores of good images are known; give some")
            return moments.mean + self.value * moments.std
        if scores is None and labelled is not None:
            scores = labelled.normal_scores()
        if scores is None or not scores.count:
            raise InputError(f"threshold {self}: no scores of good images are known; give some")
        kept = self.value if self.kind == "quantile" else float(1 - Fraction(repr(self.value)))
        return scores.quantile(kept)
