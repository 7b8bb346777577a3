"""Files on disk and objects at URLs, opened alike: as a stream, or as an array of which parts are read."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from scorefold.io.formats.layout import FormatError
from scorefold.object_stores import ObjectReader, is_url, object_status, read_object

SMALL_GAP = 2**18
"""Bytes that are rather read along than left out by a request of their own."""

LARGEST_REQUEST = 2**22
"""Bytes; as many requests as go on at the same time are held beside the values."""


def version_of(path: str) -> tuple[Any, ...]:
    """Return what changes when a file or object is written again; the second value is its size.

    Raises
    ------
    OSError
        If it is not there or must not be read.
    """
    if is_url(path):
        status = object_status(path)
        return status.changed, status.size, status.e_tag
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def size_of(path: str) -> int:
    """Return the number of bytes in a file or object.

    Raises
    ------
    FormatError
        If it is empty.
    """
    size: int = version_of(path)[1]
    if size == 0:
        raise FormatError("empty file")
    return size


def open_file(path: str) -> IO[bytes]:
    """Open a file or object for reading."""
    return cast("IO[bytes]", ObjectReader(path)) if is_url(path) else Path(path).open("rb")


def content_of(path: str) -> bytes:
    """Return all bytes of a file or object.

    Raises
    ------
    FormatError
        If it is empty.
    """
    content = read_object(path) if is_url(path) else Path(path).read_bytes()
    if not content:
        raise FormatError("empty file")
    return content


def values_of(path: str, dtype: np.dtype[Any], shape: tuple[int, ...], start: int, order: str = "C") -> Any:
    """Return the values that lie in a file, one behind the other, as an array that reads what is indexed.

    Parameters
    ----------
    path : str
        A file or object.
    dtype : numpy.dtype
        Of the values.
    shape : tuple of int
        Of the array.
    start : int
        Where the first value lies.
    order : {"C", "F"}
        Which index runs fastest: the last or the first.

    Returns
    -------
    numpy.memmap or ObjectValues
        Of a file or an object.
    """
    if not is_url(path):
        return np.memmap(path, dtype, "r", start, shape, cast("Any", order))
    return ObjectValues(ObjectReader(path), dtype, shape, start, order)


class ObjectValues:
    """The array that lies in an object; only what is indexed is read, by as few requests as are worth it.

    Parameters
    ----------
    reader : ObjectReader
        The object.
    dtype, shape, start, order
        As in `values_of`.

    Raises
    ------
    FormatError
        If the object ends before the array does.
    """

    def __init__(
        self, reader: ObjectReader, dtype: np.dtype[Any], shape: tuple[int, ...], start: int, order: str
    ) -> None:
        needed = start + math.prod(shape) * dtype.itemsize
        if needed > reader.status.size:
            raise FormatError(f"truncated file ({reader.status.size} bytes of at least {needed})")
        self.dtype, self.shape, self.ndim = dtype, shape, len(shape)
        self._reader, self._start, self._fortran = reader, start, order == "F"

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        if self._fortran:
            return self._read(self.shape[::-1], index[::-1]).T
        return self._read(self.shape, index)

    def _read(self, shape: tuple[int, ...], index: tuple[int | slice, ...]) -> NDArray[Any]:
        bounds = [
            part.indices(n)[:2] if isinstance(part, slice) else (int(part), int(part) + 1)
            for part, n in zip(index, shape, strict=True)
        ]
        lengths = [stop - start for start, stop in bounds]
        # Runs of values that lie side by side: over the last axis, and those before it while whole ones are taken.
        inner = len(shape) - 1
        while inner > 0 and lengths[inner] == shape[inner]:
            inner -= 1
        strides = [math.prod(shape[axis + 1 :]) * self.dtype.itemsize for axis in range(len(shape))]
        starts = np.full(1, self._start + bounds[inner][0] * strides[inner], np.int64)
        for (start, stop), stride in zip(bounds[:inner], strides, strict=False):
            starts = (starts[:, np.newaxis] + np.arange(start, stop) * stride).ravel()
        values = np.empty(math.prod(lengths) * self.dtype.itemsize, np.uint8)
        self._fetch(starts.tolist(), lengths[inner] * strides[inner], values)
        kept = [n for n, part in zip(lengths, index, strict=True) if isinstance(part, slice)]
        return values.view(self.dtype).reshape(kept)

    def _fetch(self, starts: list[int], run: int, values: NDArray[np.uint8]) -> None:
        """Put runs of bytes one behind the other."""
        pieces = [
            (start + first, min(run - first, LARGEST_REQUEST))
            for start in starts
            for first in range(0, run, LARGEST_REQUEST)
        ]
        requests = list(_requests(pieces))
        parts = self._reader.fetch_all([bounds for bounds, _ in requests])
        filled = 0
        for ((begin, _), wanted), part in zip(requests, parts, strict=True):
            held = np.frombuffer(part, np.uint8)
            for start, length in wanted:
                values[filled : filled + length] = held[start - begin : start - begin + length]
                filled += length


_Piece: TypeAlias = tuple[int, int]
"""Start and length."""


def _requests(pieces: list[_Piece]) -> Iterator[tuple[tuple[int, int], list[_Piece]]]:
    """Put pieces that are near to each other into one request: its bounds, and its pieces."""
    together: list[_Piece] = []
    for start, length in pieces:
        if together:
            first, end = together[0][0], sum(together[-1])
            if start - end > SMALL_GAP or start + length - first > LARGEST_REQUEST:
                yield (first, end), together
                together = []
        together.append((start, length))
    yield (together[0][0], sum(together[-1])), together
