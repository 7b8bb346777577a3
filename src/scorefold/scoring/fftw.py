"""Transforms by FFTW, which chooses its algorithms by timing them.

To give the same bytes in every process the choice is made once, exported as *wisdom*, kept with the plan of the run and
imported everywhere else.
"""

import base64
import json
import math
import os
import platform
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyfftw
from numpy.typing import DTypeLike, NDArray

from scorefold.scoring.fft import GAP, Shape, Transform, block_width

Array = NDArray[Any]


class _FftwTransform(Transform):
    def __init__(self, shape: Shape, box: Shape, dtype: np.dtype[Any], *, wise: bool) -> None:
        super().__init__(shape, box, dtype)
        last = len(shape) - 1
        self._values = [self._real_buffer()]
        self._columns_of_filter = _plan(self._padded_filter, self._filter_columns, 0, wise=wise)
        self._columns_of_product = _plan(self._product, self._product, 0, wise=wise)
        rows, values = self._rows[0], self._values[0]
        self._planes = _plan(rows, rows, 1, wise=wise) if last == 2 else None
        self._lines = _plan(self._wanted(0), values, last, wise=wise)
        # Only what lies before the zeros behind a filter is ever written.
        height = shape[1] if last == 2 else box[0]
        self._padded_lines = pyfftw.zeros_aligned((box[-2], shape[-1]), dtype)
        self._padded_plane = self._plane = self._buffer((height, self._half[-1]))
        self._lines_of_filter = _plan(
            self._padded_lines, self._padded_plane[: box[-2]], 1, wise=wise, forward=True
        )
        if last == 2:
            self._plane = self._buffer(self._plane.shape)
            self._plane_of_filter = _plan(self._padded_plane, self._plane, 0, wise=wise, forward=True)

    def _filter_rows(self, array: Array) -> Array:
        result = np.empty((self.box[0], *self._half), self._plane.dtype)
        # Plane by plane, in the cache; an image is one plane.
        for plane, into in zip(
            array.reshape(-1, *self.box[-2:]), result.reshape(-1, *self._plane.shape), strict=True
        ):
            self._padded_lines[:, : self.box[-1]] = plane
            self._lines_of_filter.execute()
            if self._plane is not self._padded_plane:
                self._plane_of_filter.execute()
            np.conj(self._plane, out=into)
        return result

    def _buffer(self, shape: Shape) -> Array:
        buffer: Array = pyfftw.zeros_aligned(shape, np.result_type(self._dtype, np.complex64))
        return buffer

    def _real_buffer(self) -> Array:
        buffer: Array = pyfftw.zeros_aligned((*self.kept[:-1], self.shape[-1]), self._dtype)
        return buffer

    def _wanted(self, number: int) -> Array:
        rows = self._rows[number]
        return rows[:, : self.kept[1]] if len(self.shape) == 3 else rows

    def _transform_filter(self) -> Array:
        self._columns_of_filter.execute()
        return self._filter_columns

    def _transform_product(self) -> Array:
        self._columns_of_product.execute()
        return self._product

    def _transform_rows(self, number: int) -> Array:
        while len(self._values) <= number:
            self._values.append(self._real_buffer())
        rows, values = self._rows[number], self._values[number]
        if self._planes is not None:
            self._planes.update_arrays(rows, rows)
            self._planes.execute()
        self._lines.update_arrays(self._wanted(number), values)
        self._lines.execute()
        return values[..., : self.kept[-1]]


def _plan(source: Array, sink: Array, axis: int, *, wise: bool, forward: bool = False) -> Any:
    """Plan a transform, backward by default; a wise one never times anything."""
    options = {
        "axes": (axis,),
        "direction": "FFTW_FORWARD" if forward else "FFTW_BACKWARD",
        "threads": 1,
    }
    if wise:
        try:
            return pyfftw.FFTW(source, sink, flags=("FFTW_MEASURE", "FFTW_WISDOM_ONLY"), **options)
        except RuntimeError:  # no wisdom for this shape: choose without timing, hence reproducibly
            return pyfftw.FFTW(source, sink, flags=("FFTW_ESTIMATE",), **options)
    return pyfftw.FFTW(source, sink, flags=("FFTW_MEASURE",), **options)


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
        self._wisdom = [
            tuple(base64.b64decode(part) for part in one.split(",")) for one in wisdom.split(";") if one
        ]
        self._transforms: dict[tuple[Shape, Shape, np.dtype[Any]], _FftwTransform] = {}

    def transform(self, shape: Shape, box: Shape, dtype: DTypeLike) -> Transform:
        """Return the transform of a shape and box for `dtype` (float32 or float64)."""
        key = (tuple(shape), tuple(box), np.dtype(dtype))
        if key not in self._transforms:
            with _planning:
                pyfftw.forget_wisdom()
                for one in self._wisdom:
                    pyfftw.import_wisdom(one)
                self._transforms[key] = _FftwTransform(*key, wise=True)
        return self._transforms[key]

    def learn(self, shapes: Sequence[Shape], box: Shape, dtypes: Sequence[str]) -> str:
        """Time FFTW's algorithms for these transforms and return the wisdom as text.

        What was learned is kept in the user's cache folder, so that the next run of the same job on this machine
        transforms alike, to the last bit. Where nothing can be kept, algorithms are chosen without timing.
        """
        cache = _wisdom_cache()
        try:
            known: dict[str, str] = json.loads(cache.read_text()) if cache.exists() else {}
            wanted = [(tuple(shape), tuple(box), dtype) for shape in shapes for dtype in dtypes]
            missing = [key for key in wanted if _wisdom_key(*key) not in known]
            known |= {_wisdom_key(*key): self._time(*key) for key in missing}
            if missing:
                cache.parent.mkdir(parents=True, exist_ok=True)
                _replace_text(cache, json.dumps(known))
        except (OSError, ValueError):
            return ""
        return ";".join(known[_wisdom_key(*key)] for key in wanted)

    def _time(self, shape: Shape, box: Shape, dtype: str) -> str:
        with _planning:
            pyfftw.forget_wisdom()
            _FftwTransform(shape, box, np.dtype(dtype), wise=False)
            return ",".join(base64.b64encode(part).decode() for part in pyfftw.export_wisdom())


def _wisdom_cache() -> Path:
    """Return the file of this machine's wisdom; timing on another machine means nothing here."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "scorefold" / f"fftw-wisdom-{platform.node()}.json"


def _wisdom_key(shape: Shape, box: Shape, dtype: str) -> str:
    width = block_width(math.prod(shape[1:-1]) * (shape[-1] // 2 + 1))
    buffers = f"{width}+{GAP}"  # what was learned for others would be of no use
    return f"{np.dtype(dtype).name}:{'x'.join(map(str, shape))}:{'x'.join(map(str, box))}:{buffers}"


def _replace_text(path: Path, text: str) -> None:
    """Write a file that other processes may read at the same time."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)
