"""The grid on which grey levels are folded: images as integers, so that sums over images are exact."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from scorefold.errors import InputError

FRACTIONAL_BITS = {1: 6, 2: 2}
"""By bytes of an integer type: how finely grey levels are folded, in powers of one half."""

LEVEL_BITS = 14
"""All other images are folded with 2 to this power levels on their range."""

USUAL_TOLERANCE = 10 / 255
"""What counts as an ordinary deviation, as part of the range: 10 grey levels of 8 bits."""


@dataclass(frozen=True)
class ImageGrid:
    """Equally spaced grey levels; integer k stands for ``low + k * step``.

    An aligned image has values between grey levels. Rounded to a grid that is the same for all images of a data
    set, sums of values and of their squares are sums of integers, which no order of adding changes.

    Attributes
    ----------
    low, high : float
        The range on which images are expected, in their own units.
    step : float
        Distance between neighbouring levels, in the same units.

    Examples
    --------
    >>> grid = image_grid(np.uint8)
    >>> grid.integers([[100.0, 100.26]])
    array([[6400, 6417]], dtype=int32)
    >>> grid.values([6417])
    array([100.265625])
    """

    low: float
    high: float
    step: float

    @property
    def span(self) -> float:
        """Width of the range."""
        return self.high - self.low

    @property
    def absolute(self) -> float:
        """A usual smallest tolerance for `VariationModel`: 10 grey levels of 8 bits, scaled to the range."""
        return self.span * USUAL_TOLERANCE

    def integers(self, image: ArrayLike) -> NDArray[np.int32]:
        """Round an image to the grid, halves to the even integer.

        Parameters
        ----------
        image : array_like
            Grey levels. They may leave the range by its width on either side, as corrected brightness does.

        Returns
        -------
        ndarray of int32
            The same shape; 0 where the image is not finite: mark such pixels as not valid.

        Raises
        ------
        InputError
            If values lie further outside of the range, so that the range cannot be that of the image.
        """
        levels = (np.asarray(image, np.float64) - self.low) / self.step
        finite = np.isfinite(levels)
        if not finite.all():
            levels = np.where(finite, levels, 0.0)
        bound = self.span / self.step
        lowest, highest = float(levels.min(initial=0.0)), float(levels.max(initial=0.0))
        if lowest < -bound or highest > 2 * bound:
            reach = f"{self.low + lowest * self.step:g} to {self.low + highest * self.step:g}"
            raise InputError(
                f"image: values of {reach}, expected {self.low:g} to {self.high:g}. State the range of the images."
            )
        return np.rint(levels, out=levels).astype(np.int32)

    def values(self, integers: ArrayLike) -> NDArray[np.float64]:
        """Return the grey levels of integers, or of means and quantiles of them."""
        result: NDArray[np.float64] = self.low + np.asarray(integers, np.float64) * self.step
        return result

    def distances(self, integers: ArrayLike) -> NDArray[np.float64]:
        """Return differences of grey levels from differences of integers: standard deviations, MADs."""
        result: NDArray[np.float64] = np.asarray(integers, np.float64) * self.step
        return result

    def unit(self, image: ArrayLike) -> NDArray[np.float32]:
        """Return an image as float32 with the range as 0 to 1."""
        shifted = np.subtract(image, self.low, dtype=np.float64)
        return (shifted / self.span).astype(np.float32)

    def coarse(self, bins: int) -> "ImageGrid":
        """Return the grid of a histogram over the same range: bin 0 is its low end, the last bin its high end.

        Examples
        --------
        >>> image_grid(np.uint8).coarse(256)
        ImageGrid(low=0.0, high=255.0, step=1.0)
        """
        if bins < 2:
            raise InputError(f"{bins} bins: a histogram of grey levels has 2 or more.")
        return ImageGrid(self.low, self.high, self.span / (bins - 1))

    def bins(self, image: ArrayLike) -> NDArray[np.int32]:
        """Round an image to the grid like `integers`, but put what leaves the range into the first or last bin.

        Examples
        --------
        >>> image_grid(np.uint8).coarse(256).bins([-3.2, 7.6, 260.0])
        array([  0,   8, 255], dtype=int32)
        """
        values = np.asarray(image, np.float64)
        values = np.where(np.isfinite(values), values, self.low)
        return self.integers(np.clip(values, self.low, self.high))


def image_grid(dtype: DTypeLike, value_range: tuple[float, float] | None = None) -> ImageGrid:
    """Return the grid for images of a type.

    Parameters
    ----------
    dtype : dtype
        Of the images as they are read. 8-bit integers are folded in steps of 1/64, 16-bit integers of 1/4 grey
        level; bool, floating-point and wider integers in 2¹⁴ steps on their range. The sums of squares of
        2²⁷ images fit 64 bits.
    value_range : (float, float), optional
        Lowest and highest grey level; by default those of the type, 0 to 1 for bool and floating point. Wider
        integers have no default.

    Raises
    ------
    InputError
        If the type holds no grey levels, the range is empty or not finite, or a range is needed and missing.

    Examples
    --------
    >>> image_grid(np.uint16)
    ImageGrid(low=0.0, high=65535.0, step=0.25)
    >>> image_grid(np.float32, (0, 4096)).step
    0.25
    """
    kind: np.dtype[Any] = np.dtype(dtype)
    if kind.kind not in "buif":
        raise InputError(f"image of dtype {kind}: not a grey-level image. Convert it to integers or floats.")
    small = kind.kind in "ui" and kind.itemsize in FRACTIONAL_BITS
    if value_range is None:
        if kind.kind in "ui" and not small:
            raise InputError(
                f"image of dtype {kind}: its range of grey levels is not known. State the range."
            )
        value_range = (np.iinfo(kind).min, np.iinfo(kind).max) if small else (0, 1)
    low, high = float(value_range[0]), float(value_range[1])
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"range {low:g} to {high:g}: give two finite grey levels, the lower one first.")
    if small:
        return ImageGrid(low, high, 0.5 ** FRACTIONAL_BITS[kind.itemsize])
    return ImageGrid(low, high, (high - low) / 2**LEVEL_BITS)
