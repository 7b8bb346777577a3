"""Statistics of every pixel over a stream of images: mean and variance, median and MAD, density of defects."""

from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.analyzer.abstract import checked_shape
from scorefold.analyzer.statistics.central_sums import central_sums
from scorefold.analyzer.statistics.stream import (
    SummingAnalyzer,
    Sums,
    checked_mask,
    integer_levels,
    warn_unless_of_image,
)
from scorefold.compiled import compiled
from scorefold.errors import InputError


@dataclass(frozen=True, eq=False)
class MomentImages:
    """Result of `PixelMoments`: sums of integer grey levels by pixel.

    Parameters
    ----------
    count, total : ndarray of int64, shape (H, W)
        Number of valid levels and their sum.
    total_of_squares : ndarray of int64, shape (H, W)
        Sum of their squares, modulo 2⁶⁴.
    """

    count: NDArray[np.int64]
    total: NDArray[np.int64]
    total_of_squares: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean levels, shape (H, W); NaN where there is none."""
        with np.errstate(invalid="ignore"):
            mean: NDArray[np.float64] = self.total / self.count
        return mean

    def variance(self, ddof: int = 1) -> NDArray[np.float64]:
        """Return Σ(x − x̄)² / (n − ddof), shape (H, W); NaN where n ≤ ddof. See `central_sums`."""
        sums = central_sums(self.count, self.total, self.total, self.total_of_squares)
        divisor = np.where(self.count > ddof, self.count - ddof, np.nan)
        variance: NDArray[np.float64] = sums / divisor
        return variance

    def without(self, image: ArrayLike, valid: ArrayLike | None = None) -> "MomentImages":
        """Return the sums without one image that was folded: exactly those of the others.

        Parameters
        ----------
        image, valid : array_like, shape (H, W)
            What was folded.
        """
        sums = _moments_of(image, self.count.shape, valid)
        with np.errstate(over="ignore"):
            return MomentImages(self.count - sums[0], self.total - sums[1], self.total_of_squares - sums[2])


class PixelMoments(SummingAnalyzer[MomentImages]):
    """Mean and variance of every pixel of images on an integer grid.

    The sums are exact, so that any order gives the same bytes, and images can be added and taken out later.

    Parameters
    ----------
    shape : tuple of int
        Shape of the images.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = PixelMoments((1, 2))
    >>> state = analyzer.init_state()
    >>> for image in ([[1, 5]], [[3, 5]], [[8, 9]]):
    ...     state = analyzer(state, np.array(image), valid=np.array([[True, image != [[8, 9]]]]))
    >>> moments = analyzer.result(state)
    >>> moments.mean, moments.variance()
    (array([[4., 5.]]), array([[13.,  0.]]))
    """

    result_type = MomentImages

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = checked_shape(shape)

    def _zeros(self) -> Sums:
        return {name: np.zeros(self.shape, np.int64) for name in ("count", "total", "total_of_squares")}

    def __call__(
        self,
        state: Sums,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        *,
        valid: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Sums:
        """Add one image.

        Parameters
        ----------
        state : dict of ndarray
            Sums to go on from.
        scores : ndarray of `shape`
            Grey levels: whole numbers below 2³¹ in size, of any real type.
        rotation_matrix : ndarray, optional
            Does not matter.
        valid : ndarray of bool, optional
            Which pixels count; all by default.
        **kwargs
            `IMAGE_KEYWORDS` do not matter; others are ignored with a warning.
        """
        warn_unless_of_image(type(self).__name__, kwargs)
        for name, term in zip(state, _moments_of(scores, self.shape, valid), strict=True):
            state[name] += term
        return state


def _moments_of(
    image: ArrayLike, shape: tuple[int, ...], valid: ArrayLike | None
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Return the terms of one image: which pixels count, their levels and the squares of these."""
    levels = integer_levels(image, shape, valid)
    return checked_mask(True if valid is None else valid, shape, "valid"), levels, levels * levels


@dataclass(frozen=True, eq=False)
class LevelCounts:
    """Result of `PixelHistogram`: how often each pixel had each grey level.

    Parameters
    ----------
    counts : ndarray of uint32, shape (H, W, bins)
        Number of images by pixel and level.
    """

    counts: NDArray[np.uint32]

    def median(self) -> NDArray[np.float64]:
        """Return the median level of each pixel, shape (H, W); NaN where there is none."""
        rows = self.counts.reshape(-1, self.counts.shape[-1])
        return (_doubled_medians(rows) / 2).reshape(self.counts.shape[:-1])

    def mad(self) -> NDArray[np.float64]:
        """Return the median absolute deviation from the median, not scaled, shape (H, W); NaN where there is none."""
        rows = self.counts.reshape(-1, self.counts.shape[-1])
        return (_doubled_deviations(rows) / 2).reshape(self.counts.shape[:-1])


