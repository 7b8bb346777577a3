"""Histograms of scores: of all, by label, and weighted by the regions of a truth mask."""

from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from scorefold.analyzer.statistics.bins import BinnedAnalyzer, Bins
from scorefold.analyzer.statistics.key_table import Counts, KeyTable
from scorefold.analyzer.statistics.order_keys import order_keys
from scorefold.analyzer.statistics.stream import checked_labels, warn_unless_of_image
from scorefold.errors import InputError

WEIGHT_BITS = 36
"""A region has the weight 2³⁶: 2²⁷ regions can be summed in int64, and a pixel of 2²⁷ still weighs 512 units."""


class Histogram(Bins):
    """Result of `ScoreHistogram`: how often scores of each bin occurred; see `Bins`."""

    @property
    def count(self) -> int:
        """Number of scores."""
        return int(self.counts.sum())

    def quantile(self, q: float) -> float:
        """Return the score that the fraction `q` of all scores does not exceed.

        It is the smallest such score (`numpy.quantile` with ``method="inverted_cdf"``). If bits were dropped it is the
        upper edge of that score's bin. Either way at most the fraction 1 − q of the scores is greater.

        Parameters
        ----------
        q : float
            0 to 1, taken as the decimal number that it prints as.

        Raises
        ------
        InputError
            If `q` is out of range, or there is no score.
        """
        if not 0 <= q <= 1:
            raise InputError(f"quantile {q}: give a fraction from 0 to 1")
        if not self.keys.size:
            raise InputError("quantile of no scores: fold at least one")
        rank = max(1, ceil(Fraction(repr(float(q))) * self.count))
        return float(self.upper[np.searchsorted(np.cumsum(self.counts[0]), rank)])


