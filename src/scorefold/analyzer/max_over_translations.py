"""The best score of every rotation over all positions, and the position that gave it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
from scorefold.analyzer.rotation_table import (
    RotationRegister,
    RotationTable,
    checked_rotations,
    register_for,
    table_from_arrays,
    table_to_arrays,
    unite_tables,
)
from scorefold.errors import InputError


@dataclass(eq=False)
class MaxTranslationState:
    """Best score and position by the register's rotation id."""

    register: RotationRegister
    best: dict[int, tuple[float, tuple[int, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class MaxTranslationResult:
    """Result of `MaxScoreOverTranslations`: one row for each rotation of `mapping`.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Best score of each rotation, the score threshold if no score exceeds it.
    positions : ndarray of int64, shape (n, d)
        Target coordinates of that score; zeros if there is none.
    mapping : RotationTable
        Rotation matrices by id, the row.
    score_threshold : float
        The value of `scores` where there is no position.
    """

    scores: NDArray[Any]
    positions: NDArray[np.int64]
    mapping: RotationTable
    score_threshold: float

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which rotations have a score above the threshold."""
        above: NDArray[np.bool_] = self.scores > self.score_threshold
        return above


class MaxScoreOverTranslations(AbstractAnalyzer[MaxTranslationState, MaxTranslationResult]):
    """Best score of every rotation over all positions, and where it is.

    Parameters
    ----------
    shape : tuple of int
        Shape of the score maps, (y, x) or (z, y, x).
    offset : array_like of int, shape (d,), optional
        Target coordinates of the score maps' first position, zero by default.
    score_threshold : float, optional
        A score counts only if it exceeds this, zero by default. May be ``-inf``.
    rotations : array_like of shape (n, d, d), optional
        The job's rotation set; a rotation's id is its row. By default ids are ranks in the lexicographic
        order of the matrices seen.
    dtype : dtype, optional
        float32, the default, or float64.
    **kwargs
        None is known; each is ignored with a warning.

    Notes
    -----
    At equal scores the position that comes first in lexicographic order of target coordinates wins.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = MaxScoreOverTranslations(shape=(2, 2), offset=(10, 20))
    >>> state = analyzer(analyzer.init_state(), scores=[[0.1, 0.3], [0.3, 0.2]], rotation_matrix=np.eye(2))
    >>> result = analyzer.result(state)
    >>> result.scores, result.positions
    (array([0.3], dtype=float32), array([[10, 21]]))
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        offset: ArrayLike | None = None,
        score_threshold: float = 0,
        *,
        rotations: ArrayLike | RotationTable | None = None,
        dtype: DTypeLike = np.float32,
        **kwargs: Any,
    ) -> None:
        warn_unknown(type(self).__name__, kwargs)
        self.shape = checked_shape(shape)
        self.offset = checked_offset(offset, len(self.shape))
        self.dtype = checked_dtype(dtype)
        self.score_threshold = float(self.dtype.type(score_threshold)) + 0.0
        self.rotations = checked_rotations(rotations, len(self.shape))
        if np.isnan(self.score_threshold):
            raise InputError("score_threshold nan: no score exceeds it; pass a number or -inf")

    @property
    def shareable(self) -> bool:
        """False: a state belongs to one process."""
        return False

    def init_state(self) -> MaxTranslationState:
        """Return a state that has seen no rotation."""
        return MaxTranslationState(register_for(self.rotations, len(self.shape)))

    def __call__(
        self,
        state: MaxTranslationState,
        scores: ArrayLike,
        rotation_matrix: ArrayLike,
        *,
        rotation_id: int | None = None,
        **kwargs: Any,
    ) -> MaxTranslationState:
        """Fold the score map of one rotation; see `MaxScoreOverRotations.__call__`."""
        warn_unknown(type(self).__name__, kwargs)
        checked = checked_scores(scores, self.shape, self.dtype)
        found_id = state.register.identify(rotation_matrix, rotation_id)
        flat = int(np.argmax(np.where(np.isnan(checked), -np.inf, checked)))
        index = np.unravel_index(flat, self.shape)
        score = float(checked[index]) + 0.0
        if score > self.score_threshold:
            position = tuple(int(step + origin) for step, origin in zip(index, self.offset, strict=True))
            held_score, held_position = state.best.get(found_id, (self.score_threshold, position))
            if score > held_score or (score == held_score and position < held_position):
                state.best[found_id] = (score, position)
        return state

    def result(self, state: MaxTranslationState, **kwargs: Any) -> MaxTranslationResult:
        """Return scores and positions by canonical rotation id."""
        warn_unknown(type(self).__name__, kwargs)
        mapping, lookup = state.register.table()
        ids = np.fromiter(state.best, dtype=np.intp, count=len(state.best))
        scores = np.array([score for score, _ in state.best.values()], dtype=self.dtype)
        positions = np.array([place for _, place in state.best.values()], dtype=np.int64)
        return _best_by_rotation(
            ids if lookup is None else lookup[ids],
            scores,
            positions.reshape(-1, len(self.shape)),
            mapping,
            self.score_threshold,
        )

    @classmethod
    def merge(cls, results: Iterable[MaxTranslationResult | None], **kwargs: Any) -> MaxTranslationResult:
        """Unite results of the same or of different tiles; see `AbstractAnalyzer.merge`."""
        warn_unknown(cls.__name__, kwargs)
        parts = present(results)
        thresholds = {part.score_threshold for part in parts}
        if len(thresholds) > 1:
            raise InputError(f"merge: results of thresholds {sorted(thresholds)}; search again with one")
        mapping, lookups = unite_tables([part.mapping for part in parts])
        ids = [
            np.flatnonzero(part.found) if lookup is None else lookup[part.found]
            for part, lookup in zip(parts, lookups, strict=True)
        ]
        return _best_by_rotation(
            np.concatenate(ids),
            np.concatenate([part.scores[part.found] for part in parts]),
            np.concatenate([part.positions[part.found] for part in parts]),
            mapping,
            parts[0].score_threshold,
        )

    def resume(self, result: MaxTranslationResult) -> MaxTranslationState:
        """Return a state that goes on from a result."""
        state = MaxTranslationState(register_for(self.rotations, len(self.shape), result.mapping))
        for found_id in np.flatnonzero(result.found).tolist():
            state.best[found_id] = (
                float(result.scores[found_id]),
                tuple(result.positions[found_id].tolist()),
            )
        return state

    def to_arrays(self, result: MaxTranslationResult) -> dict[str, NDArray[Any]]:
        """Return scores, positions, threshold, and the table (its digest, if it is `rotations`)."""
        return {
            "scores": result.scores,
            "positions": result.positions,
            "score_threshold": np.array([result.score_threshold]),
            **table_to_arrays(result.mapping, self.rotations),
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> MaxTranslationResult:
        """Return the result that `to_arrays` took apart."""
        return MaxTranslationResult(
            arrays["scores"],
            arrays["positions"],
            table_from_arrays(arrays, self.rotations),
            float(arrays["score_threshold"][0]),
        )


def _best_by_rotation(
    ids: NDArray[Any],
    scores: NDArray[Any],
    positions: NDArray[np.int64],
    mapping: RotationTable,
    score_threshold: float,
) -> MaxTranslationResult:
    """Reduce scores of rotations, several for one allowed, to the table of the best."""
    order = np.lexsort((*positions.T[::-1], -scores, ids))
    best_ids, first = np.unique(ids[order], return_index=True)
    best = np.full(len(mapping), score_threshold, dtype=scores.dtype)
    places = np.zeros((len(mapping), mapping.dimensions), dtype=np.int64)
    best[best_ids] = scores[order][first]
    places[best_ids] = positions[order][first]
    return MaxTranslationResult(best, places, mapping, score_threshold)
