"""Mean and variance of all scores where most are approximate: sums of all, corrected by some that are known exactly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import nan, sqrt
from typing import Any

from numpy.typing import NDArray

from scorefold.analyzer.abstract import AbstractAnalyzer, present, warn_unknown
from scorefold.analyzer.moments import Moments, ScoreMoments, score_sums


@dataclass(frozen=True)
class ApproximateMoments:
    """Moments of approximate scores, and of a sample of them beside the exact ones.

    Parameters
    ----------
    scores : Moments
        Of all approximate scores.
    sample : Moments
        Of the approximate scores of the rotations in the sample.
    exact : Moments
        Of the exact scores of the same rotations.
    """

    scores: Moments = field(default_factory=Moments)
    sample: Moments = field(default_factory=Moments)
    exact: Moments = field(default_factory=Moments)

    def __add__(self, other: "ApproximateMoments") -> "ApproximateMoments":
        return ApproximateMoments(
            self.scores + other.scores, self.sample + other.sample, self.exact + other.exact
        )

    @property
    def count(self) -> int:
        """Number of scores."""
        return self.scores.count

    @property
    def mean(self) -> float:
        """Mean of the approximate scores plus what they lack of the exact ones in the sample; NaN if there is none."""
        if not self.sample.count:
            return self.scores.mean
        return self.scores.mean + (self.exact.mean - self.sample.mean)

    @property
    def variance(self) -> float:
        """Variance of the approximate scores times the ratio of variances in the sample; NaN if there is no score."""
        if not self.count:
            return nan
        if not self.sample.count or self.sample.variance == 0:
            return self.scores.variance
        return self.scores.variance * (self.exact.variance / self.sample.variance)

    @property
    def std(self) -> float:
        """Square root of the variance."""
        return sqrt(self.variance) if self.count else nan


class ApproximateScoreMoments(AbstractAnalyzer[ApproximateMoments, ApproximateMoments]):
    """Mean and variance of scores that are known up to a residual, for some rotations exactly.

    A low-rank synthesis of score maps may vary more or less than these do. The exact score maps of a few rotations say
    by how much.

    Parameters
    ----------
    **kwargs
        None is known; each is ignored with a warning.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = ApproximateScoreMoments()
    >>> state = analyzer(analyzer.init_state(), np.array([2.0, -2.0]), np.eye(2), exact=np.array([3.0, -3.0]))
    >>> state = analyzer(state, np.array([4.0, -4.0]), np.eye(2))
    >>> state.count, state.variance  # (4 + 16) / 2 times 9 / 4
    (4, 22.5)
    """

    def __init__(self, **kwargs: Any) -> None:
        warn_unknown(type(self).__name__, kwargs)

    def init_state(self) -> ApproximateMoments:
        """Return the moments of no score."""
        return ApproximateMoments()

    def __call__(
        self,
        state: ApproximateMoments,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any],  # noqa: ARG002
        *,
        rotation_id: int | None = None,  # noqa: ARG002
        exact: NDArray[Any] | None = None,
        **kwargs: Any,
    ) -> ApproximateMoments:
        """Return the moments with one more approximate score map, and the exact one if it is known."""
        warn_unknown(type(self).__name__, kwargs)
        approximate = ScoreMoments.moments_of_sums(*score_sums(scores))
        if exact is None:
            return state + ApproximateMoments(approximate)
        known = ScoreMoments.moments_of_sums(*score_sums(exact))
        return state + ApproximateMoments(approximate, approximate, known)

    def result(self, state: ApproximateMoments, **kwargs: Any) -> ApproximateMoments:
        """Return the moments: state and result are the same immutable thing."""
        warn_unknown(type(self).__name__, kwargs)
        return state

    @classmethod
    def merge(cls, results: Iterable[ApproximateMoments | None], **kwargs: Any) -> ApproximateMoments:
        """Return the moments of all scores of all results; see `AbstractAnalyzer.merge`."""
        warn_unknown(cls.__name__, kwargs)
        return sum(present(results), ApproximateMoments())

    def resume(self, result: ApproximateMoments) -> ApproximateMoments:
        """Return the state to go on from."""
        return result

    def to_arrays(self, result: ApproximateMoments) -> dict[str, NDArray[Any]]:
        """Return the arrays of the three moments (see `ScoreMoments.to_arrays`), each under its own name."""
        parts = {"scores": result.scores, "sample": result.sample, "exact": result.exact}
        return {
            f"{part}_{name}": array
            for part, moments in parts.items()
            for name, array in ScoreMoments().to_arrays(moments).items()
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> ApproximateMoments:
        """Return the moments that `to_arrays` took apart."""

        def moments(part: str) -> Moments:
            own = {
                name.removeprefix(f"{part}_"): a for name, a in arrays.items() if name.startswith(f"{part}_")
            }
            return ScoreMoments().from_arrays(own)

        return ApproximateMoments(moments("scores"), moments("sample"), moments("exact"))

    @property
    def shareable(self) -> bool:
        """False: a state is an immutable value of one process."""
        return False
