"""What a stream of images says besides the scores, and analyzers whose state is a set of sums."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.analyzer.abstract import AbstractAnalyzer, present, warn_unknown
from scorefold.errors import InputError

Sums = dict[str, NDArray[Any]]
Result = TypeVar("Result")

IMAGE_KEYWORDS = frozenset({"rotation_id", "image_id", "labels", "valid"})
"""Keywords that go with every image of a stream; an analyzer takes those it needs and passes over the others."""


def warn_unless_of_image(owner: str, keywords: Mapping[str, Any]) -> None:
    """Warn about every keyword that does not belong to a stream of images."""
    warn_unknown(owner, {name: value for name, value in keywords.items() if name not in IMAGE_KEYWORDS})


def integer_levels(scores: ArrayLike, shape: tuple[int, ...], valid: ArrayLike | None) -> NDArray[np.int64]:
    """Return whole numbers as int64, 0 where they are not valid, or raise `InputError`."""
    given = np.asarray(scores)
    if given.shape != shape:
        raise InputError(f"image of shape {given.shape}: the analyzer was made for shape {shape}")
    if given.dtype.kind not in "biuf":
        raise InputError(f"image of dtype {given.dtype}: expected whole numbers")
    if valid is not None:
        given = np.where(checked_mask(valid, shape, "valid"), given, given.dtype.type(0))
    if given.dtype.kind == "f" and not np.array_equal(given, np.rint(given)):
        raise InputError(
            "image with fractions or NaN: round it to a grid of whole numbers, mark pixels not valid"
        )
    if given.dtype.itemsize >= 4 and given.size and max(-int(given.min()), int(given.max())) >= 1 << 31:
        raise InputError("image with levels of 2³¹ or more: round it to a coarser grid")
    return given.astype(np.int64)


def checked_mask(mask: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    """Return a bool array of a shape, a scalar spread over it, or raise `InputError`."""
    given = np.asarray(mask)
    if given.dtype != np.bool_:
        raise InputError(f"{name} of dtype {given.dtype}: expected bool")
    if given.shape not in ((), shape):
        raise InputError(f"{name} of shape {given.shape}: expected the shape of the scores, {shape}")
    return np.broadcast_to(given, shape)


def checked_labels(labels: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return labels as `checked_mask` does; they must be there."""
    if labels is None:
        raise InputError("no labels given: pass labels=, True where anomalous")
    return checked_mask(labels, shape, "labels")


class SummingAnalyzer(AbstractAnalyzer[Sums, Result]):
    """Base of analyzers whose state is a set of integer arrays that only ever grow by addition.

    A result is a `result_type` made of these arrays as keywords; it keeps them as attributes.
    """

    result_type: ClassVar[type[Any]]

    @abstractmethod
    def _zeros(self) -> Sums:
        """Return the arrays of an empty state."""

    def init_state(self) -> Sums:
        """Return sums of nothing."""
        return self._zeros()

    def result(self, state: Sums, **kwargs: Any) -> Result:
        """Return the sums, copied."""
        warn_unknown(type(self).__name__, kwargs)
        return self.from_arrays({name: array.copy() for name, array in state.items()})

    def merge(self, results: Iterable[Result | None], **kwargs: Any) -> Result:
        """Return the sums of all results; see `AbstractAnalyzer.merge`."""
        warn_unknown(type(self).__name__, kwargs)
        first, *others = present(results)
        total = self.resume(first)
        for other in others:
            for name, array in self.to_arrays(other).items():
                if array.shape != total[name].shape:
                    raise InputError(
                        f"merge: {name} of shapes {total[name].shape} and {array.shape} cannot be added"
                    )
                total[name] += array
        return self.from_arrays(total)

    def resume(self, result: Result) -> Sums:
        """Return a copy of the sums to go on from."""
        return {name: array.copy() for name, array in self.to_arrays(result).items()}

    def to_arrays(self, result: Result) -> Sums:
        """Return the sums by name."""
        return {name: getattr(result, name) for name in self._zeros()}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Result:
        """Return the result that `to_arrays` took apart."""
        result: Result = self.result_type(**arrays)
        return result

    @property
    def shareable(self) -> bool:
        """False: two processes that add to one sum at the same time would lose a term."""
        return False
