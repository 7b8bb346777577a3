"""Fourier transforms behind one small interface: SciPy's by default, FFTW when pyFFTW is installed.

A provider makes one *transform* per (shape, precision). A transform zero-pads what it is given to its shape,
so that a rotated template and a tile share it. Spectra are scaled by 1/sqrt(size), so that the unscaled
inverse of a product of two of them is their convolution. FFTW chooses its algorithms by timing them; to give
the same bytes in every process the choice is made once, exported as *wisdom*, kept with the plan of the run
and imported everywhere else.
"""

import base64
import importlib.util
import json
import os
import platform
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.fft
from numpy.typing import DTypeLike, NDArray

from scorefold.errors import InputError

Array = NDArray[Any]


class Transform(Protocol):
    """A real Fourier transform of one shape and precision."""

    shape: tuple[int, ...]

    def forward(self, array: Array) -> Array:
        """Return the half spectrum over sqrt(size) of `array`, zero-padded at the end of each axis."""
        ...

    def inverse_of_product(self, first: Array, second: Array, wanted: tuple[int, ...] | None = None) -> Array:
        """Return the inverse transform of ``first * second``, or the first `wanted` values along each axis.

        The array may be overwritten by the next call.
        """
        ...


class FourierProvider(Protocol):
    """Where transforms come from. Transforms have buffers, so that a provider serves one thread at a time."""

    name: str

    def transform(self, shape: tuple[int, ...], dtype: DTypeLike) -> Transform:
        """Return the transform for real arrays of `shape` and `dtype` (float32 or float64)."""
        ...

    def learn(self, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str]) -> str:
        """Choose algorithms for these transforms and return the choice as text, for `provider` elsewhere."""
        ...


