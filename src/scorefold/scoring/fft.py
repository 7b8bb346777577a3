"""Fourier transforms behind one small interface: SciPy's by default, FFTW when pyFFTW is installed.

A provider makes one *transform* per shape, box and precision; it correlates arrays of up to that shape with *filters*
of the size of the box. A filter is much smaller than the shape, and only positions at which it lies inside are wanted.
So axes are transformed one after the other: lines of zeros never are, and neither are lines that nobody wants. Along
the first axis the filter is transformed, multiplied and transformed back column by column, in a buffer that the
processor's cache holds.
"""

import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import scipy.fft
from numpy.typing import DTypeLike, NDArray

from scorefold.errors import InputError

Array = NDArray[Any]
Shape = tuple[int, ...]

COLUMNS = 128
"""Columns along the first axis that are transformed together."""


class Transform(ABC):
    """The transforms of one shape, box and precision.

    Parameters
    ----------
    shape : tuple of int
        Shape of the transforms, two axes or three.
    box : tuple of int
        Shape of the filters.
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, shape: Shape, box: Shape, dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.kept = tuple(n - b + 1 for n, b in zip(shape, box, strict=True))
        self._dtype = dtype
        self._half = (*shape[1:-1], shape[-1] // 2 + 1)
        self._columns = self._buffer((shape[0], min(COLUMNS, math.prod(self._half))))
        self._rows = self._buffer((self.kept[0], *self._half))

    def target(self, array: Array) -> Array:
        """Return the half spectrum over sqrt(size) of `array`, zero-padded at the end of each axis."""
        partial = self._all_but_first(array, array.shape[0])
        spectrum: Array = scipy.fft.fft(
            partial, self.shape[0], axis=0, norm="ortho", workers=1, overwrite_x=True
        )
        return spectrum

    def filter(self, array: Array) -> Array:
        """Return what `correlate` needs of an array of the box: its conjugate spectrum along all axes but the first."""
        partial = self._all_but_first(array, array.shape[0])
        partial *= self._dtype.type(1 / math.sqrt(self.shape[0]))
        return np.conj(partial, out=partial)

    def correlate(self, target: Array, filter: Array) -> Array:  # noqa: A002
        r"""Return :math:`\sum_u f(n + u)\, g(u)` for every position n of the box inside the shape.

        The array is a view that the next call overwrites.
        """
        length, width = len(filter), self._columns.shape[1]
        spectra, conjugate = target.reshape(self.shape[0], -1), filter.reshape(length, -1)
        rows = self._rows.reshape(self.kept[0], -1)
        for start in range(0, rows.shape[1], width):
            stop = min(start + width, rows.shape[1])
            place = slice(0, stop - start)  # what is beyond the last column was left there by others
            self._columns[:length, place] = conjugate[:, start:stop]
            self._columns[length:, place] = 0
            self._transform_columns()
            self._columns[:, place] *= spectra[:, start:stop]
            self._transform_columns()
            rows[:, start:stop] = self._columns[: self.kept[0], place]
        return self._transform_rows()

    def _all_but_first(self, array: Array, length: int) -> Array:
        spectrum: Array = scipy.fft.rfft(
            np.asarray(array, self._dtype), self.shape[-1], norm="ortho", workers=1
        )
        for axis in range(len(self.shape) - 2, 0, -1):
            spectrum = scipy.fft.fft(
                spectrum, self.shape[axis], axis=axis, norm="ortho", workers=1, overwrite_x=True
            )
        return spectrum.reshape(length, *self._half)

    def _buffer(self, shape: Shape) -> Array:
        """Return zeros for complex numbers of the working precision."""
        return np.zeros(shape, np.result_type(self._dtype, np.complex64))

    @abstractmethod
    def _transform_columns(self) -> None:
        """Transform the buffer of columns backwards along its first axis, without a factor, in place."""

    @abstractmethod
    def _transform_rows(self) -> Array:
        """Return the unscaled real inverse of the rows along all axes but the first, cut to what is kept."""


class FourierProvider(Protocol):
    """Where transforms come from. Transforms have buffers, so that a provider serves one thread at a time."""

    name: str

    def transform(self, shape: Shape, box: Shape, dtype: DTypeLike) -> Transform:
        """Return the transform of a shape and box for `dtype` (float32 or float64)."""
        ...

    def learn(self, shapes: Sequence[Shape], box: Shape, dtypes: Sequence[str]) -> str:
        """Choose algorithms for these transforms and return the choice as text, for `provider` elsewhere."""
        ...


class _ScipyTransform(Transform):
    def _transform_columns(self) -> None:
        self._columns[...] = scipy.fft.ifft(
            self._columns, axis=0, norm="forward", workers=1, overwrite_x=True
        )

    def _transform_rows(self) -> Array:
        values: Array = self._rows
        for axis in range(1, len(self.shape) - 1):
            values = scipy.fft.ifft(values, axis=axis, norm="forward", workers=1)
            values = values[(slice(None),) * axis + (slice(0, self.kept[axis]),)]
        values = scipy.fft.irfft(values, self.shape[-1], norm="forward", workers=1)
        return values[..., : self.kept[-1]]


class ScipyProvider:
    """Transforms by `scipy.fft` (pocketfft), one thread each."""

    name = "scipy"

    def __init__(self) -> None:
        self._transforms: dict[tuple[Shape, Shape, np.dtype[Any]], _ScipyTransform] = {}

    def transform(self, shape: Shape, box: Shape, dtype: DTypeLike) -> Transform:
        """Return the transform of a shape and box for `dtype` (float32 or float64)."""
        key = (tuple(shape), tuple(box), np.dtype(dtype))
        if key not in self._transforms:
            self._transforms[key] = _ScipyTransform(*key)
        return self._transforms[key]

    def learn(self, shapes: Sequence[Shape], box: Shape, dtypes: Sequence[str]) -> str:  # noqa: ARG002
        """Return an empty text: SciPy's algorithms do not depend on timing."""
        return ""


def available_providers() -> tuple[str, ...]:
    """Return the names of the Fourier providers that this installation has."""
    return ("scipy", "fftw") if importlib.util.find_spec("pyfftw") else ("scipy",)


def provider(name: str = "scipy", wisdom: str = "") -> FourierProvider:
    """Return the Fourier provider called `name`.

    Parameters
    ----------
    name : {"scipy", "fftw"}
        Which library transforms.
    wisdom : str
        The text that the provider's `learn` returned, or empty.

    Returns
    -------
    FourierProvider
        The provider.

    Raises
    ------
    InputError
        If there is no such provider, or its library is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> transform = provider("scipy").transform((8, 8), (3, 3), "float32")
    >>> spectrum, filter = transform.target(np.eye(8)), transform.filter(np.eye(3))
    >>> transform.correlate(spectrum, filter)[:2, :3].round(3) + 0.0
    array([[3., 0., 0.],
           [0., 3., 0.]], dtype=float32)
    """
    if name == "scipy":
        return ScipyProvider()
    if name == "fftw":
        if "fftw" not in available_providers():
            raise InputError(
                'FFT provider "fftw": pyFFTW is not installed. Install scorefold[fast] or use --fft scipy.'
            )
        from scorefold.scoring.fftw import FftwProvider  # noqa: PLC0415 - an optional dependency

        return FftwProvider(wisdom)
    raise InputError(f'FFT provider "{name}": unknown. Use one of scipy, fftw.')
