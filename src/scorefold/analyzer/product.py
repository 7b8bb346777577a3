"""Several analyzers folding the same stream as one."""

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from scorefold.analyzer.abstract import AbstractAnalyzer, present
from scorefold.errors import InputError


class AnalyzerProduct(AbstractAnalyzer[tuple[Any, ...], tuple[Any, ...]]):
    """Product of analyzers: every score map goes to each, states and results are tuples.

    A product of commutative monoids is one, so that the laws of `AbstractAnalyzer` hold if they hold for
    each.

    Parameters
    ----------
    *analyzers : AbstractAnalyzer
        At least one.

    Examples
    --------
    >>> import numpy as np
    >>> from scorefold.analyzer import MaxScoreOverRotations, ScoreMoments
    >>> analyzer = AnalyzerProduct(MaxScoreOverRotations(shape=(2, 2)), ScoreMoments())
    >>> state = analyzer(analyzer.init_state(), scores=np.eye(2), rotation_matrix=np.eye(2))
    >>> maximum, moments = analyzer.result(state)
    >>> float(maximum.scores.max()), moments.mean
    (1.0, 0.5)
    """

    def __init__(self, *analyzers: AbstractAnalyzer[Any, Any]) -> None:
        if not analyzers:
            raise InputError("AnalyzerProduct: no analyzers given; pass at least one")
        self.analyzers = analyzers

    def init_state(self) -> tuple[Any, ...]:
        """Return the initial state of each."""
        return tuple(analyzer.init_state() for analyzer in self.analyzers)

    def __call__(
        self, state: tuple[Any, ...], scores: NDArray[Any], rotation_matrix: NDArray[Any], **kwargs: Any
    ) -> tuple[Any, ...]:
        """Fold one score map into each state."""
        return tuple(
            analyzer(part, scores=scores, rotation_matrix=rotation_matrix, **kwargs)
            for analyzer, part in self._paired(state)
        )

    def result(self, state: tuple[Any, ...], **kwargs: Any) -> tuple[Any, ...]:
        """Return the result of each."""
        return tuple(analyzer.result(part, **kwargs) for analyzer, part in self._paired(state))

    def merge(self, results: Iterable[tuple[Any, ...] | None], **kwargs: Any) -> tuple[Any, ...]:
        """Merge the results of each; see `AbstractAnalyzer.merge`."""
        columns = zip(*present(results), strict=True)
        return tuple(analyzer.merge(column, **kwargs) for analyzer, column in self._paired(tuple(columns)))

    def resume(self, result: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a state of each to go on from."""
        return tuple(analyzer.resume(part) for analyzer, part in self._paired(result))

    def to_arrays(self, result: tuple[Any, ...]) -> dict[str, NDArray[Any]]:
        """Return the arrays of each, named ``<place>_<name>``."""
        return {
            f"{place}_{name}": array
            for place, (analyzer, part) in enumerate(self._paired(result))
            for name, array in analyzer.to_arrays(part).items()
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> tuple[Any, ...]:
        """Return the results that `to_arrays` took apart."""
        parts: list[dict[str, NDArray[Any]]] = [{} for _ in self.analyzers]
        for prefixed, array in arrays.items():
            place, name = prefixed.split("_", 1)
            parts[int(place)][name] = array
        return tuple(analyzer.from_arrays(part) for analyzer, part in self._paired(tuple(parts)))

    @property
    def shareable(self) -> bool:
        """Whether all of them are."""
        return all(analyzer.shareable for analyzer in self.analyzers)

    def _paired(self, parts: tuple[Any, ...]) -> Iterable[tuple[AbstractAnalyzer[Any, Any], Any]]:
        return zip(self.analyzers, parts, strict=True)
