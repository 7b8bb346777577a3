"""A learned model as it is handed on: to inspections, and to the training of a larger model."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from scorefold.inspection.inspector import Inspector, Location
from scorefold.inspection.recipe import Recipe

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """What `scorefold inspect train` leaves.

    Attributes
    ----------
    fingerprint : str
        Of the training.
    recipe : Recipe
        How it was learned.
    location : Location or None
        How parts are located.
    arrays : mapping of str to ndarray
        What was learned, and the arrays that came with the job.
    good : mapping of str to ndarray
        Scores of the good images, each by the model of the others: histograms of pixels and images, and moments.
    image_count : int
        How many images it was learned from.
    folded : callable
        Returns what was folded of a band; all bands of a robust model of large images may not fit memory.
    """

    fingerprint: str
    recipe: Recipe
    location: Location | None
    arrays: Arrays
    good: Arrays
    image_count: int
    folded: Callable[[int], Arrays]

    @property
    def states(self) -> Iterator[Arrays]:
        """What was folded, by band."""
        return (self.folded(band) for band in range(len(self.recipe.bands)))

    @property
    def inspector(self) -> Inspector:
        """What compares images with this model."""
        return Inspector(self.recipe, self.arrays, self.location)
