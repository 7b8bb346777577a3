"""The variation model: per pixel, how bright good images are and how much they vary."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.morphology import disk

from scorefold.errors import InputError
from scorefold.inspection.half_precision import LARGEST_SCORE
from scorefold.inspection.polarity import Polarity, check_polarity

MAD_TO_DEVIATION = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


class _Bounds(NamedTuple):
    """What no image changes: tolerance t, lowest and highest grey level allowed."""

    tolerance: NDArray[np.float32]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VariationModel:
    r"""Reference image and tolerance of every pixel, and the comparison of images with them.

    An image c may leave the mean μ by the tolerance

    .. math:: t = \max(a, b\,\sigma)

    with the least tolerance a, the factor b and the spread σ of good images. Its score is signed, and beyond 1
    in magnitude where the image is brighter (positive) or darker (negative) than allowed:

    .. math:: s = (c - \mu) / t

    With a registration tolerance of r pixels the bounds widen to the upper one U, μ + t dilated, and the lower
    one L, μ − t eroded, both by a disk of radius r; s is 1 + (c − U)/t or −1 − (L − c)/t, whichever is larger in
    magnitude, and 0 where neither has the sign of its side. The model is that of HALCON's variation model
    operators.

    Parameters
    ----------
    mean, spread : ndarray, shape (H, W)
        μ and σ in grey levels.
    valid : ndarray of bool, shape (H, W)
        Pixels that are compared. Pixels whose mean or spread is not finite never are.
    absolute : float
        a in grey levels, more than 0. The default suits 8 bits; see `ImageGrid.absolute` for other images.
    factor : float
        b, at least 0.
    tolerance : int
        r in pixels.
    polarity : {"both", "bright", "dark"}
        What counts as anomalous in the maps of this model; the maps themselves are signed whatever it is.

    Raises
    ------
    InputError
        If shapes differ or a parameter is out of its range.

    Examples
    --------
    >>> model = VariationModel(np.full((1, 3), 100), np.array([[0, 10, 10]]), np.array([[True, True, False]]))
    >>> model.compare(np.array([[115, 90, 0]], np.uint8))
    array([[ 1.5, -0.5,  nan]], dtype=float32)
    """

    mean: NDArray[Any]
    spread: NDArray[Any]
    valid: NDArray[np.bool_]
    absolute: float = 10.0
    factor: float = 2.0
    tolerance: int = 0
    polarity: Polarity = "both"

    def __post_init__(self) -> None:
        shapes = {np.shape(array) for array in (self.mean, self.spread, self.valid)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise InputError(
                f"variation model: mean, spread and valid of shapes {np.shape(self.mean)}, "
                f"{np.shape(self.spread)}, {np.shape(self.valid)}; they must be images of one shape."
            )
        if not (np.isfinite(self.absolute) and self.absolute > 0):
            raise InputError(f"absolute tolerance {self.absolute:g}: give a number of grey levels above 0.")
        if not (np.isfinite(self.factor) and self.factor >= 0):
            raise InputError(f"factor {self.factor:g}: give how many times the spread is allowed, 0 or more.")
        if self.tolerance != int(self.tolerance) or self.tolerance < 0:
            raise InputError(f"registration tolerance {self.tolerance}: give whole pixels, 0 or more.")
        check_polarity(self.polarity)
        usable = np.asarray(self.valid, bool) & np.isfinite(self.mean) & np.isfinite(self.spread)
        # Frozen for users; what a caller gives is normalised once, here.
        for name, values in (("mean", self.mean), ("spread", self.spread)):
            object.__setattr__(self, name, np.where(usable, values, 0).astype(np.float32))
        object.__setattr__(self, "valid", usable)

    @classmethod
    def from_moments(
        cls,
        count: ArrayLike,
        mean: ArrayLike,
        variance: ArrayLike,
        *,
        minimum_count: int = 2,
        **options: Any,
    ) -> Self:
        """Return the model of mean and variance of good images.

        Parameters
        ----------
        count : array_like of int, shape (H, W)
            How many images were valid at each pixel.
        mean, variance : array_like, shape (H, W)
            Of these, in grey levels and their square.
        minimum_count : int
            Pixels seen less often are not compared.
        **options
            Passed on: `absolute`, `factor`, `tolerance`, `polarity`.

        Examples
        --------
        >>> VariationModel.from_moments([[9, 1]], [[5.0, 5.0]], [[4.0, np.nan]], absolute=1).valid
        array([[ True, False]])
        """
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(np.asarray(variance, np.float64))
        return cls(np.asarray(mean, np.float64), spread, np.asarray(count) >= minimum_count, **options)

    @classmethod
    def from_quantiles(cls, median: ArrayLike, mad: ArrayLike, **options: Any) -> Self:
        """Return the model of median and median absolute deviation, which outliers in training do not shift.

        Parameters
        ----------
        median, mad : array_like, shape (H, W)
            In grey levels, NaN at pixels that no image showed. The spread is 1.4826 × `mad`.
        **options
            Passed on: `absolute`, `factor`, `tolerance`, `polarity`.
        """
        centre, deviation = np.asarray(median, np.float64), np.asarray(mad, np.float64)
        return cls(centre, MAD_TO_DEVIATION * deviation, np.ones(centre.shape, bool), **options)

    @classmethod
    def from_single(
        cls, image: ArrayLike, jitter: float = 1.0, *, valid: NDArray[np.bool_] | None = None, **options: Any
    ) -> Self:
        """Return the model of one good image, which may vary as if it moved by `jitter` pixels.

        Parameters
        ----------
        image : array_like, shape (H, W)
            The good image. Where it is not finite, and beside such pixels, nothing is compared.
        jitter : float
            Standard deviation of the image's position in pixels; the spread is `jitter` × the magnitude of the
            gradient (Sobel, per pixel).
        valid : ndarray of bool, optional
            Where the image counts, by default everywhere.
        **options
            Passed on: `absolute`, `factor`, `tolerance`, `polarity`.

        Examples
        --------
        >>> ramp = np.tile(np.arange(0, 50, 5.0), (4, 1))
        >>> VariationModel.from_single(ramp, jitter=2).spread[1, 1:4]
        array([10., 10., 10.], dtype=float32)
        """
        if not (np.isfinite(jitter) and jitter >= 0):
            raise InputError(f"jitter {jitter:g}: give a number of pixels, 0 or more.")
        values = np.asarray(image, np.float32)
        usable = np.isfinite(values) if valid is None else np.isfinite(values) & valid
        filled = np.where(usable, values, np.float32(0))
        slopes = [
            cv2.Sobel(filled, cv2.CV_32F, dx, dy, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
            for dx, dy in ((1, 0), (0, 1))
        ]
        seen_whole = cv2.erode(usable.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        return cls(values, jitter * np.hypot(*slopes), seen_whole, **options)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.mean.shape
        return height, width

    def compare(self, image: ArrayLike, valid: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Score every pixel of an image.

        Parameters
        ----------
        image : array_like, shape (H, W)
            Grey levels, aligned with the model.
        valid : ndarray of bool, shape (H, W), optional
            Pixels of the image that count, by default all.

        Returns
        -------
        ndarray of float32, shape (H, W)
            Signed scores; beyond 1 in magnitude is more than the model allows. NaN where model or image is not
            valid or the image not finite. Limited to what half precision can hold.

        Raises
        ------
        InputError
            If the image or `valid` has another shape than the model.
        """
        given = np.asarray(image)
        for name, shape in (("image", given.shape), ("valid", self.shape if valid is None else valid.shape)):
            if shape != self.shape:
                raise InputError(f"{name} of shape {shape}: the model has {self.shape}. Align it first.")
        bounds = self._bounds
        usable = self.valid if valid is None else self.valid & valid
        if given.dtype.kind == "f":
            usable = usable & np.isfinite(given)
        with np.errstate(over="ignore", invalid="ignore"):
            pixels = given.astype(np.float32, copy=False)
            scores: NDArray[np.float32]
            if self.tolerance == 0:
                scores = pixels - self.mean
                scores /= bounds.tolerance
            else:
                scores = _beyond(pixels, bounds)
            np.clip(scores, -LARGEST_SCORE, LARGEST_SCORE, out=scores)
        np.copyto(scores, np.float32(np.nan), where=~usable)
        return scores

    @cached_property
    def _bounds(self) -> _Bounds:
        tolerance = np.maximum(np.float32(self.absolute), np.float32(self.factor) * self.spread)
        lower, upper = self.mean - tolerance, self.mean + tolerance
        if self.tolerance:
            kernel: NDArray[np.uint8] = disk(int(self.tolerance))  # type: ignore[no-untyped-call]
            outside = ~self.valid
            lower[outside], upper[outside] = np.inf, -np.inf
            lower, upper = cv2.erode(lower, kernel), cv2.dilate(upper, kernel)
            lower[outside] = upper[outside] = 0
        return _Bounds(tolerance, lower, upper)


def _beyond(pixels: NDArray[np.float32], bounds: _Bounds) -> NDArray[np.float32]:
    """Return 1 + the distance beyond the nearer bound over t, signed; 0 well inside of both."""
    bright = pixels - bounds.upper
    bright /= bounds.tolerance
    bright += 1
    dark = bounds.lower - pixels
    dark /= bounds.tolerance
    dark += 1
    brighter = bright >= dark
    np.maximum(bright, 0, out=bright)
    np.maximum(dark, 0, out=dark)
    signed: NDArray[np.float32] = np.where(brighter, bright, -dark)
    return signed
