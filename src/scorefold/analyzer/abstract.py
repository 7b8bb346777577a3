"""The interface of every analyzer: a fold over score maps whose results form a commutative monoid."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError, ScorefoldWarning

State = TypeVar("State")
Result = TypeVar("Result")
Item = TypeVar("Item")


class AbstractAnalyzer(ABC, Generic[State, Result]):
    """Fold of a stream of score maps into a small state.

    Two forms are kept apart. A *state* is a set of working buffers that `__call__` may update in place. A
    *result* is the canonical form of a state: it depends on *what* was folded, not on the order, and it is
    what is merged, stored and handed to users. Results form a commutative monoid under `merge`:

    - associative and commutative, bit for bit, so that every chunking and every merge tree of one stream
      gives the bytes of one serial pass;
    - ``result(init_state())`` is the identity;
    - the inputs of `merge` are left alone.

    `scorefold.testing.AnalyzerTests` proves these laws for an analyzer, a third party's included.
    """

    @abstractmethod
    def init_state(self) -> State:
        """Return the state that has folded nothing."""

    @abstractmethod
    def __call__(
        self, state: State, scores: NDArray[Any], rotation_matrix: NDArray[Any], **kwargs: Any
    ) -> State:
        """Fold one score map into a state.

        Parameters
        ----------
        state : State
            What `init_state`, `resume` or an earlier call returned; its buffers may be updated in place.
        scores : ndarray
            Scores of all positions of one tile at one rotation; never modified.
        rotation_matrix : ndarray of shape (d, d)
            The rotation of the template, on array-axis vectors; never modified.
        **kwargs
            `rotation_id`, the row of `rotation_matrix` in the job's rotation set, if the caller knows it.

        Returns
        -------
        State
            The state to go on with.
        """

    @abstractmethod
    def result(self, state: State, **kwargs: Any) -> Result:
        """Return the canonical form of a state, independent of the state's later fate."""

    @abstractmethod
    def merge(self, results: Iterable[Result | None], **kwargs: Any) -> Result:
        """Unite results of disjoint parts of a stream.

        Parameters
        ----------
        results : iterable of Result or None
            At least one result; ``None`` stands for a part without a result and is ignored anywhere.

        Returns
        -------
        Result
            The result of all parts together; with a single one, that result.

        Raises
        ------
        InputError
            If there is no result at all, or the results cannot belong together.
        """

    @abstractmethod
    def resume(self, result: Result) -> State:
        """Return a state that goes on folding from a result; the result is left alone."""

    @abstractmethod
    def to_arrays(self, result: Result) -> dict[str, NDArray[Any]]:
        """Return a result as named plain arrays (no objects), to be stored."""

    @abstractmethod
    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Result:
        """Return the result that `to_arrays` took apart."""

    @property
    @abstractmethod
    def shareable(self) -> bool:
        """Whether several processes may fold into one state at the same time."""


def present(results: Iterable[Item | None]) -> list[Item]:
    """Return the results that are not ``None``; raise `InputError` if there are none."""
    found = [result for result in results if result is not None]
    if not found:
        raise InputError("merge: no results given; pass at least one (an empty part is result(init_state()))")
    return found


def warn_unknown(owner: str, keywords: Mapping[str, Any]) -> None:
    """Warn about every keyword that an analyzer accepted but does not know."""
    for name in keywords:
        warnings.warn(f"{owner}: unknown keyword {name!r} is ignored", ScorefoldWarning, stacklevel=3)


def checked_shape(shape: Iterable[int]) -> tuple[int, ...]:
    """Return an array shape as a tuple of positive integers or raise `InputError`."""
    given = tuple(shape)
    if not given or not all(isinstance(size, int | np.integer) and size > 0 for size in given):
        raise InputError(f"shape {given}: expected one positive integer per axis")
    return tuple(int(size) for size in given)


def checked_offset(offset: Any, dimensions: int) -> NDArray[np.int64]:
    """Return a tile's origin in target coordinates as (d,) int64, zero by default, or raise `InputError`."""
    if offset is None:
        return np.zeros(dimensions, dtype=np.int64)
    given = np.asarray(offset)
    if given.shape != (dimensions,) or not np.array_equal(given, np.rint(given)):
        raise InputError(f"offset {offset}: expected {dimensions} integers, one per axis")
    return given.astype(np.int64)


def checked_scores(scores: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a score map in an analyzer's dtype, copied only if need be, or raise `InputError`."""
    given = np.asarray(scores)
    if given.shape != shape:
        raise InputError(f"scores of shape {given.shape}: the analyzer was made for shape {shape}")
    if given.dtype.kind not in "biuf":
        raise InputError(f"scores of dtype {given.dtype}: expected real numbers")
    with np.errstate(over="ignore"):
        return given.astype(dtype, copy=False)


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the floating dtype of an analyzer's scores or raise `InputError`."""
    given: np.dtype[Any] = np.dtype(dtype)
    if given not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"dtype {given}: scores are kept as float32 or float64")
    return given
