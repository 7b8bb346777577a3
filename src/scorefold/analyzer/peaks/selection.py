"""From candidates to peaks: suppression of neighbours and clustering."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from scorefold.analyzer.peaks.candidates import PeakCandidates, Positions
from scorefold.analyzer.rotation_table import Ids, Matrix, RotationTable


@dataclass(frozen=True, eq=False)
class Peaks:
    """Peaks, best first.

    Parameters
    ----------
    positions : ndarray of int64, shape (k, d)
        Target coordinates.
    rotations : ndarray of int32, shape (k,)
        Rotation ids.
    scores : ndarray of shape (k,)
        Scores, descending.
    support : ndarray of int64, shape (k,)
        Number of candidates that a peak stands for, itself included.
    mapping : RotationTable
        Rotation matrices by id.
    """

    positions: Positions
    rotations: Ids
    scores: NDArray[Any]
    support: NDArray[np.int64]
    mapping: RotationTable

    def __len__(self) -> int:
        return len(self.scores)

    def kept(self, which: NDArray[np.bool_]) -> "Peaks":
        """Return some of the peaks, in their order."""
        return Peaks(
            self.positions[which],
            self.rotations[which],
            self.scores[which],
            self.support[which],
            self.mapping,
        )

    @property
    def matrices(self) -> Matrix:
        """Rotation matrix of each peak, (k, d, d)."""
        matrices: Matrix = self.mapping.matrices[self.rotations]
        return matrices


def select(
    candidates: PeakCandidates, chosen: NDArray[np.intp], support: NDArray[np.int64], num_peaks: int
) -> Peaks:
    """Return chosen candidates, given in order, as peaks."""
    kept = chosen[:num_peaks]
    return Peaks(
        candidates.positions[kept],
        candidates.rotations[kept],
        candidates.scores[kept],
        support[:num_peaks],
        candidates.mapping,
    )


def suppress_neighbours(candidates: PeakCandidates, min_distance: float, num_peaks: int) -> Peaks:
    """Take candidates best first, each time dropping the others up to `min_distance` away (Euclidean)."""
    tree = cKDTree(candidates.positions) if len(candidates.positions) else None
    is_free = np.ones(len(candidates.positions), dtype=bool)
    chosen: list[int] = []
    support: list[int] = []
    for candidate, position in enumerate(candidates.positions):
        if len(chosen) == num_peaks or tree is None:
            break
        if is_free[candidate]:
            neighbours = tree.query_ball_point(position, min_distance)
            chosen.append(candidate)
            support.append(int(is_free[neighbours].sum()))
            is_free[neighbours] = False
    return select(candidates, np.array(chosen, dtype=np.intp), np.array(support, dtype=np.int64), num_peaks)


def join_clusters(candidates: PeakCandidates, min_distance: float, num_peaks: int) -> Peaks:
    """Take the best candidate of each single-linkage cluster of links up to `min_distance` (Euclidean)."""
    count = len(candidates.positions)
    if not count:
        return select(candidates, np.empty(0, dtype=np.intp), np.empty(0, dtype=np.int64), num_peaks)
    links = cKDTree(candidates.positions).query_pairs(min_distance, output_type="ndarray")
    graph = coo_array((np.ones(len(links), dtype=np.int8), (links[:, 0], links[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, best, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.argsort(best)
    return select(candidates, best[order], sizes[order].astype(np.int64), num_peaks)
