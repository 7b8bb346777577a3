"""The base of all peak callers."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from scorefold.analyzer.abstract import (
    AbstractAnalyzer,
    checked_dtype,
    checked_offset,
    checked_scores,
    checked_shape,
    present,
    warn_unknown,
)
from scorefold.analyzer.peaks.candidates import (
    PeakCandidates,
    Positions,
    best_candidates,
    merge_candidates,
    strongest,
)
from scorefold.analyzer.peaks.selection import Peaks, suppress_neighbours
from scorefold.analyzer.rotation_table import (
    Ids,
    RotationRegister,
    RotationTable,
    checked_rotations,
    register_for,
    relabel,
    table_from_arrays,
    table_to_arrays,
)
from scorefold.errors import InputError

# Near a true peak neighbouring rotations give candidates a voxel or two apart; so many of them may crowd a
# peak before one that belongs among the best is lost.
_CANDIDATES_PER_PEAK = 16


@dataclass(eq=False)
class PeakState:
    """Candidates so far, best first, with the register's rotation ids."""

    scores: NDArray[Any]
    positions: Positions
    rotations: Ids
    register: RotationRegister


class PeakCaller(AbstractAnalyzer[PeakState, PeakCandidates]):
    """Base of analyzers that look for peaks in every score map and keep the best of all.

    A subclass says which positions of *one* score map are candidates. The base keeps the best candidates of
    all maps, as `PeakCandidates` describes, and `peaks` makes peaks of them that are more than `min_distance`
    apart.

    Parameters
    ----------
    shape : tuple of int
        Shape of the score maps, (y, x) or (z, y, x).
    num_peaks : int, optional
        Largest number of peaks, 1000 by default.
    min_distance : float, optional
        Of candidates up to this far apart (Euclidean, voxels) only the better can be a peak, 1 by default.
        With 0 all candidates are peaks.
    min_boundary_distance : int, optional
        Peaks are at least this many voxels away from the edge of the target, 0 by default. Candidates nearer
        to the edge are dropped before any others are.
    min_score, max_score : float, optional
        Lowest and highest score of a peak, inclusive; no limit by default.
    offset : array_like of int, shape (d,), optional
        Target coordinates of the score maps' first position, zero by default.
    target_shape : tuple of int, optional
        Shape of the whole target, from which `min_boundary_distance` is measured. By default the score map is
        taken for the whole target.
    mask : array_like of bool, optional
        Where peaks may be, of the score maps' shape; everywhere by default.
    rotations : array_like of shape (n, d, d), optional
        The job's rotation set; a rotation's id is its row. By default ids are ranks in the lexicographic
        order of the matrices seen.
    num_candidates : int, optional
        Number of candidates kept, 16 × `num_peaks` by default.
    dtype : dtype, optional
        float32, the default, or float64.
    **kwargs
        None is known; each is ignored with a warning.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_peaks: int = 1000,
        min_distance: float = 1,
        min_boundary_distance: int = 0,
        min_score: float | None = None,
        max_score: float | None = None,
        offset: ArrayLike | None = None,
        *,
        target_shape: tuple[int, ...] | None = None,
        mask: ArrayLike | None = None,
        rotations: ArrayLike | RotationTable | None = None,
        num_candidates: int | None = None,
        dtype: DTypeLike = np.float32,
        **kwargs: Any,
    ) -> None:
        warn_unknown(type(self).__name__, kwargs)
        self.shape = checked_shape(shape)
        self.offset = checked_offset(offset, len(self.shape))
        self.dtype = checked_dtype(dtype)
        self.rotations = checked_rotations(rotations, len(self.shape))
        self.num_peaks = num_peaks
        self.min_distance = min_distance
        self.min_score = -np.inf if min_score is None else float(min_score)
        self.max_score = np.inf if max_score is None else float(max_score)
        self.num_candidates = _CANDIDATES_PER_PEAK * num_peaks if num_candidates is None else num_candidates
        if num_peaks < 1:
            raise InputError(f"num_peaks {num_peaks}: expected at least 1")
        if not 0 <= min_distance < np.inf:
            raise InputError(f"min_distance {min_distance}: expected a finite number that is not negative")
        if not self.min_score <= self.max_score:
            raise InputError(f"min_score {min_score} and max_score {max_score}: leave no score in between")
        if self.num_candidates < num_peaks:
            raise InputError(f"num_candidates {num_candidates}: fewer than num_peaks, {num_peaks}; pass more")
        self._may_hold_peaks = self._region(min_boundary_distance, target_shape)
        if mask is not None:
            given = np.asarray(mask)
            if given.shape != self.shape:
                raise InputError(f"mask of shape {given.shape}: the score maps have shape {self.shape}")
            self._may_hold_peaks &= given.astype(bool)

    @abstractmethod
    def find_candidates(self, scores: NDArray[Any], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the candidates of one score map.

        Parameters
        ----------
        scores : ndarray
            The score map, with −∞ in place of NaN.
        allowed : ndarray of bool
            Where peaks may be, by score limits, boundary distance and mask. Candidates elsewhere are dropped.

        Returns
        -------
        ndarray of int
            Flat indices of candidates, each once, in any order; a function of the score map alone.
        """

    @property
    def shareable(self) -> bool:
        """False: a state belongs to one process."""
        return False

    def init_state(self) -> PeakState:
        """Return a state without candidates."""
        return PeakState(
            np.empty(0, dtype=self.dtype),
            np.empty((0, len(self.shape)), dtype=np.int64),
            np.empty(0, dtype=np.int32),
            register_for(self.rotations, len(self.shape)),
        )

    def __call__(
        self,
        state: PeakState,
        scores: ArrayLike,
        rotation_matrix: ArrayLike | None,
        *,
        rotation_id: int | None = None,
        rotation_ids: NDArray[Any] | None = None,
        **kwargs: Any,
    ) -> PeakState:
        """Fold the candidates of one score map.

        Parameters
        ----------
        state : PeakState
            Updated in place and returned.
        scores : array_like
            Real scores of the analyzer's shape.
        rotation_matrix : array_like of shape (d, d)
            The rotation of all positions; not used with `rotation_ids`.
        rotation_id : int, optional
            Its row in `rotations`, to save the search for it.
        rotation_ids : ndarray of int, optional
            Rotation of every position, a row of `rotations`, as `MaxScoreOverRotations` gives it: calls the
            peaks of a maximum over rotations. A position with -1 is no candidate.
        """
        warn_unknown(type(self).__name__, kwargs)
        checked = checked_scores(scores, self.shape, self.dtype)
        clean = np.where(np.isnan(checked), self.dtype.type(-np.inf), checked)
        allowed = self._may_hold_peaks & (clean >= self.min_score) & (clean <= self.max_score)
        allowed &= clean > -np.inf
        if rotation_ids is not None:
            by_position = self._checked_ids(rotation_ids)
            allowed &= by_position >= 0
        found = self.find_candidates(clean, allowed)
        found = found[allowed.reshape(-1)[found]]
        flat = clean.reshape(-1)
        if len(state.scores) == self.num_candidates:
            found = found[flat[found] >= state.scores[-1]]  # the last is the lowest
        found = strongest(flat, found, self.num_candidates)
        if rotation_ids is None:
            ids = np.full(len(found), state.register.identify(rotation_matrix, rotation_id), dtype=np.int32)
        else:
            ids = by_position.reshape(-1)[found]
        positions = np.stack(np.unravel_index(found, self.shape), axis=1) + self.offset
        self._fold(state, flat[found] + 0.0, positions, ids)  # adding zero: no -0.0
        return state

    def result(self, state: PeakState, **kwargs: Any) -> PeakCandidates:
        """Return the candidates with canonical rotation ids."""
        warn_unknown(type(self).__name__, kwargs)
        mapping, lookup = state.register.table()
        return PeakCandidates(
            state.scores.copy(),
            state.positions.copy(),
            relabel(state.rotations.copy(), lookup),
            mapping,
            self.num_candidates,
        )

    @classmethod
    def merge(cls, results: Iterable[PeakCandidates | None], **kwargs: Any) -> PeakCandidates:
        """Unite candidates of the same or of different tiles; see `AbstractAnalyzer.merge`."""
        warn_unknown(cls.__name__, kwargs)
        return merge_candidates(present(results))

    def peaks(self, result: PeakCandidates) -> Peaks:
        """Return the peaks among candidates: call it once, after the last merge.

        Parameters
        ----------
        result : PeakCandidates
            What `result` or `merge` returned.

        Returns
        -------
        Peaks
            At most `num_peaks`, more than `min_distance` apart, best first.
        """
        return suppress_neighbours(result, self.min_distance, self.num_peaks)

    def resume(self, result: PeakCandidates) -> PeakState:
        """Return a state that goes on from a result of this peak caller."""
        if result.capacity != self.num_candidates:
            raise InputError(
                f"resume: the result keeps {result.capacity} candidates; pass num_candidates={result.capacity}"
            )
        register = register_for(self.rotations, len(self.shape), result.mapping)
        return PeakState(result.scores.copy(), result.positions.copy(), result.rotations.copy(), register)

    def to_arrays(self, result: PeakCandidates) -> dict[str, NDArray[Any]]:
        """Return scores, positions, rotations, capacity, and the table (its digest, if it is `rotations`)."""
        return {
            "scores": result.scores,
            "positions": result.positions,
            "rotations": result.rotations,
            "capacity": np.array([result.capacity], dtype=np.int64),
            **table_to_arrays(result.mapping, self.rotations),
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> PeakCandidates:
        """Return the result that `to_arrays` took apart."""
        return PeakCandidates(
            arrays["scores"],
            arrays["positions"],
            arrays["rotations"],
            table_from_arrays(arrays, self.rotations),
            int(arrays["capacity"][0]),
        )

    def _fold(self, state: PeakState, scores: NDArray[Any], positions: Positions, ids: Ids) -> None:
        if not len(scores):
            return
        scores = np.concatenate([state.scores, scores])
        positions = np.concatenate([state.positions, positions])
        ids = np.concatenate([state.rotations, ids])
        kept = best_candidates(scores, positions, state.register.ranks[ids], self.num_candidates)
        state.scores, state.positions, state.rotations = scores[kept], positions[kept], ids[kept]

    def _region(self, min_boundary_distance: int, target_shape: tuple[int, ...] | None) -> NDArray[np.bool_]:
        """Return where in the tile a position is far enough from the edge of the target."""
        if not 0 <= min_boundary_distance < np.inf:
            raise InputError(f"min_boundary_distance {min_boundary_distance}: expected a number not below 0")
        if target_shape is None:
            start, stop = self.offset, self.offset + self.shape
        else:
            start, stop = np.zeros_like(self.offset), np.array(checked_shape(target_shape))
            if len(stop) != len(self.shape):
                raise InputError(f"target_shape {target_shape}: the score maps have {len(self.shape)} axes")
        region = np.ones(self.shape, dtype=bool)
        for axis, size in enumerate(self.shape):
            coordinate = np.arange(size) + self.offset[axis]
            inside = (coordinate >= start[axis] + min_boundary_distance) & (
                coordinate < stop[axis] - min_boundary_distance
            )
            region &= inside.reshape([-1 if other == axis else 1 for other in range(len(self.shape))])
        return region

    def _checked_ids(self, rotation_ids: NDArray[Any]) -> Ids:
        if self.rotations is None:
            raise InputError("rotation_ids: the peak caller has no rotation set; pass rotations= to it")
        given = np.asarray(rotation_ids)
        if given.shape != self.shape or given.dtype.kind not in "iu" or given.max() >= len(self.rotations):
            raise InputError(
                f"rotation_ids of shape {given.shape}, dtype {given.dtype}: expected integers of shape "
                f"{self.shape} below {len(self.rotations)}"
            )
        return given.astype(np.int32, copy=False)
