"""Cross-correlation of tiles with rotated templates by Fourier transforms, spectra apart from products."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scorefold.scoring.fft import Filter, FourierProvider

Array = NDArray[Any]
Precision = Literal["working", "double"]


class Correlator:
    """Correlates arrays of one tile shape with templates of one box shape.

    Parameters
    ----------
    provider : FourierProvider
        Where the transforms come from.
    fft_shape : tuple of int
        Shape of the transforms.
    box : tuple of int
        Shape of the search box.
    dtype : {"float32", "float64"}
        Working precision. Double is there beside it for sums of squares, which lose digits in differences.
    """

    def __init__(
        self, provider: FourierProvider, fft_shape: tuple[int, ...], box: tuple[int, ...], dtype: str
    ) -> None:
        self.box = box
        self.dtype = np.dtype(dtype)
        self.valid_shape = tuple(f - b + 1 for f, b in zip(fft_shape, box, strict=True))
        self._transforms = {
            "working": provider.transform(fft_shape, box, dtype),
            "double": provider.transform(fft_shape, box, "float64"),
        }

    def target_spectrum(self, values: Array, precision: Precision = "working") -> Array:
        """Return the spectrum of a tile; tiles smaller than the transform are zero-padded at the end."""
        return self._transforms[precision].target(values)

    def template_spectrum(self, values: Array, precision: Precision = "working") -> Filter:
        """Return what `correlate` needs of an array in the search box."""
        return self._transforms[precision].filter(values)

    def correlate(self, target: Array, template: Filter, precision: Precision = "working") -> Array:
        r"""Return :math:`\sum_u f(n + u)\, g(u)` for every position n of the box inside the tile.

        The array is a view that the next correlation of the same precision overwrites.
        """
        return self._transforms[precision].correlate(target, template)

    def correlate_both(
        self, target: Array, other: Array, template: Filter, precision: Precision = "working"
    ) -> tuple[Array, Array]:
        """Return what `correlate` does for two tiles and one template, in less time than two calls need."""
        return self._transforms[precision].correlate_both(target, other, template)
