"""State and result of the maximum over rotations, and the update of one by a score map."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.buffers import SharedArray
from scorefold.analyzer.rotation_table import FixedRotations, Ids, RotationRegister, RotationTable
from scorefold.compiled import compiled

NO_ROTATION = -1


@dataclass(eq=False)
class MaxScoreState:
    """Working buffers of `MaxScoreOverRotations`.

    An engine may update `scores` and `rotations` itself, under the rule of `fold_maximum`, if the analyzer
    has a fixed rotation set.

    Parameters
    ----------
    scores : ndarray
        Best score of every position so far, the score threshold where there is none.
    rotations : ndarray of int32
        The register's id of the rotation that gave it, -1 where there is none.
    register : RotationRegister
        Which rotation has which id.
    lock : context manager
        To be held while the buffers are updated.
    """

    scores: NDArray[Any]
    rotations: Ids
    register: RotationRegister
    lock: AbstractContextManager[None]


@dataclass(eq=False)
class SharedMaxScoreState(MaxScoreState):
    """The same with buffers in shared memory: pickling sends their names, not their content."""

    shared: tuple[SharedArray, SharedArray]

    def __getstate__(self) -> dict[str, Any]:
        return {"register": self.register, "lock": self.lock, "shared": self.shared}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.scores, self.rotations = (buffer.array for buffer in self.shared)


# The type arguments fix the items; the instance dictionary holds the one attribute beside them.
class MaxScoreResult(tuple[NDArray[Any], NDArray[np.int64], Ids, RotationTable]):  # noqa: SLOT001
    """Result of `MaxScoreOverRotations`: the tuple (scores, offset, rotations, mapping).

    Parameters
    ----------
    scores : ndarray
        Best score of every position, the score threshold where no score exceeds it.
    offset : (d,) int64 ndarray
        Target coordinates of the first position.
    rotations : ndarray of int32
        Id of the rotation that gave the score, -1 where there is none.
    mapping : RotationTable
        Rotation matrices by id.
    score_threshold : float, optional
        The value of `scores` where there is no rotation; not an item of the tuple.
    """

    score_threshold: float

    def __new__(
        cls,
        scores: NDArray[Any],
        offset: NDArray[np.int64],
        rotations: Ids,
        mapping: RotationTable,
        score_threshold: float = 0.0,
    ) -> Self:
        """Return the tuple of the first four arguments, with the last as attribute."""
        result = super().__new__(cls, (scores, offset, rotations, mapping))
        result.score_threshold = score_threshold
        return result

    def __getnewargs__(self) -> tuple[Any, ...]:
        return *self, self.score_threshold

    @property
    def scores(self) -> NDArray[Any]:
        """Item 0, the best scores."""
        return self[0]

    @property
    def offset(self) -> NDArray[np.int64]:
        """Item 1, the target coordinates of the first position."""
        return self[1]

    @property
    def rotations(self) -> Ids:
        """Item 2, the rotation ids."""
        return self[2]

    @property
    def mapping(self) -> RotationTable:
        """Item 3, the matrices by rotation id."""
        return self[3]


@compiled
def fold_maximum(best: NDArray[Any], rotations: Ids, scores: NDArray[Any], rotation_id: int) -> None:
    """Fold one score map into a maximum in place.

    A score replaces the best one if it is higher, or equal and its rotation id is lower. The threshold with
    which `best` starts counts as held by rotation -1, so that only a higher score replaces it. NaN replaces
    nothing.

    Parameters
    ----------
    best : 1D ndarray
        Best score of every position.
    rotations : 1D ndarray of int32
        Id of its rotation, -1 where there is none.
    scores : 1D ndarray
        The score map, in the dtype of `best`.
    rotation_id : int
        Its rotation.
    """
    for position in range(best.size):
        score = scores[position]
        held = best[position]
        better = (score > held) | ((score == held) & (rotation_id < rotations[position]))
        best[position] = score if better else held
        rotations[position] = rotation_id if better else rotations[position]


def fold_scores(state: MaxScoreState, scores: NDArray[Any], rotation_id: int) -> None:
    """Fold one score map, in the state's dtype, whose rotation has an id in the state's register."""
    given = np.ascontiguousarray(scores).reshape(-1)
    best, rotations = state.scores.reshape(-1), state.rotations.reshape(-1)
    if isinstance(state.register, FixedRotations):
        fold_maximum(best, rotations, given, rotation_id)
        return
    better = given > best
    tied = np.flatnonzero((given == best) & (rotations != NO_ROTATION))
    ranks = state.register.ranks
    better[tied] = ranks[rotation_id] < ranks[rotations[tied]]
    best[better] = given[better]
    rotations[better] = rotation_id