class PixelHistogram(SummingAnalyzer[LevelCounts]):
    """Histogram of every pixel's grey levels, for medians that are exact and merge.

    A state takes shape × bins × 4 bytes, 256 MiB for 512 × 512 pixels of 8 bits: cut large images into tiles.

    Parameters
    ----------
    shape : tuple of int
        Shape of the images or of the tile.
    bins : int
        Levels are 0 to bins − 1.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = PixelHistogram((1, 2))
    >>> state = analyzer.init_state()
    >>> for image in ([[10, 0]], [[12, 1]], [[90, 9]]):
    ...     state = analyzer(state, np.array(image, dtype=np.uint8))
    >>> levels = analyzer.result(state)
    >>> levels.median(), levels.mad()
    (array([[12.,  1.]]), array([[2., 1.]]))
    """

    result_type = LevelCounts

    def __init__(self, shape: tuple[int, ...], bins: int = 256) -> None:
        self.shape = checked_shape(shape)
        self.bins = index(bins)
        if self.bins < 1:
            raise InputError(f"bins {bins}: give the number of grey levels, 1 or more")

    def _zeros(self) -> Sums:
        return {"counts": np.zeros((*self.shape, self.bins), np.uint32)}

    def __call__(
        self,
        state: Sums,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        *,
        valid: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Sums:
        """Count the levels of one image; `valid` (bool, of the same shape) says which pixels count."""
        warn_unless_of_image(type(self).__name__, kwargs)
        levels = integer_levels(scores, self.shape, valid).ravel()
        if levels.min() < 0 or levels.max() >= self.bins:
            raise InputError(
                f"levels {levels.min()} to {levels.max()}: the histogram was made for 0 to {self.bins - 1}"
            )
        counted = np.flatnonzero(checked_mask(True if valid is None else valid, self.shape, "valid"))
        # A pixel occurs once, so that no addition is lost.
        state["counts"].reshape(-1)[counted * self.bins + levels[counted]] += 1
        return state


@compiled
def _doubled_median(counts: NDArray[Any]) -> float:
    """Return twice the median of the places of a histogram; NaN if it is empty."""
    total = np.int64(0)
    for place in range(counts.size):
        total += counts[place]
    if total == 0:
        return np.nan
    doubled = 0
    reached = np.int64(0)
    for place in range(counts.size):
        before = reached
        reached += counts[place]
        # The two middle places, counted from 0, which are the same if the total is odd.
        for rank in ((total - 1) // 2, total // 2):
            if before <= rank < reached:
                doubled += place
    return float(doubled)


@compiled
def _doubled_medians(rows: NDArray[Any]) -> NDArray[np.float64]:
    medians = np.empty(rows.shape[0])
    for row in range(rows.shape[0]):
        medians[row] = _doubled_median(rows[row])
    return medians


@compiled
def _doubled_deviations(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return twice the median absolute deviation of each row; deviations are counted in halves of a level."""
    deviations = np.empty(rows.shape[0])
    halves = np.empty(2 * rows.shape[1], np.int64)
    for row in range(rows.shape[0]):
        doubled = _doubled_median(rows[row])
        if np.isnan(doubled):
            deviations[row] = np.nan
            continue
        halves[:] = 0
        for level in range(rows.shape[1]):
            halves[abs(2 * level - int(doubled))] += rows[row, level]
        deviations[row] = _doubled_median(halves) / 2
    return deviations


@dataclass(frozen=True, eq=False)
class DefectCounts:
    """Result of `DefectDensity`.

    Parameters
    ----------
    counts : ndarray of int64, shape (H, W)
        Number of images in which a pixel is defective.
    """

    counts: NDArray[np.int64]


class DefectDensity(SummingAnalyzer[DefectCounts]):
    """How often each pixel is part of a defect.

    Parameters
    ----------
    shape : tuple of int
        Shape of the masks; for located parts, that of the template.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = DefectDensity((1, 3))
    >>> state = analyzer(analyzer.init_state(), np.array([[0, 255, 0]], dtype=np.uint8))
    >>> analyzer.result(analyzer(state, np.array([[False, True, True]]))).counts
    array([[0, 2, 1]])
    """

    result_type = DefectCounts

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = checked_shape(shape)

    def _zeros(self) -> Sums:
        return {"counts": np.zeros(self.shape, np.int64)}

    def __call__(
        self,
        state: Sums,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> Sums:
        """Add one mask: what is not 0 (or NaN) is defective."""
        warn_unless_of_image(type(self).__name__, kwargs)
        mask = np.asarray(scores)
        if mask.shape != self.shape:
            raise InputError(f"mask of shape {mask.shape}: the analyzer was made for shape {self.shape}")
        state["counts"] += (mask != 0) & (mask == mask)  # noqa: PLR0124 -- NaN differs from itself
        return state
