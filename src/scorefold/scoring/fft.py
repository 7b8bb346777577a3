"""Fourier transforms behind one small interface: SciPy's by default, FFTW when pyFFTW is installed.

A provider makes one *transform* per shape, box and precision; it correlates arrays of up to that shape with *filters*
of the size of the box. A filter is much smaller than the shape, and only positions at which it lies inside are wanted.
So axes are transformed one after the other: lines of zeros never are, and neither are lines that nobody wants. Along
the first axis the filter is transformed, multiplied and transformed back column by column, in buffers that the
processor's cache holds.
"""

import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import scipy.fft
from numpy.typing import DTypeLike, NDArray

from scorefold.errors import InputError

Array = NDArray[Any]
Shape = tuple[int, ...]

COLUMNS = 128
"""Columns along the first axis that are transformed together, at most."""

ALIGNED = 8
"""Columns together are a multiple of this, so that rows of them begin where vector instructions like it."""

GAP = 8
"""Unused columns behind those: rows a power of two apart would contend for the same lines of the cache."""


def block_width(columns: int) -> int:
    """Return how many columns are transformed together: about as many in every block, as the last one is filled up.

    Examples
    --------
    >>> block_width(321), block_width(8320), block_width(5)
    (112, 128, 8)
    """
    blocks = -(-columns // COLUMNS)
    return -(-columns // (blocks * ALIGNED)) * ALIGNED


class Filter:
    """What `Transform.correlate` needs of an array of the box.

    Its columns are transformed whenever it is used, and kept from the second time on: where it meets one tile, to keep
    them takes longer than it saves.

    Parameters
    ----------
    rows : ndarray
        The array's conjugate spectrum along all axes but the first.
    """

    def __init__(self, rows: Array) -> None:
        self.rows: Array = rows.reshape(len(rows), -1)
        self.is_used = False
        self.columns: list[Array] = []


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
        self.box = box
        self.kept = tuple(n - b + 1 for n, b in zip(shape, box, strict=True))
        self._dtype = dtype
        self._half = (*shape[1:-1], shape[-1] // 2 + 1)
        width = block_width(math.prod(self._half))
        buffers = (self._buffer((shape[0], width + GAP))[:, :width] for _ in range(3))
        self._padded_filter, self._filter_columns, self._product = buffers
        self._rows = [self._buffer((self.kept[0], *self._half))]

    def target(self, array: Array) -> Array:
        """Return the half spectrum over sqrt(size) of `array`, zero-padded at the end of each axis.

        Its shape is (blocks, n, columns): the order in which `correlate` reads it. All axes but the first count as
        columns; zeros fill the last block.
        """
        partial = self._all_but_first(array, "ortho")
        spectrum = scipy.fft.fft(partial, self.shape[0], axis=0, norm="ortho", workers=1, overwrite_x=True)
        columns = spectrum.reshape(self.shape[0], -1)
        width = self._product.shape[1]
        count = -(-columns.shape[1] // width)
        blocks = np.zeros((count, self.shape[0], width), spectrum.dtype)
        for block in range(count):
            part = columns[:, block * width : (block + 1) * width]
            blocks[block, :, : part.shape[1]] = part
        return blocks

    def filter(self, array: Array) -> Filter:
        """Return what `correlate` needs of an array of the box."""
        scaled = np.asarray(array, self._dtype) / self._dtype.type(math.sqrt(math.prod(self.shape)))
        return Filter(self._filter_rows(scaled))

    def correlate(self, target: Array, filter: Filter) -> Array:  # noqa: A002
        r"""Return :math:`\sum_u f(n + u)\, g(u)` for every position n of the box inside the shape.

        The array is a view that the next call overwrites.
        """
        return self._correlate([target], filter)[0]

    def correlate_both(self, target: Array, other: Array, filter: Filter) -> tuple[Array, Array]:  # noqa: A002
        """Return what `correlate` does for two targets; the columns of the filter are transformed once."""
        first, second = self._correlate([target, other], filter)
        return first, second

    def _correlate(self, targets: Sequence[Array], filter: Filter) -> list[Array]:  # noqa: A002
        while len(self._rows) < len(targets):
            self._rows.append(self._buffer(self._rows[0].shape))
        width, count = self._product.shape[1], math.prod(self._half)
        for block, spectra in enumerate(self._columns_of(filter)):
            place = slice(block * width, min((block + 1) * width, count))
            for target, rows in zip(targets, self._rows, strict=False):
                # What is beyond the last column is multiplied by zeros.
                np.multiply(spectra, target[block], out=self._product)
                rows.reshape(self.kept[0], -1)[:, place] = self._transform_product()[
                    : self.kept[0], : place.stop - place.start
                ]
        return [self._transform_rows(number) for number in range(len(targets))]

    def _columns_of(self, filter: Filter) -> Iterable[Array]:  # noqa: A002
        """Return the columns of a filter, transformed, block by block, each to be used before the next is taken."""
        if not filter.is_used:
            filter.is_used = True
            return self._transformed(filter)
        if not filter.columns:
            filter.columns = [columns.copy() for columns in self._transformed(filter)]
        return filter.columns

    def _transformed(self, filter: Filter) -> Iterator[Array]:  # noqa: A002
        width = self._product.shape[1]
        for start in range(0, filter.rows.shape[1], width):
            part = filter.rows[:, start : start + width]
            self._padded_filter[: len(part), : part.shape[1]] = part
            yield self._transform_filter()

    def _all_but_first(self, array: Array, norm: str) -> Array:
        """Return the half spectrum along all axes but the first."""
        spectrum: Array = scipy.fft.rfft(np.asarray(array, self._dtype), self.shape[-1], norm=norm, workers=1)
        for axis in range(len(self.shape) - 2, 0, -1):
            spectrum = scipy.fft.fft(
                spectrum, self.shape[axis], axis=axis, norm=norm, workers=1, overwrite_x=True
            )
        return spectrum

    def _filter_rows(self, array: Array) -> Array:
        """Return the conjugate spectrum, without a factor, of an array of the box along all axes but the first."""
        spectrum = self._all_but_first(array, "backward")
        return np.conj(spectrum, out=spectrum)

    def _buffer(self, shape: Shape) -> Array:
        """Return zeros for complex numbers of the working precision."""
        return np.zeros(shape, np.result_type(self._dtype, np.complex64))

    @abstractmethod
    def _transform_filter(self) -> Array:
        """Return the padded columns of a filter, transformed backwards without a factor; they stay as they are."""

    @abstractmethod
    def _transform_product(self) -> Array:
        """Return the columns of the product, transformed backwards without a factor; they may be overwritten."""

    @abstractmethod
    def _transform_rows(self, number: int) -> Array:
        """Return the unscaled real inverse of some rows along all axes but the first, cut to what is kept."""


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
    def _transform_filter(self) -> Array:
        spectra: Array = scipy.fft.ifft(self._padded_filter, axis=0, norm="forward", workers=1)
        return spectra

    def _transform_product(self) -> Array:
        columns: Array = scipy.fft.ifft(self._product, axis=0, norm="forward", workers=1, overwrite_x=True)
        return columns

    def _transform_rows(self, number: int) -> Array:
        values: Array = self._rows[number]
        for axis in range(1, len(self.shape) - 1):
            values = scipy.fft.ifft(values, axis=axis, norm="forward", workers=1, overwrite_x=True)
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