def padded_spectrum(array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the half spectrum over sqrt(size) of an array that is zero-padded at the end of each axis.

    Axis by axis, the last first: what is padded is transformed when its turn comes, so that lines of zeros never are.
    A template a quarter as long as the transform on each axis costs less than half of a transform.
    """
    spectrum: Array = scipy.fft.rfft(np.asarray(array, dtype), shape[-1], norm="ortho", workers=1)
    for axis in range(len(shape) - 2, -1, -1):
        spectrum = scipy.fft.fft(spectrum, shape[axis], axis=axis, norm="ortho", workers=1, overwrite_x=True)
    return spectrum


class _ScipyTransform:
    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self._dtype = dtype
        half = (*shape[:-1], shape[-1] // 2 + 1)
        self._product = np.empty(half, np.result_type(dtype, np.complex64))

    def forward(self, array: Array) -> Array:
        return padded_spectrum(array, self.shape, self._dtype)

    def inverse_of_product(self, first: Array, second: Array, wanted: tuple[int, ...] | None = None) -> Array:
        kept = wanted or self.shape
        values: Array = np.multiply(first, second, out=self._product)
        # Axis by axis, the first first: lines that nobody wants are dropped before they are transformed.
        for axis in range(len(self.shape) - 1):
            values = scipy.fft.ifft(values, axis=axis, norm="forward", workers=1, overwrite_x=True)
            values = values[(slice(None),) * axis + (slice(0, kept[axis]),)]
        values = scipy.fft.irfft(values, self.shape[-1], norm="forward", workers=1, overwrite_x=True)
        return values[..., : kept[-1]]


class ScipyProvider:
    """Transforms by `scipy.fft` (pocketfft), one thread each."""

    name = "scipy"

    def __init__(self) -> None:
        self._transforms: dict[tuple[tuple[int, ...], np.dtype[Any]], _ScipyTransform] = {}

    def transform(self, shape: tuple[int, ...], dtype: DTypeLike) -> Transform:
        """Return the transform for real arrays of `shape` and `dtype` (float32 or float64)."""
        key = (tuple(shape), np.dtype(dtype))
        if key not in self._transforms:
            self._transforms[key] = _ScipyTransform(*key)
        return self._transforms[key]

    def learn(self, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str]) -> str:  # noqa: ARG002
        """Return an empty text: SciPy's algorithms do not depend on timing."""
        return ""


class _FftwTransform:
    def __init__(self, pyfftw: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *, wise: bool) -> None:
        self.shape = shape
        self._dtype = dtype
        complex_dtype = np.result_type(dtype, np.complex64)
        half = (*shape[:-1], shape[-1] // 2 + 1)
        self._real = pyfftw.zeros_aligned(shape, dtype)
        self._half = pyfftw.empty_aligned(half, complex_dtype)
        axes = tuple(range(len(shape)))

        def plan(source: Array, sink: Array, direction: str) -> Any:
            options = {"axes": axes, "direction": direction, "threads": 1}
            if wise:
                try:
                    return pyfftw.FFTW(source, sink, flags=("FFTW_MEASURE", "FFTW_WISDOM_ONLY"), **options)
                except RuntimeError:  # no wisdom for this shape: choose without timing, hence reproducibly
                    return pyfftw.FFTW(source, sink, flags=("FFTW_ESTIMATE",), **options)
            return pyfftw.FFTW(source, sink, flags=("FFTW_MEASURE",), **options)

        self._inverse = plan(self._half, self._real, "FFTW_BACKWARD")

    def forward(self, array: Array) -> Array:
        return padded_spectrum(array, self.shape, self._dtype)

    def inverse_of_product(self, first: Array, second: Array, wanted: tuple[int, ...] | None = None) -> Array:
        np.multiply(first, second, out=self._half)
        self._inverse.execute()
        values: Array = self._real[tuple(slice(0, n) for n in wanted or self.shape)]
        return values


_planning = threading.Lock()
"""FFTW keeps one body of wisdom a process: held while it is that of one provider and nobody else's."""


class FftwProvider:
    """Transforms by FFTW through pyFFTW (``pip install scorefold[fast]``), one thread each.

    Parameters
    ----------
    wisdom : str
        What `learn` returned; empty to choose every algorithm without timing.
    """

    name = "fftw"

    def __init__(self, wisdom: str = "") -> None:
        import pyfftw  # noqa: PLC0415 - an optional dependency

        self._pyfftw = pyfftw
        self._wisdom = [
            tuple(base64.b64decode(part) for part in one.split(",")) for one in wisdom.split(";") if one
        ]
        self._transforms: dict[tuple[tuple[int, ...], np.dtype[Any]], _FftwTransform] = {}

    def transform(self, shape: tuple[int, ...], dtype: DTypeLike) -> Transform:
        """Return the transform for real arrays of `shape` and `dtype` (float32 or float64)."""
        key = (tuple(shape), np.dtype(dtype))
        if key not in self._transforms:
            with _planning:
                self._pyfftw.forget_wisdom()
                for one in self._wisdom:
                    self._pyfftw.import_wisdom(one)
                self._transforms[key] = _FftwTransform(self._pyfftw, *key, wise=True)
        return self._transforms[key]

    def learn(self, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str]) -> str:
        """Time FFTW's algorithms for these transforms and return the wisdom as text.

        What was learned is kept in the user's cache folder, so that the next run of the same job on this machine
        transforms alike, to the last bit. Where nothing can be kept, algorithms are chosen without timing.
        """
        cache = _wisdom_cache()
        try:
            known: dict[str, str] = json.loads(cache.read_text()) if cache.exists() else {}
            wanted = [(tuple(shape), dtype) for shape in shapes for dtype in dtypes]
            missing = [key for key in wanted if _wisdom_key(*key) not in known]
            known |= {_wisdom_key(*key): self._time(*key) for key in missing}
            if missing:
                cache.parent.mkdir(parents=True, exist_ok=True)
                _replace_text(cache, json.dumps(known))
        except (OSError, ValueError):
            return ""
        return ";".join(known[_wisdom_key(*key)] for key in wanted)

    def _time(self, shape: tuple[int, ...], dtype: str) -> str:
        with _planning:
            self._pyfftw.forget_wisdom()
            _FftwTransform(self._pyfftw, shape, np.dtype(dtype), wise=False)
            return ",".join(base64.b64encode(part).decode() for part in self._pyfftw.export_wisdom())


def _wisdom_cache() -> Path:
    """Return the file of this machine's wisdom; timing on another machine means nothing here."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "scorefold" / f"fftw-wisdom-{platform.node()}.json"


def _wisdom_key(shape: tuple[int, ...], dtype: str) -> str:
    return f"{np.dtype(dtype).name}:{'x'.join(map(str, shape))}"


def _replace_text(path: Path, text: str) -> None:
    """Write a file that other processes may read at the same time."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


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
    >>> transform = provider("scipy").transform((8, 8), "float32")
    >>> spectrum = transform.forward(np.ones((3, 3)))
    >>> delta = transform.forward(np.ones((1, 1)))
    >>> float(transform.inverse_of_product(spectrum, delta).sum().round(5))
    9.0
    """
    if name == "scipy":
        return ScipyProvider()
    if name == "fftw":
        if "fftw" not in available_providers():
            raise InputError(
                'FFT provider "fftw": pyFFTW is not installed. Install scorefold[fast] or use --fft scipy.'
            )
        return FftwProvider(wisdom)
    raise InputError(f'FFT provider "{name}": unknown. Use one of scipy, fftw.')
