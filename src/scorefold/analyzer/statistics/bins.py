"""Counts of scores by order-preserving bins: state, mergeable form and cumulative counts of every histogram."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from scorefold.analyzer.abstract import AbstractAnalyzer, present, warn_unknown
from scorefold.analyzer.statistics.order_keys import (
    as_scores,
    bit_patterns,
    checked_score_dtype,
    key_of_bits,
    key_values,
    number_of_keys,
    order_keys,
    rounded_threshold,
)
from scorefold.compiled import compiled
from scorefold.errors import InputError

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bins:
    """Integer counts by bins of scores; only bins that hold something are kept.

    Parameters
    ----------
    dtype : dtype
        Type of the scores, float16 or float32; see `order_keys` for the bins of each.
    keys : ndarray of uint16 or uint32, shape (n,)
        Keys of the bins, ascending.
    counts : ndarray of int64, shape (channels, n)
        What was counted; each bin holds something in one channel at least.
    """

    dtype: np.dtype[Any]
    keys: NDArray[Any]
    counts: Counts

    @property
    def exact(self) -> bool:
        """Whether each bin holds scores of a single value, so that nothing was lost by counting."""
        return self.dtype == np.float16

    @property
    def lower(self) -> NDArray[Any]:
        """Smallest score that each bin may hold, ascending, shape (n,)."""
        return key_values(self.keys, self.dtype)

    @property
    def upper(self) -> NDArray[Any]:
        """Largest score that each bin may hold, ascending, shape (n,)."""
        return key_values(self.keys, self.dtype, upper=True)

    @property
    def thresholds(self) -> NDArray[Any]:
        """Thresholds between the bins, descending, shape (n + 1,), in the type of the scores.

        The scores *greater* than ``thresholds[j]`` are exactly those of the highest j bins. Each lies halfway
        between two bins; the first is the highest score, the last the number below the lowest. (No number is
        below −∞: should that be the lowest score, the last threshold is −∞ too.)
        """
        if not self.keys.size:
            return np.empty(0, self.dtype)
        lower, upper = self.lower, self.upper
        below, above = upper[:-1].astype(np.float64), lower[1:].astype(np.float64)
        middle = below + (above - below) / 2
        middle = np.where(np.isfinite(middle), middle, below)
        between = middle.astype(self.dtype)
        downwards = self.dtype.type(-np.inf)
        between = np.where(between > middle, np.nextafter(between, downwards), between)
        below_all = np.nextafter(lower[:1], downwards)
        return np.concatenate([below_all, between, upper[-1:]])[::-1]

    def above(self, threshold: float) -> Counts:
        """Return the counts of the scores greater than a threshold, shape (channels,).

        The threshold is rounded to the type of the scores. float32 scores in the threshold's own bin, which differ
        from it by less than 2⁻¹¹ of its size, do not count as greater; the thresholds of `thresholds`
        cut no bin.
        """
        key = order_keys(rounded_threshold(threshold, self.dtype))
        total: Counts = self.counts[:, np.searchsorted(self.keys, key, side="right") :].sum(axis=1)
        return total

    def cumulative(self) -> Counts:
        """Return the counts above each of the `thresholds`, shape (channels, n + 1)."""
        highest_first = np.cumsum(self.counts[:, ::-1], axis=1)
        return np.concatenate([np.zeros((len(self.counts), 1), np.int64), highest_first], axis=1)


BinsType = TypeVar("BinsType", bound=Bins)


class BinnedAnalyzer(AbstractAnalyzer[Counts, BinsType], Generic[BinsType]):
    """Base of the histograms: a state has a count for every key, a result for those that occurred.

    Counts are integers, so that any order of folding and merging gives the same bytes.

    Parameters
    ----------
    dtype : dtype
        Type of the scores. float32 also takes float64 scores, which it rounds; float16 takes nothing else, since
        scores are to be rounded before they are thresholded or measured, and once.
    """

    result_type: ClassVar[type[Any]]
    channels: ClassVar[int]

    def __init__(self, dtype: DTypeLike = np.float32) -> None:
        self.dtype = checked_score_dtype(dtype)

    def init_state(self) -> Counts:
        """Return counts of nothing, shape (channels, number of keys)."""
        return np.zeros((self.channels, number_of_keys(self.dtype)), np.int64)

    def result(self, state: Counts, **kwargs: Any) -> BinsType:
        """Return the bins that hold something."""
        warn_unknown(type(self).__name__, kwargs)
        keys = np.flatnonzero(state.any(axis=0))
        return self._bins(keys, state[:, keys])

    def merge(self, results: Iterable[BinsType | None], **kwargs: Any) -> BinsType:
        """Return the sums of all results; see `AbstractAnalyzer.merge`."""
        warn_unknown(type(self).__name__, kwargs)
        parts = present(results)
        for part in parts:
            if part.dtype != self.dtype or len(part.counts) != self.channels:
                raise InputError(
                    f"merge: {part.dtype} bins with {len(part.counts)} channels do not fit {self.dtype}"
                )
        keys = np.concatenate([part.keys for part in parts])
        counts = np.concatenate([part.counts for part in parts], axis=1)
        order = np.argsort(keys, kind="stable")
        united, starts = np.unique(keys[order], return_index=True)
        summed = np.add.reduceat(counts[:, order], starts, axis=1) if len(starts) else counts
        return self._bins(united, summed)

    def resume(self, result: BinsType) -> Counts:
        """Return the counts of all keys to go on from."""
        state = self.init_state()
        state[:, result.keys] = result.counts
        return state

    def to_arrays(self, result: BinsType) -> dict[str, NDArray[Any]]:
        """Return the keys (uint16 or uint32) and counts (int64) of the bins that hold something."""
        return {"keys": result.keys, "counts": result.counts}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> BinsType:
        """Return the result that `to_arrays` took apart."""
        return self._bins(arrays["keys"], arrays["counts"])

    @property
    def shareable(self) -> bool:
        """False: two processes that add to one count at the same time would lose a score."""
        return False

    def _bins(self, keys: NDArray[Any], counts: Counts) -> BinsType:
        key_dtype = np.uint16 if self.dtype == np.float16 else np.uint32
        bins: BinsType = self.result_type(self.dtype, keys.astype(key_dtype, copy=False), counts)
        return bins

    def _checked(self, scores: ArrayLike) -> NDArray[Any]:
        """Return scores in the type of the histogram or raise `InputError`."""
        given = np.asarray(scores)
        if self.dtype == np.float16 and given.dtype != np.float16:
            raise InputError(
                f"scores of dtype {given.dtype}: this histogram is of float16; round the scores first"
            )
        return as_scores(given, self.dtype)


def tally(counts: Counts, scores: NDArray[Any], channels: ArrayLike = 0) -> None:
    """Add one to the count of every score's channel and key, in place; NaN is passed over.

    Parameters
    ----------
    counts : ndarray of int64, shape (channels, number of keys)
        State of a histogram.
    scores : ndarray
        Scores in its type.
    channels : array_like of integers
        Row of `counts` for each score, or for all.
    """
    rows = np.broadcast_to(np.asarray(channels, np.uint8), scores.shape).ravel()
    _tally(counts, rows, *bit_patterns(scores))


@compiled
def _tally(
    counts: Counts, rows: NDArray[Any], bits: NDArray[Any], sign: int, infinite: int, dropped: int
) -> None:
    for index in range(bits.size):
        key = key_of_bits(np.int64(bits[index]), sign, infinite, dropped)
        if key >= 0:
            counts[rows[index], key] += 1