class ScoreHistogram(BinnedAnalyzer[Histogram]):
    """Counts of all scores of all score maps.

    Parameters
    ----------
    dtype, bins
        See `BinnedAnalyzer`.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = ScoreHistogram(np.float16)
    >>> scores = np.array([0.5, np.nan, 1.0, 0.25, 1.0], dtype=np.float16)
    >>> histogram = analyzer.result(analyzer(analyzer.init_state(), scores))
    >>> histogram.count, histogram.quantile(0.5), histogram.above(0.5)
    (4, 0.5, array([2]))
    """

    result_type = Histogram
    channels = 1

    def __call__(
        self,
        state: KeyTable,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> KeyTable:
        """Count the scores of one map of any shape; NaN is passed over."""
        warn_unless_of_image(type(self).__name__, kwargs)
        self._tally(state, self._checked(scores), 0)
        return state


class LabelledCounts(Bins):
    """Result of `LabelledHistogram`: how often scores of each bin occurred by label; see `Bins`."""

    @property
    def positives(self) -> Counts:
        """Numbers of anomalous scores by bin, shape (n,)."""
        row: Counts = self.counts[0]
        return row

    @property
    def negatives(self) -> Counts:
        """Numbers of normal scores by bin, shape (n,)."""
        row: Counts = self.counts[1]
        return row

    def normal_scores(self) -> Histogram:
        """Return the histogram of the scores that are labelled normal."""
        held = np.flatnonzero(self.negatives)
        return Histogram(self.dtype, self.dropped_bits, self.keys[held], self.counts[1:, held])


class LabelledHistogram(BinnedAnalyzer[LabelledCounts]):
    """Counts of the scores that are labelled anomalous and of those labelled normal.

    Parameters
    ----------
    dtype, bins
        See `BinnedAnalyzer`.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = LabelledHistogram()
    >>> state = analyzer(analyzer.init_state(), np.array([0.1, 0.8, 0.9]), labels=np.array([False, True, True]))
    >>> counts = analyzer.result(analyzer(state, np.array(0.3), labels=False))
    >>> counts.positives, counts.negatives
    (array([0, 0, 1, 1]), array([1, 1, 0, 0]))
    """

    result_type = LabelledCounts
    channels = 2

    def __call__(
        self,
        state: KeyTable,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        *,
        labels: ArrayLike | None = None,
        **kwargs: Any,
    ) -> KeyTable:
        """Count the scores of one map, or the score of one image.

        Parameters
        ----------
        state : KeyTable
            Counts to go on from.
        scores : ndarray of any shape
            Scores; NaN is passed over.
        rotation_matrix : ndarray, optional
            Does not matter.
        labels : bool or ndarray of bool
            True where anomalous, of the shape of the scores, or one label for all.
        **kwargs
            `IMAGE_KEYWORDS` do not matter; others are ignored with a warning.
        """
        warn_unless_of_image(type(self).__name__, kwargs)
        given = self._checked(scores)
        anomalous = checked_labels(labels, given.shape)
        self._tally(state, given, ~anomalous)
        return state


class RegionCounts(Bins):
    """Result of `RegionHistogram`: weights of regions and numbers of normal pixels by bin; see `Bins`."""

    @property
    def weights(self) -> Counts:
        """Weights of the anomalous pixels by bin, in units of 2⁻³⁶ of a region, shape (n,)."""
        row: Counts = self.counts[0]
        return row

    @property
    def normals(self) -> Counts:
        """Numbers of normal pixels by bin, shape (n,)."""
        row: Counts = self.counts[1]
        return row

    @property
    def regions(self) -> int:
        """Number of regions; each has the same weight in all."""
        return int(self.counts[0].sum()) >> WEIGHT_BITS


class RegionHistogram(BinnedAnalyzer[RegionCounts]):
    """Per-region overlaps of anomalous pixels, and counts of normal ones: what AUPRO is made of.

    A region is a connected component of one image's truth mask, pixels that touch at a corner being connected. Each
    spreads the weight 1 evenly over its pixels; a region's weights by bin are rounded to units of 2⁻³⁶ so that
    their sum is exact. Pixels with NaN belong to no region, and a region of nothing else does not count.

    Folded over normal images with ``labels=True``, so that each image is one region, it gives the mean over images
    of the false-positive rate, which `scorefold.inspection.pimo_band` takes.

    Parameters
    ----------
    dtype, bins
        See `BinnedAnalyzer`.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = RegionHistogram(np.float16)
    >>> scores = np.array([[0, 1, 2, 0], [0, 1, 0, 3]], dtype=np.float16)
    >>> truth = np.array([[0, 1, 1, 0], [0, 1, 0, 0]], dtype=bool)
    >>> counts = analyzer.result(analyzer(analyzer.init_state(), scores, labels=truth))
    >>> counts.lower, counts.weights / 2**36, counts.normals
    (array([0., 1., 2., 3.], dtype=float16), array([0. , 0.66666667, 0.33333333, 0. ]), array([4, 0, 0, 1]))
    >>> counts.regions
    1
    """

    result_type = RegionCounts
    channels = 2

    def __call__(
        self,
        state: KeyTable,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        *,
        labels: ArrayLike | None = None,
        **kwargs: Any,
    ) -> KeyTable:
        """Fold the scores of one whole image and its truth mask.

        Parameters
        ----------
        state : KeyTable
            Counts to go on from.
        scores : ndarray of any shape
            Scores; NaN is passed over.
        rotation_matrix : ndarray, optional
            Does not matter.
        labels : bool or ndarray of bool
            True where anomalous, of the shape of the scores; or one label for all: with True, the image is one region.
        **kwargs
            `IMAGE_KEYWORDS` do not matter; others are ignored with a warning.
        """
        warn_unless_of_image(type(self).__name__, kwargs)
        given = self._checked(scores)
        anomalous = checked_labels(labels, given.shape)
        self._tally(state, given[~anomalous], 1)
        if anomalous.any():
            counted = anomalous & ~np.isnan(given)
            regions, _ = ndimage.label(anomalous, structure=np.ones((3,) * given.ndim))
            _spread(state, order_keys(given[counted]), regions[counted])
        return state


def _spread(state: KeyTable, keys: NDArray[Any], regions: NDArray[Any]) -> None:
    """Add the weights of regions to their channel, given the key and the region of each pixel."""
    pairs, pixels = np.unique(regions.astype(np.int64) << 32 | keys, return_counts=True)
    region = pairs >> 32
    area = np.bincount(region, pixels).astype(np.int64)[region]
    # Numbers of pixels up to each pair within its region; the weights are differences of their rounded shares.
    reached = np.cumsum(pixels)
    first = np.r_[True, region[1:] != region[:-1]]
    reached -= np.maximum.accumulate(np.where(first, reached - pixels, 0))
    amounts = np.zeros((len(pairs), 2), np.int64)
    amounts[:, 0] = _share(reached, area) - _share(reached - pixels, area)
    state.add(pairs & 0xFFFF_FFFF, amounts)


def _share(pixels: Counts, area: Counts) -> Counts:
    """Return ⌊2³⁶ pixels / area⌋, in two steps so that regions of up to 2⁴⁴ pixels do not overflow."""
    half = WEIGHT_BITS // 2
    high, rest = np.divmod(pixels << half, area)
    share: Counts = (high << half) + (rest << half) // area
    return share
