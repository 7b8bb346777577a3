"""NumPy's .npy files, of which only what is indexed is read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from scorefold.io.formats.files import open_file, size_of, values_of
from scorefold.io.formats.layout import FormatError, StoredArray, positional_axes
from scorefold.object_stores import is_url

SUFFIXES = (".npy",)


def _map(path: str) -> Any:
    size_of(path)
    if not is_url(path):
        return np.load(path, mmap_mode="r", allow_pickle=False)
    with open_file(path) as file:
        shape, fortran_order, dtype = read_header(file)
        if dtype.hasobject:
            raise FormatError("values are Python objects; real numbers are needed")
        return values_of(path, dtype, shape, file.tell(), "F" if fortran_order else "C")


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array up to its first value.

    Returns
    -------
    shape : tuple of int
        Of the array.
    fortran_order : bool
        Whether its first index runs fastest.
    dtype : numpy.dtype
        Of its values.

    Raises
    ------
    FormatError, ValueError
        If there is none.
    """
    version = npy_format.read_magic(file)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(file)
    if version == (2, 0):
        return npy_format.read_array_header_2_0(file)
    raise FormatError(f"its arrays have version {version}; images have 1.0 or 2.0")


def stored_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> StoredArray:
    """Describe an array that has neither names of axes nor pixel sizes.

    Raises
    ------
    FormatError
        If it is neither an image nor a volume.
    """
    if len(shape) not in (2, 3):
        raise FormatError(f"{len(shape)} axes (shape {shape}); an image has 2 and a volume 3")
    return StoredArray(shape=shape, axes=positional_axes(shape), dtype=dtype)


def probe(path: str | os.PathLike[str]) -> list[StoredArray]:
    """Describe a .npy file; (y, x), (z, y, x), or (y, x, 3 or 4) for colour.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of StoredArray
        One entry.

    Raises
    ------
    FormatError, ValueError, OSError
        If the file is cut short, pickled, or of a type or shape that cannot be matched.
    """
    data = _map(str(path))
    return [stored_array(data.shape, data.dtype)]


@contextmanager
def open_array(path: str, part: str | None) -> Iterator[tuple[StoredArray, Any]]:  # noqa: ARG001 one array a file
    """Open a .npy file; only what is indexed is read.

    Parameters
    ----------
    path : str
        The file.
    part : None
        A .npy file holds one array.

    Yields
    ------
    stored : StoredArray
        The layout.
    data : numpy.memmap or ObjectValues
        The values.
    """
    data = _map(path)
    yield stored_array(data.shape, data.dtype), data
