"""The ways of finding candidates in one score map."""

from itertools import product
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from skimage.feature import peak_local_max

from scorefold.analyzer.peaks.caller import PeakCaller
from scorefold.analyzer.peaks.candidates import PeakCandidates, strongest
from scorefold.analyzer.peaks.selection import Peaks, join_clusters
from scorefold.compiled import compiled


class PeakCallerSort(PeakCaller):
    """Peak caller whose candidates are the highest scores of each map.

    The simplest: it misses nothing that is high, but a broad peak may take all the candidates. See
    `PeakCaller` for the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> caller = PeakCallerSort(shape=(1, 5), num_peaks=2, min_distance=1)
    >>> state = caller(caller.init_state(), scores=[[3, 9, 8, 1, 5]], rotation_matrix=np.eye(2))
    >>> caller.peaks(caller.result(state)).positions
    array([[0, 1],
           [0, 4]])
    """

    def find_candidates(self, scores: NDArray[Any], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the allowed positions of the highest scores."""
        return strongest(scores.reshape(-1), np.flatnonzero(allowed), self.num_candidates)


def maximum_radius(min_distance: float, ndim: int) -> int:
    """Return half the edge of the cube, in voxels, in which nothing is higher than a local maximum."""
    return max(1, isqrt(int(min_distance**2) // ndim))


class PeakCallerMaximumFilter(PeakCaller):
    """Peak caller whose candidates are the local maxima of each map.

    A candidate is the maximum of the largest cube around it that fits into the ball of radius `min_distance`,
    but of no less than its immediate neighbours. All positions of a plateau are candidates. See `PeakCaller`
    for the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> caller = PeakCallerMaximumFilter(shape=(1, 5), min_distance=1)
    >>> state = caller(caller.init_state(), scores=[[3, 9, 8, 1, 5]], rotation_matrix=np.eye(2))
    >>> caller.peaks(caller.result(state)).scores
    array([9., 5.], dtype=float32)
    """

    def find_candidates(self, scores: NDArray[Any], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the allowed local maxima."""
        radius = maximum_radius(self.min_distance, scores.ndim)
        highest = maximum_filter(scores, size=2 * radius + 1, mode="constant", cval=-np.inf)
        return np.flatnonzero((scores == highest) & allowed)


class PeakCallerFast(PeakCaller):
    """Peak caller whose candidates are the maxima of blocks of each map.

    The target is cut into blocks of edge `min_distance`, counted from its origin. The maximum of a block is a
    candidate if no immediate neighbour scores higher; the first of equal ones. See `PeakCaller` for the
    parameters.

    Examples
    --------
    >>> import numpy as np
    >>> caller = PeakCallerFast(shape=(1, 6), min_distance=2)
    >>> state = caller(caller.init_state(), scores=[[3, 9, 8, 1, 5, 2]], rotation_matrix=np.eye(2))
    >>> caller.peaks(caller.result(state)).scores
    array([9., 5.], dtype=float32)
    """

    def find_candidates(self, scores: NDArray[Any], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the allowed maxima of blocks that are local maxima."""
        edge = max(1, int(self.min_distance))
        before = self.offset % edge
        after = -(before + self.shape) % edge
        padded = np.pad(scores, list(zip(before, after, strict=True)), constant_values=-np.inf)
        blocks = padded.reshape([part for size in padded.shape for part in (size // edge, edge)])
        axes = [*range(0, blocks.ndim, 2), *range(1, blocks.ndim, 2)]
        by_block = blocks.transpose(axes).reshape(-1, edge**scores.ndim)
        places = np.unravel_index(np.argmax(by_block, axis=1), (edge,) * scores.ndim)
        corners = np.unravel_index(np.arange(len(by_block)), blocks.shape[::2])
        found = np.stack(
            [
                corner * edge + place - start
                for corner, place, start in zip(corners, places, before, strict=True)
            ],
            axis=1,
        )
        # The maximum of a block without any score may lie in the padding.
        found = found[((found >= 0) & (found < scores.shape)).all(axis=1)]
        found = found[allowed[tuple(found.T)]]
        framed = np.pad(scores, 1, constant_values=-np.inf)
        for step in product((-1, 0, 1), repeat=scores.ndim):
            neighbours = framed[tuple((found + 1 + step).T)]
            found = found[neighbours <= scores[tuple(found.T)]]
        indices: NDArray[np.intp] = np.ravel_multi_index(tuple(found.T), scores.shape)
        return indices


class PeakCallerRecursiveMasking(PeakCaller):
    """Peak caller that takes the highest score of a map, masks the ball around it, and repeats.

    The ball has radius `min_distance`. Positions that may not be peaks, such as those near the boundary, mask
    their surroundings too, so that the flank of a peak beyond a limit is not taken for one. At most
    `num_peaks` candidates are taken from a map; they are all more than `min_distance` apart. See `PeakCaller`
    for the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> caller = PeakCallerRecursiveMasking(shape=(1, 5), min_distance=1)
    >>> state = caller(caller.init_state(), scores=[[3, 9, 8, 7, 5]], rotation_matrix=np.eye(2))
    >>> caller.peaks(caller.result(state)).scores
    array([9., 7.], dtype=float32)
    """

    def find_candidates(self, scores: NDArray[Any], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return allowed positions, each the highest that those before it leave unmasked."""
        if not allowed.any():
            return np.empty(0, dtype=np.intp)
        indices = np.flatnonzero(scores >= scores[allowed].min())
        descending = indices[np.argsort(-scores.reshape(-1)[indices], kind="stable")]
        reach = int(self.min_distance)
        # In a frame as wide as the ball is, a ball is the same steps of the flat index everywhere.
        framed = tuple(size + 2 * reach for size in scores.shape)
        centres = np.ravel_multi_index(
            tuple(axis + reach for axis in np.unravel_index(descending, scores.shape)), framed
        )
        steps = np.indices((2 * reach + 1,) * scores.ndim).reshape(scores.ndim, -1)
        inside = ((steps - reach) ** 2).sum(axis=0) <= self.min_distance**2
        ball = np.ravel_multi_index(tuple(steps[:, inside]), framed)
        ball -= np.ravel_multi_index((reach,) * scores.ndim, framed)
        is_masked = np.zeros(int(np.prod(framed)), dtype=bool)
        may_be_chosen = allowed.reshape(-1)[descending]
        return descending[_mask_in_order(centres, may_be_chosen, ball, is_masked, self.num_peaks)]


class PeakCallerScipy(PeakCaller):
    """Peak caller whose candidates are those of `skimage.feature.peak_local_max`.

    The function works on top of SciPy's maximum filter and thins out what it finds by itself: within a map,
    candidates are `min_distance` apart in the maximum norm. See `PeakCaller` for the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> caller = PeakCallerScipy(shape=(1, 5), min_distance=1)
    >>> state = caller(caller.init_state(), scores=[[3, 9, 8, 1, 5]], rotation_matrix=np.eye(2))
    >>> caller.peaks(caller.result(state)).scores
    array([9., 5.], dtype=float32)
    """

    def find_candidates(
        self,
        scores: NDArray[Any],
        allowed: NDArray[np.bool_],  # noqa: ARG002 -- the base drops the others
    ) -> NDArray[np.intp]:
        """Return the peaks that scikit-image finds."""
        framed = np.pad(scores, 1, constant_values=-np.inf)  # else a map of one value would have no peak
        found = peak_local_max(  # type: ignore[no-untyped-call]
            framed,
            min_distance=max(1, int(self.min_distance)),
            threshold_abs=-np.inf,
            exclude_border=False,
        )
        indices: NDArray[np.intp] = np.ravel_multi_index(tuple((found - 1).T), scores.shape)
        return indices


class PeakClustering(PeakCallerMaximumFilter):
    """Peak caller that makes one peak of each cluster of local maxima.

    Candidates are those of `PeakCallerMaximumFilter`. Candidates up to `min_distance` apart belong to one
    cluster (single linkage); its peak is its best candidate and `Peaks.support` its size. See `PeakCaller`
    for the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> caller = PeakClustering(shape=(1, 6), min_distance=2)
    >>> state = caller(caller.init_state(), scores=[[3, 1, 4, 1, 5, 1]], rotation_matrix=np.eye(2))
    >>> peaks = caller.peaks(caller.result(state))
    >>> peaks.positions, peaks.support
    (array([[0, 4]]), array([3]))
    """

    def peaks(self, result: PeakCandidates) -> Peaks:
        """Return the best candidate of each cluster: call it once, after the last merge."""
        return join_clusters(result, self.min_distance, self.num_peaks)


@compiled
def _mask_in_order(
    centres: NDArray[np.intp],
    may_be_chosen: NDArray[np.bool_],
    ball: NDArray[np.intp],
    is_masked: NDArray[np.bool_],
    count: int,
) -> NDArray[np.bool_]:
    """Return which centres, taken in order, lie in no ball around an earlier one: the first `count` that may."""
    is_chosen = np.zeros(len(centres), dtype=np.bool_)
    for candidate in range(len(centres)):
        if count and not is_masked[centres[candidate]]:
            is_chosen[candidate] = may_be_chosen[candidate]
            count -= may_be_chosen[candidate]
            for step in ball:
                is_masked[centres[candidate] + step] = True
    return is_chosen
