"""Counts of scores by order-preserving bins: mergeable form and cumulative counts of every histogram."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from scorefold.analyzer.abstract import AbstractAnalyzer, present, warn_unknown
from scorefold.analyzer.statistics.key_table import Counts, KeyTable, summed_by_key
from scorefold.analyzer.statistics.order_keys import (
    as_scores,
    checked_score_dtype,
    key_values,
    order_keys,
    rounded_threshold,
)
from scorefold.errors import InputError

MOST_BINS = 1 << 18
"""Default capacity: all 65 536 values of float16 fit, and histograms of float32 scores stay below 6 MiB."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Integer counts by bins of scores; only bins that hold something are kept.

    Parameters
    ----------
    dtype : dtype
        Type of the scores, float16 or float32.
    dropped_bits : int
        Number of last bits of the scores' keys (`order_keys`) in which the scores of one bin may differ.
    keys : ndarray of uint32, shape (n,)
        Keys of the bins without these bits, ascending.
    counts : ndarray of int64, shape (channels, n)
        What was counted.
    """

    dtype: np.dtype[Any]
    dropped_bits: int
    keys: NDArray[np.uint32]
    counts: Counts

    @property
    def exact(self) -> bool:
        """Whether each bin holds scores of a single value, so that nothing was lost by counting."""
        return self.dropped_bits == 0

    @property
    def lower(self) -> NDArray[Any]:
        """Smallest score that each bin may hold, ascending, shape (n,)."""
        return key_values(self.keys, self.dtype, dropped_bits=self.dropped_bits)

    @property
    def upper(self) -> NDArray[Any]:
        """Largest score that each bin may hold, ascending, shape (n,)."""
        return key_values(self.keys, self.dtype, dropped_bits=self.dropped_bits, upper=True)

    @property
    def thresholds(self) -> NDArray[Any]:
        """Thresholds between the bins, descending, shape (n + 1,), in the type of the scores.

        The scores *greater* than ``thresholds[j]`` are exactly those of the highest j bins. Each lies halfway
        between two bins; the first is the highest score, the last the number below the lowest. (No number is
        below −∞: should the lowest bin reach so far, the last threshold is −∞ too, and cuts it.)
        """
        if not self.keys.size:
            return np.empty(0, self.dtype)
        lower, upper = self.lower, self.upper
        below, above = upper[:-1].astype(np.float64), lower[1:].astype(np.float64)
        with np.errstate(invalid="ignore"):
            middle = below + (above - below) / 2
        middle = np.where(np.isfinite(middle), middle, below)
        between = middle.astype(self.dtype)
        downwards = self.dtype.type(-np.inf)
        between = np.where(between > middle, np.nextafter(between, downwards), between)
        below_all = np.nextafter(lower[:1], downwards)
        return np.concatenate([below_all, between, upper[-1:]])[::-1]

    def above(self, threshold: float) -> Counts:
        """Return the counts of the scores greater than a threshold, shape (channels,).

        The threshold is rounded to the type of the scores. If bits were dropped, no score in the threshold's own bin
        counts as greater; those of `thresholds` cut no bin.
        """
        key = order_keys(rounded_threshold(threshold, self.dtype)) >> self.dropped_bits
        total: Counts = self.counts[:, np.searchsorted(self.keys, key, side="right") :].sum(axis=1)
        return total

    def cumulative(self) -> Counts:
        """Return the counts above each of the `thresholds`, shape (channels, n + 1)."""
        highest_first = np.cumsum(self.counts[:, ::-1], axis=1)
        return np.concatenate([np.zeros((len(self.counts), 1), np.int64), highest_first], axis=1)


BinsType = TypeVar("BinsType", bound=Bins)


class BinnedAnalyzer(AbstractAnalyzer[KeyTable, BinsType], Generic[BinsType]):
    """Base of the histograms: integer counts by score, in a bounded number of bins.

    Every score has a bin of its own until there would be more than `bins`. Then the keys of all scores
    lose their last bit, as often as it takes: bins are as narrow as that number of them allows, wherever the
    scores lie. How many bits are lost depends on the set of scores alone, and so do the counts: any order of
    folding and merging gives the same bytes.

    Parameters
    ----------
    dtype : dtype
        Type of the scores. float32 also takes float64 scores, which it rounds; float16 takes nothing else, since
        scores are to be rounded before they are thresholded or measured, and once.
    bins : int
        Largest number of bins, 2 or more. With the default, float16 scores never lose anything, and if float32
        scores do, there are more than 131 072 bins with a score.
    """

    result_type: ClassVar[type[Any]]
    channels: ClassVar[int]

    def __init__(self, dtype: DTypeLike = np.float32, *, bins: int = MOST_BINS) -> None:
        self.dtype = checked_score_dtype(dtype)
        # A float16 needs no more.
        self.bins = min(index(bins), 1 << 8 * self.dtype.itemsize)
        if self.bins < 2:
            raise InputError(f"bins {bins}: give the largest number of bins, 2 or more")

    def init_state(self) -> KeyTable:
        """Return counts of nothing."""
        return self._empty_table()

    def result(self, state: KeyTable, **kwargs: Any) -> BinsType:
        """Return the bins that hold something."""
        warn_unknown(type(self).__name__, kwargs)
        keys, counts = state.sorted_items()
        return self._bins(state.dropped_bits, keys, counts)

    def merge(self, results: Iterable[BinsType | None], **kwargs: Any) -> BinsType:
        """Return the sums of all results; see `AbstractAnalyzer.merge`."""
        warn_unknown(type(self).__name__, kwargs)
        parts = present(results)
        for part in parts:
            if part.dtype != self.dtype or len(part.counts) != self.channels:
                raise InputError(
                    f"merge: {part.dtype} bins with {len(part.counts)} channels do not fit {self.dtype} "
                    f"with {self.channels}"
                )
        dropped_bits = max(part.dropped_bits for part in parts)
        keys, counts = summed_by_key(
            np.concatenate([part.keys >> (dropped_bits - part.dropped_bits) for part in parts]),
            np.concatenate([part.counts.T for part in parts]),
        )
        while len(keys) > self.bins:
            dropped_bits += 1
            keys, counts = summed_by_key(keys >> 1, counts)
        return self._bins(dropped_bits, keys, counts)

    def resume(self, result: BinsType) -> KeyTable:
        """Return a table of the counts to go on from."""
        state = self._empty_table(result.dropped_bits)
        keys = result.keys.astype(np.uint64) << np.uint64(result.dropped_bits)
        state.add(keys, np.ascontiguousarray(result.counts.T))
        return state

    def to_arrays(self, result: BinsType) -> dict[str, NDArray[Any]]:
        """Return dropped bits (int64), keys (uint32) and counts (int64)."""
        dropped_bits = np.array([result.dropped_bits], np.int64)
        return {"dropped_bits": dropped_bits, "keys": result.keys, "counts": result.counts}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> BinsType:
        """Return the result that `to_arrays` took apart."""
        return self._bins(int(arrays["dropped_bits"][0]), arrays["keys"], arrays["counts"].T)

    @property
    def shareable(self) -> bool:
        """False: two processes that add to one count at the same time would lose a score."""
        return False

    def _empty_table(self, dropped_bits: int = 0) -> KeyTable:
        key_bits = 8 * self.dtype.itemsize
        return KeyTable.empty(self.bins, self.channels, key_bits=key_bits, dropped_bits=dropped_bits)

    def _bins(self, dropped_bits: int, keys: NDArray[Any], counts: Counts) -> BinsType:
        bins: BinsType = self.result_type(self.dtype, dropped_bits, keys, np.ascontiguousarray(counts.T))
        return bins

    def _checked(self, scores: ArrayLike) -> NDArray[Any]:
        """Return scores in the type of the histogram or raise `InputError`."""
        given = np.asarray(scores)
        if self.dtype == np.float16 and given.dtype != np.float16:
            raise InputError(
                f"scores of dtype {given.dtype}: this histogram is of float16; round the scores first"
            )
        return as_scores(given, self.dtype)

    @staticmethod
    def _tally(state: KeyTable, scores: NDArray[Any], channels: ArrayLike) -> None:
        """Count each score in its channel, or all in one."""
        rows = np.broadcast_to(np.asarray(channels, np.uint8), scores.shape)
        state.tally(scores, rows.ravel())
