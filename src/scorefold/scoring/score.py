"""What a score is, and the register of scores by name."""

import importlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.scoring.correlator import Correlator
from scorefold.scoring.template import RotatedTemplate, Template

Array = NDArray[Any]


@dataclass(frozen=True)
class TargetTile:
    """The pixels of one tile as a score sees them.

    Attributes
    ----------
    values : ndarray of float64
        Pixels standardised by the mean and standard deviation of the *whole* target; zero outside of the
        target.
    weights : ndarray of float64 or None
        The target mask on the tile, zero outside of the target; None for scores that do not use one.
    mean, std : float
        Mean and standard deviation of the whole target, in its own units.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    mean: float
    std: float

    def cut(self, start: Sequence[int], shape: Sequence[int]) -> "TargetTile":
        """Return a part of the tile, by its first pixel and its shape in pixels."""
        part = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
        weights = None if self.weights is None else self.weights[part]
        return TargetTile(self.values[part], weights, self.mean, self.std)


class Score(ABC):
    """One way to compare a template with every position of a target.

    A score factorises as *numerator × weight*: both are arrays over the positions of a tile, and the weight
    is never negative. What does not depend on the rotation is prepared once a tile, what does not depend on
    the tile once a rotation; `terms` joins the two. A subclass is registered with `register_score` and then
    usable by its name.

    Attributes
    ----------
    name : str
        Name in jobs and on the command line.
    bounded : bool
        Whether scores lie in [-1, 1].
    margin : int
        Voxels around a tile that preparing the target needs beyond the search box.
    invariant_mask : bool
        Whether the score is only defined for a mask that looks the same at every rotation.
    partial_overlap : bool
        Whether the score is defined where the template lies partly outside of the target.
    spectra : tuple of {"working", "double"}
        Precision of every spectrum that is kept for a tile; the planner derives the memory from it.
    tile_weights : bool
        Whether a weight array is kept for a tile.
    """

    name: ClassVar[str]
    bounded: ClassVar[bool] = False
    margin: ClassVar[int] = 0
    invariant_mask: ClassVar[bool] = False
    partial_overlap: ClassVar[bool] = False
    spectra: ClassVar[tuple[str, ...]] = ("working",)
    tile_weights: ClassVar[bool] = False

    def template_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is to be rotated, from the unrotated template; by default the template itself."""
        return values

    @abstractmethod
    def prepare_tile(self, tile: TargetTile, template: Template, correlator: Correlator) -> Any:
        """Return what every rotation needs of a tile: spectra, and weights that no rotation changes."""

    @abstractmethod
    def prepare_rotation(self, rotated: RotatedTemplate, correlator: Correlator) -> Any:
        """Return what is needed of a rotated template at every tile: its spectra and sums."""

    @abstractmethod
    def terms(self, tile: Any, rotation: Any, correlator: Correlator) -> tuple[Array, Array | None]:
        """Return the numerator and the weight (None for 1) over the positions of the tile."""


class FilterScore(Score):
    """A score whose numerator is the correlation of a tile's values with one array, its *filter*.

    The numerator of a sum of filters is the sum of theirs.
    """

    @abstractmethod
    def filter_of(self, rotated: RotatedTemplate) -> NDArray[np.float64]:
        """Return the filter of a rotated template, zero where the mask is, of the same shape.

        The shape is that of the search box, or that of `Template.under_mask`.
        """

    @abstractmethod
    def prepare_filter(self, values: Array, correlator: Correlator) -> Any:
        """Return what `numerator` needs of a filter, or of a sum of filters, at every tile."""

    @abstractmethod
    def numerator(self, tile: Any, prepared: Any, correlator: Correlator) -> Array:
        """Return the correlation with what `prepare_filter` returned, over the positions of the tile."""


class LinearScore(FilterScore):
    """A score that is linear in its filter: the weight does not depend on the rotation.

    Such a score can be taken of any array in the place of a filter; that of a sum is the sum of the scores.
    """

    def prepare_rotation(self, rotated: RotatedTemplate, correlator: Correlator) -> Any:
        """Return what is needed of a rotated template at every tile."""
        return self.prepare_filter(self.filter_of(rotated), correlator)

    def numerator(self, tile: Any, prepared: Any, correlator: Correlator) -> Array:
        """Return the correlation with what `prepare_filter` returned, over the positions of the tile."""
        return self.terms(tile, prepared, correlator)[0]


class LocalScore(FilterScore):
    """A score whose weight is 1/(N·std) of the target f under the turned mask m, with N = Σ m.

    It follows from two sums under the mask, of f and of f², which for a sum of masks are the sums of theirs.
    """

    @abstractmethod
    def prepare_mask(self, weights: Array, correlator: Correlator) -> Any:
        """Return what `local_sums` needs of a mask, or of a sum of masks, at every tile."""

    @abstractmethod
    def local_sums(self, tile: Any, prepared: Any, correlator: Correlator) -> tuple[Array, Array]:
        """Return CC(f, m) and CC(f² - 1, m) over the positions of the tile, of what `prepare_mask` returned."""


_SCORES: dict[str, type[Score]] = {}
_ScoreType = TypeVar("_ScoreType", bound=type[Score])


def register_score(name: str) -> Callable[[_ScoreType], _ScoreType]:
    """Register a `Score` subclass under `name`.

    Other packages announce theirs by an entry point in the group ``scorefold.scores``, so that every worker
    finds it.

    Raises
    ------
    ValueError
        If the name is taken by another class.
    """

    def register(cls: _ScoreType) -> _ScoreType:
        if _SCORES.get(name, cls) is not cls:
            raise ValueError(f'score "{name}" is registered already, by {_SCORES[name].__qualname__}')
        cls.name = name
        _SCORES[name] = cls
        return cls

    return register


def score_names() -> tuple[str, ...]:
    """Return the names of all scores, those of installed extensions included.

    Examples
    --------
    >>> "FLC" in score_names()
    True
    """
    importlib.import_module("scorefold.scoring.scores")
    for entry in importlib.metadata.entry_points(group="scorefold.scores"):
        if entry.name not in _SCORES:
            register_score(entry.name)(entry.load())
    return tuple(sorted(_SCORES))


def get_score(name: str) -> Score:
    """Return the score called `name`; upper and lower case are the same.

    Raises
    ------
    InputError
        If there is none.
    """
    names = {known.lower(): known for known in score_names()}
    if name.lower() not in names:
        raise InputError(f'score "{name}": unknown. Use one of {", ".join(score_names())}, or auto.')
    return _SCORES[names[name.lower()]]()


def choose_score(name: str, *, invariant: bool) -> Score:
    """Return the score called `name`, or for "auto" the fast local correlation that suits the mask.

    Parameters
    ----------
    name : str
        A score's name or "auto".
    invariant : bool
        Whether the template's mask looks the same at every rotation. If it does not, "auto" is FLC, else the
        faster FLCSphericalMask.

    Raises
    ------
    InputError
        If the score is unknown, or needs a rotation-invariant mask and the mask is none.
    """
    if name.lower() == "auto":
        return get_score("FLCSphericalMask" if invariant else "FLC")
    score = get_score(name)
    if score.invariant_mask and not invariant:
        raise InputError(
            f"score {score.name}: the mask changes when it is rotated. "
            "Use --score FLC, or --mask sphere or disk."
        )
    return score
