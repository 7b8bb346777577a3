"""Inspecting one image: locate the part, align it, fit its brightness, compare it with the model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.inspection.alignment import align
from scorefold.inspection.gain_offset import fit_gain_offset
from scorefold.inspection.location import Locator
from scorefold.inspection.pose import Pose
from scorefold.inspection.recipe import METHODS, Model, Recipe


@dataclass(frozen=True)
class Location:
    """How a part is located before it is compared; the picture of the part is the array "template".

    Attributes
    ----------
    angle_range : (float, float)
        Angles at which the part may lie, in degrees.
    angle_step : float or None
        Their spacing in the first search.
    min_score : float
        Least correlation of a part that counts as found.
    """

    angle_range: tuple[float, float] = (0.0, 360.0)
    angle_step: float | None = None
    min_score: float = 0.5

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**value, "angle_range": tuple(value["angle_range"])})


@dataclass(frozen=True, eq=False)
class Aligned:
    """An image in the coordinates of the model.

    Attributes
    ----------
    pixels : ndarray of float32, shape (H, W)
        Grey levels.
    valid : ndarray of bool, shape (H, W)
        Pixels that count.
    pose : Pose or None
        Where the part lies in the image; None if it was not located.
    """

    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    pose: Pose | None = None


@dataclass(frozen=True, eq=False)
class Inspector:
    """What compares images: a recipe, what was learned, and how parts are located.

    Attributes
    ----------
    recipe : Recipe
        How the model was learned.
    arrays : mapping of str to ndarray
        What was learned; with "template" and "template_mask" if parts are located, and "reference" if brightness is
        fitted.
    location : Location or None
        How parts are located; None where every image shows the part in one place.
    """

    recipe: Recipe
    arrays: Mapping[str, NDArray[Any]]
    location: Location | None = None

    @cached_property
    def model(self) -> Model:
        """The model of all good images."""
        return METHODS[self.recipe.method].model(self.recipe, self.arrays)

    @cached_property
    def locator(self) -> Locator | None:
        """What finds the part."""
        if self.location is None:
            return None
        return Locator(self.arrays["template"], self.arrays["template_mask"], **asdict(self.location))

    def align(self, image: NDArray[Any]) -> Aligned | None:
        """Return an image in the coordinates of the model, or None if it does not show the part.

        Raises
        ------
        InputError
            If the image has another shape than the model and parts are not located.
        """
        if self.locator is not None:
            pose = self.locator.locate(image)
            if pose is None:
                return None
            return self.align_at(image, pose)
        if image.shape != tuple(self.recipe.shape):
            raise InputError(
                f"its shape is {image.shape}, the model's {tuple(self.recipe.shape)}. Train with images of one "
                "size, or locate the part (--template)"
            )
        with np.errstate(over="ignore"):  # what is too large for single precision is not valid
            pixels = np.ascontiguousarray(image, np.float32)
        valid = np.isfinite(pixels) if image.dtype.kind == "f" else np.ones(image.shape, bool)
        return self._fitted(Aligned(pixels, valid))

    def align_at(self, image: NDArray[Any], pose: Pose) -> Aligned:
        """Return an image in the coordinates of the model, its part at a known pose."""
        pixels, valid = align(image, pose, self.recipe.shape)
        return self._fitted(Aligned(pixels, valid & (self.arrays["template_mask"] > 0), pose))

    def _fitted(self, aligned: Aligned) -> Aligned:
        if not self.recipe.gain_offset:
            return aligned
        fit = fit_gain_offset(aligned.pixels, self.arrays["reference"], aligned.valid)
        return Aligned(fit.apply(aligned.pixels), aligned.valid, aligned.pose)

    def compare(self, aligned: Aligned) -> NDArray[np.float32]:
        """Return the signed score map of an aligned image."""
        return self.model.compare(aligned.pixels, aligned.valid)

    def compare_without(self, aligned: Aligned) -> NDArray[np.float32]:
        """Return the score map of a training image by the model of the other training images."""
        method = METHODS[self.recipe.method]
        others = method.without(self.recipe, self.arrays, aligned.pixels, aligned.valid)
        return others.compare(aligned.pixels, aligned.valid)
