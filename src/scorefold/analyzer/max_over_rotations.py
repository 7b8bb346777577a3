"""The best score of every position over all rotations, and the rotation that gave it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.managers import SharedMemoryManager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from scorefold.analyzer import functional
from scorefold.analyzer.abstract import (
    AbstractAnalyzer,
    checked_dtype,
    checked_offset,
    checked_scores,
    checked_shape,
    present,
    warn_unknown,
)
from scorefold.analyzer.buffers import (
    FileLock,
    SharedArray,
    SharedObservedRotations,
    ThreadLock,
    allocate_memmap,
)
from scorefold.analyzer.functional import FunctionalState
from scorefold.analyzer.max_score_state import (
    NO_ROTATION,
    MaxScoreResult,
    MaxScoreState,
    SharedMaxScoreState,
    fold_scores,
)
from scorefold.analyzer.pasting import bounding_box
from scorefold.analyzer.rotation_table import (
    FixedRotations,
    ObservedRotations,
    RotationRegister,
    RotationTable,
    check_resumable,
    checked_matrix,
    checked_rotations,
    rank_rotations,
    relabel,
    table_from_arrays,
    table_to_arrays,
    unite_tables,
)
from scorefold.errors import InputError


class MaxScoreOverRotations(AbstractAnalyzer[MaxScoreState | FunctionalState, MaxScoreResult]):
    """Best score of every position over all rotations, and which rotation gave it.

    Parameters
    ----------
    shape : tuple of int
        Shape of the score maps, (y, x) or (z, y, x).
    offset : array_like of int, shape (d,), optional
        Target coordinates of the score maps' first position, zero by default. `merge` pastes by it.
    score_threshold : float, optional
        A score counts only if it exceeds this, zero by default. May be ``-inf``.
    shm_handler : multiprocessing.managers.SharedMemoryManager, optional
        Keeps states in its shared memory: a state sent to another process is the same state. By default
        memory is not shared.
    use_memmap : bool, optional
        Keep states and results in temporary files (see `tempfile.gettempdir`), which vanish with them.
    inversion_mapping : bool, optional
        Give every observed rotation a new id without looking the matrix up, for streams in which each is seen
        once. A rotation seen again is still counted right, at the cost of memory. Without effect if
        `rotations` is given.
    jax_mode : bool, optional
        Never modify a state: `__call__` is a pure function of arrays and can be compiled by ``jax.jit``.
        Without JAX, NumPy does the same. A compiled call needs `rotation_id` if `rotations` is given. If it
        is not, the list of rotations seen grows and JAX compiles anew for each.
    rotations : array_like of shape (n, d, d), optional
        The job's rotation set; a rotation's id is its row. By default rotations become known as they are
        seen, and ids are ranks in the lexicographic order of the matrices seen.
    dtype : dtype, optional
        float32, the default, or float64. Scores are converted to it before they are compared.
    thread_safe : bool, optional
        Allow several threads, and with `shm_handler` processes, to fold into one state at a time, True by
        default.
    **kwargs
        None is known; each is ignored with a warning.

    Notes
    -----
    At equal scores the lower id wins, whichever came first. NaN never counts. That makes results the same
    bytes for any order of score maps and any tree of merges. One exception is inherent: results of
    *different* rotation sets can be merged, but ties that were decided by the rows of either set are not
    decided again.

    Examples
    --------
    >>> import numpy as np
    >>> from scorefold.analyzer import MaxScoreOverRotations
    >>> analyzer = MaxScoreOverRotations(shape=(50, 50))

    Score maps of several rotations, as a search produces them:

    >>> state = analyzer.init_state()
    >>> for rotation_number in range(10):
    ...     scores = np.random.rand(50, 50)
    ...     rotation = np.random.rand(scores.ndim, scores.ndim)
    ...     state = analyzer(state, scores=scores, rotation_matrix=rotation)

    The result is the tuple of the maximum scores, the offset for `merge`, the ids of the rotations that gave
    the maximum, and the mapping of ids to rotation matrices:

    >>> results = analyzer.result(state)
    >>> optimal_score = results[0].max()
    >>> optimal_translation = np.where(results[0] == results[0].max())
    >>> optimal_rotation = results[2][optimal_translation]
    >>> results[3][int(optimal_rotation[0])].shape
    (2, 2)

    `PeakCaller` and its subclasses find more than one peak.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        offset: ArrayLike | None = None,
        score_threshold: float = 0,
        shm_handler: SharedMemoryManager | None = None,
        use_memmap: bool = False,
        inversion_mapping: bool = False,
        jax_mode: bool = False,
        *,
        rotations: ArrayLike | RotationTable | None = None,
        dtype: DTypeLike = np.float32,
        thread_safe: bool = True,
        **kwargs: Any,
    ) -> None:
        warn_unknown(type(self).__name__, kwargs)
        self.shape = checked_shape(shape)
        self.offset = checked_offset(offset, len(self.shape))
        self.dtype = checked_dtype(dtype)
        self.score_threshold = float(self.dtype.type(score_threshold)) + 0.0
        self.rotations = checked_rotations(rotations, len(self.shape))
        self._fixed = None if self.rotations is None else FixedRotations(self.rotations)
        if np.isnan(self.score_threshold):
            raise InputError("score_threshold nan: no score exceeds it; pass a number or -inf")
        if sum((shm_handler is not None, bool(use_memmap), bool(jax_mode))) > 1:
            raise InputError("shm_handler, use_memmap and jax_mode exclude each other; pass one of them")
        self._shm_handler = shm_handler
        self._is_shared = shm_handler is not None
        self._use_memmap = use_memmap
        self._inversion_mapping = inversion_mapping
        self._jax_mode = jax_mode
        self._thread_safe = thread_safe

    @property
    def shareable(self) -> bool:
        """Whether several processes may fold into one state: with `shm_handler`, unless not `thread_safe`."""
        return self._is_shared and self._thread_safe

    def init_state(self) -> MaxScoreState | FunctionalState:
        """Return a state without scores: filled with `score_threshold` and -1."""
        if self._jax_mode:
            xp = functional.array_namespace()
            return FunctionalState(
                xp.full(self.shape, self.score_threshold, dtype=self.dtype),
                xp.full(self.shape, NO_ROTATION, dtype=np.int32),
                RotationTable.empty(len(self.shape)).matrices,
            )
        lock = self._new_lock()
        state = self._allocate_state(self._new_register(lock), lock)
        state.scores.fill(self.score_threshold)
        state.rotations.fill(NO_ROTATION)
        return state

    def __call__(
        self,
        state: MaxScoreState | FunctionalState,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any],
        *,
        rotation_id: int | None = None,
        **kwargs: Any,
    ) -> MaxScoreState | FunctionalState:
        """Fold the score map of one rotation.

        Parameters
        ----------
        state : MaxScoreState or FunctionalState
            Updated in place and returned; in `jax_mode` left alone.
        scores : ndarray
            Real scores of the analyzer's shape.
        rotation_matrix : ndarray of shape (d, d)
            Finite; not required to be orthonormal.
        rotation_id : int, optional
            Its row in `rotations`, to save the search for it. Without effect if the analyzer has no
            `rotations`.

        Raises
        ------
        InputError
            If a shape is wrong, or the rotation is not in `rotations` or not its row `rotation_id`.
        """
        warn_unknown(type(self).__name__, kwargs)
        if isinstance(state, FunctionalState):
            return self._fold_functionally(state, scores, rotation_matrix, rotation_id)
        checked = checked_scores(scores, self.shape, self.dtype)
        with state.lock:
            fold_scores(state, checked, state.register.identify(rotation_matrix, rotation_id))
        return state

    @staticmethod
    def correct_background(scores: ArrayLike, mean: ArrayLike = 0, inv_std: ArrayLike = 1) -> NDArray[Any]:
        """Return flat-field corrected scores f' = (f − mean) · inv_std.

        Correct a result after the last merge, never the parts: a maximum of parts that were corrected each by
        its own background depends on how the work was cut.

        Parameters
        ----------
        scores : array_like
            Scores f; not modified.
        mean, inv_std : array_like, optional
            Background and reciprocal of its standard deviation; they broadcast against the scores.

        Returns
        -------
        ndarray
            The corrected scores.

        Examples
        --------
        >>> MaxScoreOverRotations.correct_background([1.0, 3.0], mean=1.0, inv_std=0.5)
        array([0., 1.])
        """
        corrected: NDArray[Any] = np.multiply(np.subtract(scores, mean), inv_std)
        return corrected

    def result(self, state: MaxScoreState | FunctionalState, **kwargs: Any) -> MaxScoreResult:
        """Return (scores, offset, rotations, mapping) with canonical ids; see `MaxScoreResult`."""
        warn_unknown(type(self).__name__, kwargs)
        if isinstance(state, FunctionalState):
            return self._functional_result(state)
        with state.lock:
            mapping, lookup = state.register.table()
            scores = np.add(state.scores, 0.0, out=self._allocate(self.shape, self.dtype))  # no -0.0
            rotations = self._allocate(self.shape, np.dtype(np.int32))
            rotations[...] = relabel(state.rotations, lookup)
        return MaxScoreResult(scores, self.offset.copy(), rotations, mapping, self.score_threshold)

    @classmethod
    def merge(
        cls, results: Iterable[MaxScoreResult | None], *, use_memmap: bool = False, **kwargs: Any
    ) -> MaxScoreResult:
        """Unite results of the same or of different tiles, over the same or different rotations.

        Parameters
        ----------
        results : iterable of MaxScoreResult or None
            At least one. Plain tuples (scores, offset, rotations, mapping) pass for results with threshold
            zero.
        use_memmap : bool, optional
            Keep the merged arrays in temporary files, which vanish with them.

        Returns
        -------
        MaxScoreResult
            The bounding box of the tiles; where tiles overlap, the best score; where none is, the fill
            values.

        Raises
        ------
        InputError
            If there is no result, or dimensions or score thresholds differ.
        """
        warn_unknown(cls.__name__, kwargs)
        parts = [
            part if isinstance(part, MaxScoreResult) else MaxScoreResult(*part) for part in present(results)
        ]
        threshold = parts[0].score_threshold
        if any(part.score_threshold != threshold for part in parts):
            thresholds = sorted({part.score_threshold for part in parts})
            raise InputError(
                f"merge: results of score thresholds {thresholds}; search again with one of them"
            )
        offset, shape, places = bounding_box([p.offset for p in parts], [p.scores.shape for p in parts])
        mapping, lookups = unite_tables([part.mapping for part in parts])
        allocate = allocate_memmap if use_memmap else np.empty
        scores = allocate(shape, np.result_type(*(part.scores for part in parts)))
        rotations = allocate(shape, np.dtype(np.int32))
        scores.fill(threshold)
        rotations.fill(NO_ROTATION)
        for part, place, lookup in zip(parts, places, lookups, strict=True):
            ids = relabel(part.rotations, lookup)
            better = functional.improves(scores[place], rotations[place], part.scores, ids < rotations[place])
            better &= ids != NO_ROTATION  # a caller's own arithmetic may have raised scores of no rotation
            np.copyto(scores[place], part.scores, where=better)
            np.copyto(rotations[place], ids, where=better)
        scores += 0.0  # and left -0.0
        return MaxScoreResult(scores, offset, rotations, mapping, threshold)

    def resume(self, result: MaxScoreResult) -> MaxScoreState | FunctionalState:
        """Return a state that goes on from a result of this analyzer."""
        if result.scores.shape != self.shape or not np.array_equal(result.offset, self.offset):
            raise InputError(
                f"resume: result of shape {result.scores.shape} at {result.offset.tolist()}; the analyzer's "
                f"tile has shape {self.shape} at {self.offset.tolist()}"
            )
        check_resumable(result.mapping, self.rotations)
        state = self.init_state()
        if isinstance(state, FunctionalState):
            xp = functional.array_namespace()
            matrices = state.matrices if self.rotations is not None else result.mapping.matrices
            return FunctionalState(
                xp.asarray(result.scores, dtype=self.dtype, copy=True),
                xp.asarray(result.rotations, copy=True),
                matrices,
            )
        with state.lock:
            if isinstance(state.register, ObservedRotations):
                state.register.extend(result.mapping.matrices)
            np.copyto(state.scores, result.scores)
            np.copyto(state.rotations, result.rotations)
        return state

    def to_arrays(self, result: MaxScoreResult) -> dict[str, NDArray[Any]]:
        """Return scores, offset, rotations, threshold, and the table (its digest, if it is `rotations`)."""
        return {
            "scores": result.scores,
            "offset": result.offset,
            "rotations": result.rotations,
            "score_threshold": np.array([result.score_threshold]),
            **table_to_arrays(result.mapping, self.rotations),
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> MaxScoreResult:
        """Return the result that `to_arrays` took apart."""
        return MaxScoreResult(
            arrays["scores"],
            arrays["offset"],
            arrays["rotations"],
            table_from_arrays(arrays, self.rotations),
            float(arrays["score_threshold"][0]),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shm_handler": None}  # a manager lives in one process

    def _new_lock(self) -> AbstractContextManager[None]:
        if not self._thread_safe:
            return nullcontext()
        return FileLock() if self._is_shared else ThreadLock()

    def _new_register(self, lock: AbstractContextManager[None]) -> RotationRegister:
        if self._fixed is not None:
            return self._fixed
        if isinstance(lock, FileLock):
            return SharedObservedRotations(len(self.shape), lock.path, each_once=self._inversion_mapping)
        return ObservedRotations(len(self.shape), each_once=self._inversion_mapping)

    def _allocate_state(
        self, register: RotationRegister, lock: AbstractContextManager[None]
    ) -> MaxScoreState:
        if not self._is_shared:
            scores = self._allocate(self.shape, self.dtype)
            return MaxScoreState(scores, self._allocate(self.shape, np.dtype(np.int32)), register, lock)
        if self._shm_handler is None:
            raise InputError(
                "shm_handler: is in another process; make the state where the manager was started"
            )
        shared = (
            SharedArray.allocate(self._shm_handler, self.shape, self.dtype),
            SharedArray.allocate(self._shm_handler, self.shape, np.dtype(np.int32)),
        )
        return SharedMaxScoreState(shared[0].array, shared[1].array, register, lock, shared)

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        return allocate_memmap(shape, dtype) if self._use_memmap else np.empty(shape, dtype)

    def _fold_functionally(
        self, state: FunctionalState, scores: Any, rotation_matrix: Any, rotation_id: Any
    ) -> FunctionalState:
        traced = functional.is_traced(rotation_matrix) or functional.is_traced(rotation_id)
        if functional.is_traced(scores):
            converted = scores.astype(self.dtype)
        else:
            converted = checked_scores(scores, self.shape, self.dtype)
        if self._fixed is None:
            rotation_id = None
            if not traced:
                rotation_matrix = checked_matrix(rotation_matrix, len(self.shape))
        elif not traced:
            rotation_id = self._fixed.identify(rotation_matrix, rotation_id)
        elif rotation_id is None:
            raise InputError(
                "rotation_matrix: unknown while JAX compiles; pass rotation_id, its row in the set"
            )
        return functional.fold(functional.array_namespace(), state, converted, rotation_matrix, rotation_id)

    def _functional_result(self, state: FunctionalState) -> MaxScoreResult:
        rotations = np.array(state.rotations)
        if self.rotations is not None:
            mapping = self.rotations
        else:
            matrices = np.asarray(state.matrices, dtype=np.float64) + 0.0
            mapping, lookup = rank_rotations(matrices)
            rotations = relabel(rotations, lookup)
        scores = np.asarray(state.scores) + 0.0
        return MaxScoreResult(
            scores.astype(self.dtype, copy=False),
            self.offset.copy(),
            rotations,
            mapping,
            self.score_threshold,
        )
