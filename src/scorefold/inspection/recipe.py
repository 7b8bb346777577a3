"""Recipes: how a reference model is learned from good images, by name of the method."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import AbstractAnalyzer
from scorefold.analyzer.statistics import (
    FeatureGaussian,
    FeatureSums,
    MomentImages,
    PixelHistogram,
    PixelMoments,
)
from scorefold.errors import InputError
from scorefold.inspection.features import FEATURES, cell_features, cell_grid
from scorefold.inspection.gaussian import GaussianModel
from scorefold.inspection.grid import ImageGrid
from scorefold.inspection.polarity import check_polarity
from scorefold.inspection.variation import VariationModel

Arrays = dict[str, NDArray[Any]]
Band = tuple[int, int]
Model = VariationModel | GaussianModel

HISTOGRAM_LEVELS = 256
"""Grey levels of the robust method; 8-bit images lose nothing."""


@dataclass(frozen=True)
class Recipe:
    """What decides a model, apart from the images.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    shape : (int, int)
        Of the model, in pixels.
    grid : ImageGrid
        Of the images.
    absolute, factor, tolerance
        See `VariationModel`.
    polarity : str
        What counts as anomalous: "both", "bright" or "dark".
    jitter : float
        See `VariationModel.from_single`.
    cell, regularization
        See `GaussianModel`.
    gain_offset : bool
        Whether the brightness of every image is fitted to the reference image first.
    kernel_size : int
        Radius of the opening that removes specks from what is anomalous, in pixels; 0 for none.
    """

    method: str
    shape: tuple[int, int]
    grid: ImageGrid
    absolute: float
    factor: float = 2.0
    tolerance: int = 0
    polarity: str = "both"
    jitter: float = 1.0
    cell: int = 8
    regularization: float = 0.01
    gain_offset: bool = False
    kernel_size: int = 1

    def __post_init__(self) -> None:
        """Refuse a method that is not known, and options out of their range."""
        if self.method not in METHODS:
            raise InputError(f'method "{self.method}": use one of {", ".join(METHODS)}.')
        self.check_polarity(self.polarity)
        if not (np.isfinite(self.absolute) and self.absolute > 0):
            raise InputError(f"absolute tolerance {self.absolute:g}: give a number of grey levels above 0.")
        if not (np.isfinite(self.factor) and self.factor >= 0):
            raise InputError(f"factor {self.factor:g}: give how many times the spread is allowed, 0 or more.")
        if self.tolerance < 0:
            raise InputError(f"registration tolerance {self.tolerance}: give whole pixels, 0 or more.")
        if not (np.isfinite(self.jitter) and self.jitter >= 0):
            raise InputError(f"jitter {self.jitter:g}: give a number of pixels, 0 or more.")
        if self.method == "gaussian" and not 2 <= self.cell <= min(self.shape):
            raise InputError(f"cell {self.cell}: give 2 pixels or more, and no more than the images have.")
        if self.kernel_size < 0:
            raise InputError(f"kernel size {self.kernel_size}: give a radius in pixels, 0 or more.")
        if not (np.isfinite(self.regularization) and self.regularization > 0):
            raise InputError(f"regularization {self.regularization:g}: give a number above 0.")

    def check_polarity(self, polarity: str) -> None:
        """Raise an `InputError` unless scores of this method can tell what has the polarity."""
        check_polarity(polarity)
        if polarity != "both" and not self.signed:
            raise InputError(
                f"polarity {polarity}: method {self.method} tells how unusual an image is, not whether it is bright "
                "or dark. Use both."
            )

    @property
    def signed(self) -> bool:
        """Whether scores tell what is brighter than allowed, positive, from what is darker, negative."""
        return METHODS[self.method].signed

    @property
    def bands(self) -> tuple[Band, ...]:
        """Rows that are learned together; all at once unless a state would be large."""
        height, width = self.shape
        rows = max(1, METHODS[self.method].band_pixels // width)
        return tuple((first, min(first + rows, height)) for first in range(0, height, rows))

    @property
    def variation(self) -> dict[str, Any]:
        """Options of a `VariationModel`."""
        names = ("absolute", "factor", "tolerance", "polarity")
        return {name: getattr(self, name) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**value, "shape": tuple(value["shape"]), "grid": ImageGrid(**value["grid"])})


class Method(ABC):
    """How a kind of model is learned: the fold over good images, and the model that follows from its result."""

    band_pixels: ClassVar[int] = 2**22
    """Pixels that are learned together, so that a state fits memory."""

    least_images: ClassVar[int] = 1
    """Good images without which nothing can be compared."""

    signed: ClassVar[bool] = True
    """Whether scores are positive where an image is too bright and negative where it is too dark."""

    @abstractmethod
    def analyzer(self, recipe: Recipe, band: Band) -> AbstractAnalyzer[Any, Any]:
        """Return the analyzer of a band of rows."""

    @abstractmethod
    def observation(
        self, recipe: Recipe, image: NDArray[np.float32], valid: NDArray[np.bool_], band: Band
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return what the analyzer of a band folds of an image, and what of it is valid."""

    @abstractmethod
    def learn(self, recipe: Recipe, results: Sequence[Any]) -> Arrays:
        """Return the arrays of the model, from the results of all bands."""

    @abstractmethod
    def model(self, recipe: Recipe, arrays: Mapping[str, NDArray[Any]]) -> Model:
        """Return the model of learned arrays."""

    def without(
        self,
        recipe: Recipe,
        arrays: Mapping[str, NDArray[Any]],
        image: NDArray[np.float32],  # noqa: ARG002
        valid: NDArray[np.bool_],  # noqa: ARG002
    ) -> Model:
        """Return the model of all good images but one; the whole model, where one image makes little difference."""
        return self.model(recipe, arrays)


