"""The smallest and largest score of a stream, and its images with the highest scores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.abstract import AbstractAnalyzer, checked_shape, present, warn_unknown
from scorefold.analyzer.statistics.stream import warn_unless_of_image
from scorefold.errors import InputError


@dataclass(frozen=True)
class ScoreRange:
    """Smallest and largest score; ∞ and −∞ if there is none.

    Parameters
    ----------
    minimum, maximum : float
        Both belong to the range.
    """

    minimum: float = inf
    maximum: float = -inf

    @property
    def empty(self) -> bool:
        """Whether there was no score."""
        return self.minimum > self.maximum


class MinMax(AbstractAnalyzer[ScoreRange, ScoreRange]):
    """Smallest and largest score of all score maps; NaN is passed over.

    Parameters
    ----------
    shape : tuple of int, optional
        Shape that every score map must have; any shape by default.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = MinMax()
    >>> analyzer.result(analyzer(analyzer.init_state(), np.array([0.5, np.nan, 2.0])))
    ScoreRange(minimum=0.5, maximum=2.0)
    """

    def __init__(self, shape: tuple[int, ...] | None = None) -> None:
        self.shape = None if shape is None else checked_shape(shape)

    def init_state(self) -> ScoreRange:
        """Return the empty range."""
        return ScoreRange()

    def __call__(
        self,
        state: ScoreRange,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ScoreRange:
        """Return the range widened to the scores of one map."""
        warn_unless_of_image(type(self).__name__, kwargs)
        given = np.asarray(scores)
        if self.shape is not None and given.shape != self.shape:
            raise InputError(f"scores of shape {given.shape}: the analyzer was made for shape {self.shape}")
        # fmin and fmax pass over NaN; adding 0.0 makes -0.0, which equals 0.0 but has other bytes, 0.0.
        lowest = float(np.fmin.reduce(given, axis=None, initial=inf)) + 0.0
        highest = float(np.fmax.reduce(given, axis=None, initial=-inf)) + 0.0
        return ScoreRange(min(state.minimum, lowest), max(state.maximum, highest))

    def result(self, state: ScoreRange, **kwargs: Any) -> ScoreRange:
        """Return the range: state and result are the same immutable thing."""
        warn_unknown(type(self).__name__, kwargs)
        return state

    def merge(self, results: Iterable[ScoreRange | None], **kwargs: Any) -> ScoreRange:
        """Return the range of all results; see `AbstractAnalyzer.merge`."""
        warn_unknown(type(self).__name__, kwargs)
        parts = present(results)
        return ScoreRange(min(part.minimum for part in parts), max(part.maximum for part in parts))

    def resume(self, result: ScoreRange) -> ScoreRange:
        """Return the state to go on from."""
        return result

    def to_arrays(self, result: ScoreRange) -> dict[str, NDArray[Any]]:
        """Return minimum and maximum, float64."""
        return {"minimum": np.array([result.minimum]), "maximum": np.array([result.maximum])}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> ScoreRange:
        """Return the range that `to_arrays` took apart."""
        return ScoreRange(float(arrays["minimum"][0]), float(arrays["maximum"][0]))

    @property
    def shareable(self) -> bool:
        """False: a state is an immutable value of one process."""
        return False


@dataclass(frozen=True, eq=False)
class RankedScores:
    """Images by descending score, at equal scores by ascending id.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
        Scores of the images.
    image_ids : ndarray of int64, shape (n,)
        Their ids.
    """

    scores: NDArray[np.float64]
    image_ids: NDArray[np.int64]


class TopScores(AbstractAnalyzer[RankedScores, RankedScores]):
    """The images with the highest scores.

    Parameters
    ----------
    k : int
        Number of images kept; an image is expected once.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = TopScores(2)
    >>> state = analyzer.init_state()
    >>> for image_id, score in enumerate([0.5, 2.0, 0.5]):
    ...     state = analyzer(state, np.array(score), image_id=image_id)
    >>> analyzer.result(state)
    RankedScores(scores=array([2. , 0.5]), image_ids=array([1, 0]))
    """

    def __init__(self, k: int) -> None:
        self.k = index(k)
        if self.k < 1:
            raise InputError(f"k {k}: give the number of images to keep, 1 or more")

    def init_state(self) -> RankedScores:
        """Return the ranking of no image."""
        return RankedScores(np.empty(0), np.empty(0, np.int64))

    def __call__(
        self,
        state: RankedScores,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        *,
        image_id: int | None = None,
        **kwargs: Any,
    ) -> RankedScores:
        """Return the ranking with one more image.

        Parameters
        ----------
        state : RankedScores
            Ranking to go on from.
        scores : ndarray of any shape
            Score of the image, or a map whose maximum it is. An image of nothing but NaN is not ranked.
        rotation_matrix : ndarray, optional
            Does not matter.
        image_id : int
            Id of the image in the data set.
        **kwargs
            `IMAGE_KEYWORDS` do not matter; others are ignored with a warning.
        """
        warn_unless_of_image(type(self).__name__, kwargs)
        if image_id is None:
            raise InputError("no image id given: pass image_id=, the image's number in the data set")
        given = np.asarray(scores)
        if not given.size or np.isnan(given).all():
            return state
        score = float(np.nanmax(given)) + 0.0  # -0.0 equals 0.0 but has other bytes
        return self._ranked(np.append(state.scores, score), np.append(state.image_ids, np.int64(image_id)))

    def result(self, state: RankedScores, **kwargs: Any) -> RankedScores:
        """Return the ranking: state and result are the same immutable thing."""
        warn_unknown(type(self).__name__, kwargs)
        return state

    def merge(self, results: Iterable[RankedScores | None], **kwargs: Any) -> RankedScores:
        """Return the ranking of the images of all results; see `AbstractAnalyzer.merge`."""
        warn_unknown(type(self).__name__, kwargs)
        parts = present(results)
        return self._ranked(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.image_ids for part in parts]),
        )

    def resume(self, result: RankedScores) -> RankedScores:
        """Return the state to go on from."""
        return result

    def to_arrays(self, result: RankedScores) -> dict[str, NDArray[Any]]:
        """Return scores (float64) and image ids (int64)."""
        return {"scores": result.scores, "image_ids": result.image_ids}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> RankedScores:
        """Return the ranking that `to_arrays` took apart."""
        return RankedScores(arrays["scores"], arrays["image_ids"])

    @property
    def shareable(self) -> bool:
        """False: a state is an immutable value of one process."""
        return False

    def _ranked(self, scores: NDArray[np.float64], image_ids: NDArray[np.int64]) -> RankedScores:
        best = np.lexsort((image_ids, -scores))[: self.k]
        return RankedScores(scores[best], image_ids[best])
