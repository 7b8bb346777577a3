"""The mergeable form of a peak caller: the best candidates under a total order, one for each position."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.rotation_table import Ids, RotationTable, relabel, unite_tables

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PeakCandidates:
    """Candidates for peaks, best first.

    The order is total: higher score, then position in lexicographic order, then lower rotation id. A position
    occurs once, with its best score. Keeping the best `capacity` of such candidates commutes with uniting
    them: a candidate that is cut has `capacity` better ones at other positions, and they only ever become
    better. That does not hold for peaks a minimum distance apart, so that distance is applied by
    `PeakCaller.peaks` at the end.

    Parameters
    ----------
    scores : ndarray of shape (k,)
        Scores, descending.
    positions : ndarray of int64, shape (k, d)
        Target coordinates.
    rotations : ndarray of int32, shape (k,)
        Rotation ids.
    mapping : RotationTable
        Rotation matrices by id; all that were seen.
    capacity : int
        Largest number of candidates kept.
    """

    scores: NDArray[Any]
    positions: Positions
    rotations: Ids
    mapping: RotationTable
    capacity: int


def strongest(scores: NDArray[Any], indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return at most `count` of the flat `indices`: the highest scores, at equal scores the first."""
    if len(indices) <= count:
        return indices
    values = scores[indices]
    last = np.partition(values, len(values) - count)[len(values) - count]
    above = indices[values > last]
    tied = np.sort(indices[values == last])
    return np.concatenate([above, tied[: count - len(above)]])


def best_candidates(
    scores: NDArray[Any], positions: Positions, ranks: NDArray[Any], capacity: int
) -> NDArray[np.intp]:
    """Return which candidates to keep, in order.

    Parameters
    ----------
    scores, positions : ndarray
        See `PeakCandidates`; in any order, positions may repeat.
    ranks : ndarray of int
        Order of the rotations, lower first.
    capacity : int
        Largest number to keep.
    """
    order = np.lexsort((ranks, *positions.T[::-1], -scores))
    _, first = np.unique(positions[order], axis=0, return_index=True)
    kept: NDArray[np.intp] = order[np.sort(first)[:capacity]]
    return kept


def merge_candidates(parts: Sequence[PeakCandidates]) -> PeakCandidates:
    """Return the best candidates of all parts, as many as the smallest capacity allows."""
    mapping, lookups = unite_tables([part.mapping for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    positions = np.concatenate([part.positions for part in parts])
    rotations = np.concatenate(
        [relabel(part.rotations, lookup) for part, lookup in zip(parts, lookups, strict=True)]
    )
    capacity = min(part.capacity for part in parts)
    kept = best_candidates(scores, positions, rotations, capacity)
    return PeakCandidates(scores[kept], positions[kept], rotations[kept], mapping, capacity)