class Standard(Method):
    """Mean and standard deviation per pixel."""

    least_images = 2

    def analyzer(self, recipe: Recipe, band: Band) -> AbstractAnalyzer[Any, Any]:
        """Return the moments of a band."""
        return PixelMoments((band[1] - band[0], recipe.shape[1]))

    def observation(
        self, recipe: Recipe, image: NDArray[np.float32], valid: NDArray[np.bool_], band: Band
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the grid levels of a band."""
        rows = slice(*band)
        # The whole image is looked at: one that leaves the range anywhere is part of no band.
        return recipe.grid.integers(np.where(valid, image, recipe.grid.low))[rows], valid[rows]

    def learn(self, recipe: Recipe, results: Sequence[Any]) -> Arrays:  # noqa: ARG002
        """Return the sums of all rows."""
        names = ("count", "total", "total_of_squares")
        return {name: np.concatenate([getattr(r, name) for r in results]) for name in names}

    def model(self, recipe: Recipe, arrays: Mapping[str, NDArray[Any]]) -> Model:
        """Return the variation model of the moments."""
        return self._from(recipe, _moments(arrays))

    def without(
        self,
        recipe: Recipe,
        arrays: Mapping[str, NDArray[Any]],
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
    ) -> Model:
        """Return the model of all good images but one, exactly."""
        levels, valid = self.observation(recipe, image, valid, (0, recipe.shape[0]))
        return self._from(recipe, _moments(arrays).without(levels, valid))

    @staticmethod
    def _from(recipe: Recipe, moments: MomentImages) -> VariationModel:
        return VariationModel.from_moments(
            moments.count,
            recipe.grid.values(moments.mean),
            moments.variance() * recipe.grid.step**2,
            **recipe.variation,
        )


class Single(Standard):
    """One good image; its edges may move a little."""

    least_images = 1

    def model(self, recipe: Recipe, arrays: Mapping[str, NDArray[Any]]) -> Model:
        """Return the variation model of the mean, which is that image."""
        moments = _moments(arrays)
        image = recipe.grid.values(moments.mean)
        return VariationModel.from_single(image, recipe.jitter, valid=moments.count > 0, **recipe.variation)

    def without(
        self,
        recipe: Recipe,
        arrays: Mapping[str, NDArray[Any]],
        image: NDArray[np.float32],  # noqa: ARG002
        valid: NDArray[np.bool_],  # noqa: ARG002
    ) -> Model:
        """Return the whole model: without its image there is none."""
        return self.model(recipe, arrays)


class Robust(Method):
    """Median and median absolute deviation per pixel."""

    band_pixels = 2**16

    def analyzer(self, recipe: Recipe, band: Band) -> AbstractAnalyzer[Any, Any]:
        """Return the histograms of a band."""
        return PixelHistogram((band[1] - band[0], recipe.shape[1]), HISTOGRAM_LEVELS)

    def observation(
        self, recipe: Recipe, image: NDArray[np.float32], valid: NDArray[np.bool_], band: Band
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the histogram bins of a band."""
        rows = slice(*band)
        return recipe.grid.coarse(HISTOGRAM_LEVELS).bins(image[rows]), valid[rows]

    def learn(self, recipe: Recipe, results: Sequence[Any]) -> Arrays:
        """Return median and MAD in grey levels."""
        coarse = recipe.grid.coarse(HISTOGRAM_LEVELS)
        median = coarse.values(np.concatenate([result.median() for result in results]))
        deviation = coarse.distances(np.concatenate([result.mad() for result in results]))
        return {"median": median, "mad": deviation}

    def model(self, recipe: Recipe, arrays: Mapping[str, NDArray[Any]]) -> Model:
        """Return the variation model of median and MAD."""
        return VariationModel.from_quantiles(arrays["median"], arrays["mad"], **recipe.variation)


class Gaussian(Method):
    """A normal distribution of features per cell."""

    band_pixels = 2**62  # an image has few cells
    signed = False
    least_images = 2

    def analyzer(self, recipe: Recipe, band: Band) -> AbstractAnalyzer[Any, Any]:  # noqa: ARG002
        """Return the sums of features of all cells."""
        return FeatureGaussian(int(np.prod(cell_grid(recipe.shape, recipe.cell))), len(FEATURES))

    def observation(
        self,
        recipe: Recipe,
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
        band: Band,  # noqa: ARG002
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the features of all cells."""
        return cell_features(image, recipe.grid, valid, cell=recipe.cell)

    def learn(self, recipe: Recipe, results: Sequence[Any]) -> Arrays:
        """Return the sums of features."""
        analyzer = self.analyzer(recipe, (0, recipe.shape[0]))
        return analyzer.to_arrays(results[0])

    def model(self, recipe: Recipe, arrays: Mapping[str, NDArray[Any]]) -> Model:
        """Return the model of the features' mean and covariance."""
        sums = FeatureSums(**{field.name: arrays[field.name] for field in fields(FeatureSums)})
        return self._from(recipe, sums)

    def without(
        self,
        recipe: Recipe,
        arrays: Mapping[str, NDArray[Any]],
        image: NDArray[np.float32],
        valid: NDArray[np.bool_],
    ) -> Model:
        """Return the model of all good images but one, exactly."""
        analyzer = self.analyzer(recipe, (0, recipe.shape[0]))
        features, cells = self.observation(recipe, image, valid, (0, recipe.shape[0]))
        one = analyzer.result(analyzer(analyzer.init_state(), features, None, valid=cells))  # type: ignore[arg-type]
        own = analyzer.to_arrays(one)
        return self._from(recipe, analyzer.from_arrays({name: arrays[name] - own[name] for name in own}))

    @staticmethod
    def _from(recipe: Recipe, sums: FeatureSums) -> GaussianModel:
        return GaussianModel.from_moments(
            sums.count,
            sums.mean,
            sums.covariance(),
            recipe.shape,
            recipe.grid,
            cell=recipe.cell,
            regularization=recipe.regularization,
        )


METHODS: dict[str, Method] = {
    "standard": Standard(),
    "robust": Robust(),
    "single": Single(),
    "gaussian": Gaussian(),
}
"""Ways to learn a model, by the name that users give."""


def _moments(arrays: Mapping[str, NDArray[Any]]) -> MomentImages:
    return MomentImages(arrays["count"], arrays["total"], arrays["total_of_squares"])
