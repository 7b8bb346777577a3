"""NumPy's .npy files, mapped into memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.io.formats.layout import FormatError, StoredArray, positional_axes

SUFFIXES = (".npy",)


def _map(path: str) -> NDArray[Any]:
    if Path(path).stat().st_size == 0:
        raise FormatError("empty file")
    data: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return data


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
    data : numpy.memmap
        The values.
    """
    data = _map(path)
    yield stored_array(data.shape, data.dtype), data
