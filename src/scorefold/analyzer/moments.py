"""Pooled mean and variance of all scores, the same bits for any chunking of the stream."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.abstract import AbstractAnalyzer, checked_shape, present, warn_unknown
from scorefold.analyzer.exact_sum import ExactSum
from scorefold.compiled import compiled
from scorefold.errors import InputError

LANES = 8
"""Number of running sums per map: the processor adds several in parallel, in an order that is fixed."""


@compiled
def add_row(row: NDArray[Any], sums: NDArray[Any], squares: NDArray[Any]) -> int:
    """Add one row of scores to running float64 sums; the score in column x goes to lane ``x % LANES``.

    Compiled by numba without reassociation: the same rows give the same bits on every machine, also when
    called from another compiled function.

    Parameters
    ----------
    row : ndarray, one-dimensional
        Scores; those that are not finite count as absent.
    sums, squares : ndarray of float64, shape (LANES,)
        Sums of the scores and of their squares, updated in place.

    Returns
    -------
    int
        Number of finite scores.
    """
    count = 0
    whole = row.size - row.size % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            value = np.float64(row[start + lane])
            finite = np.isfinite(value)
            value = value if finite else np.float64(0.0)
            count += finite
            sums[lane] += value
            squares[lane] += value * value
    for x in range(whole, row.size):
        value = np.float64(row[x])
        if np.isfinite(value):
            count += 1
            sums[x % LANES] += value
            squares[x % LANES] += value * value
    return count


@compiled
def sum_of_lanes(lanes: NDArray[Any]) -> float:
    """Return the sum of running sums, first to last."""
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total


@compiled
def _row_sums(rows: NDArray[Any]) -> tuple[int, float, float]:
    sums = np.zeros(LANES)
    squares = np.zeros(LANES)
    count = 0
    for y in range(rows.shape[0]):
        count += add_row(rows[y], sums, squares)
    return count, sum_of_lanes(sums), sum_of_lanes(squares)


def score_sums(scores: NDArray[Any]) -> tuple[int, float, float]:
    """Sum the scores of one map in float64, row by row in a fixed order (see `add_row`).

    Parameters
    ----------
    scores : ndarray of real numbers, any shape
        One score map. Values that are not finite are skipped.

    Returns
    -------
    count : int
        Number of finite scores.
    total, total_of_squares : float
        Their sum and the sum of their squares.

    Examples
    --------
    >>> import numpy as np
    >>> score_sums(np.array([[1.0, 2.0], [np.nan, 3.0]]))
    (3, 6.0, 14.0)
    """
    given = np.ascontiguousarray(scores)
    if given.size == 0:
        return 0, 0.0, 0.0
    count, total, total_of_squares = _row_sums(given.reshape(-1, given.shape[-1] if given.ndim else 1))
    return int(count), float(total), float(total_of_squares)


@dataclass(frozen=True)
class Moments:
    """Number, sum and sum of squares of scores.

    Parameters
    ----------
    count : int
        Number of scores.
    total, total_of_squares : ExactSum
        Sums over the score maps of what `score_sums` gives for each.
    """

    count: int = 0
    total: ExactSum = field(default_factory=ExactSum)
    total_of_squares: ExactSum = field(default_factory=ExactSum)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.total_of_squares + other.total_of_squares,
        )

    @property
    def mean(self) -> float:
        """Mean score; NaN if there is none."""
        return self.total.ratio(self.count) if self.count else nan

    @property
    def variance(self) -> float:
        """Population variance, Σ²/n − (Σ/n)², without cancellation; NaN if there is no score."""
        if not self.count:
            return nan
        # Over the common denominator n² 2^2148 the numerator is an integer; what is negative is the rounding
        # of the maps' own sums.
        numerator = self.count * (self.total_of_squares.units << 1074) - self.total.units**2
        return max(0, numerator) / (self.count**2 << 2148)

    @property
    def std(self) -> float:
        """Population standard deviation; NaN if there is no score."""
        variance = self.variance
        return variance if isnan(variance) else sqrt(variance)


class ScoreMoments(AbstractAnalyzer[Moments, Moments]):
    """Mean and variance of all scores of all score maps.

    The sums of one map are rounded as `score_sums` says; over maps they are added without rounding. Tiles of
    unequal size are weighted by their number of scores, and results are equal bit for bit however the stream
    of maps was cut.

    Parameters
    ----------
    shape : tuple of int, optional
        Shape that every score map must have; any shape by default.
    **kwargs
        None is known; each is ignored with a warning.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = ScoreMoments()
    >>> state = analyzer(analyzer.init_state(), scores=np.array([1.0, 3.0]), rotation_matrix=np.eye(1))
    >>> moments = analyzer.result(state)
    >>> moments.count, moments.mean, moments.variance
    (2, 2.0, 1.0)
    """

    def __init__(self, shape: tuple[int, ...] | None = None, **kwargs: Any) -> None:
        warn_unknown(type(self).__name__, kwargs)
        self.shape = None if shape is None else checked_shape(shape)

    def init_state(self) -> Moments:
        """Return the moments of no score."""
        return Moments()

    def __call__(
        self,
        state: Moments,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any],  # noqa: ARG002
        *,
        rotation_id: int | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> Moments:
        """Return the moments with one more score map; the rotation does not matter."""
        warn_unknown(type(self).__name__, kwargs)
        given = np.asarray(scores)
        if self.shape is not None and given.shape != self.shape:
            raise InputError(f"scores of shape {given.shape}: the analyzer was made for shape {self.shape}")
        return state + self.moments_of_sums(*score_sums(given))

    @staticmethod
    def moments_of_sums(count: int, total: float, total_of_squares: float) -> Moments:
        """Return the moments of one score map whose `score_sums` are known."""
        return Moments(count, ExactSum.of(total), ExactSum.of(total_of_squares))

    def result(self, state: Moments, **kwargs: Any) -> Moments:
        """Return the moments: state and result are the same immutable thing."""
        warn_unknown(type(self).__name__, kwargs)
        return state

    @classmethod
    def merge(cls, results: Iterable[Moments | None], **kwargs: Any) -> Moments:
        """Return the moments of all scores of all results; see `AbstractAnalyzer.merge`."""
        warn_unknown(cls.__name__, kwargs)
        return sum(present(results), Moments())

    def resume(self, result: Moments) -> Moments:
        """Return the state to go on from."""
        return result

    def to_arrays(self, result: Moments) -> dict[str, NDArray[Any]]:
        """Return count (int64) and sums (uint64 limbs, see `ExactSum.to_limbs`)."""
        return {
            "count": np.array([result.count], dtype=np.int64),
            "total": result.total.to_limbs(),
            "total_of_squares": result.total_of_squares.to_limbs(),
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Moments:
        """Return the moments that `to_arrays` took apart."""
        return Moments(
            int(arrays["count"][0]),
            ExactSum.from_limbs(arrays["total"]),
            ExactSum.from_limbs(arrays["total_of_squares"]),
        )

    @property
    def shareable(self) -> bool:
        """False: a state is an immutable value of one process."""
        return False
