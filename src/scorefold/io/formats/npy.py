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


def _stored(data: NDArray[Any]) -> StoredArray:
    if data.ndim not in (2, 3):
        raise FormatError(f"{data.ndim} axes (shape {data.shape}); an image has 2 and a volume 3")
    return StoredArray(shape=data.shape, axes=positional_axes(data.shape), dtype=data.dtype)


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
    return [_stored(_map(str(path)))]


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
    yield _stored(data), data
