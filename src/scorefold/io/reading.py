"""Reading the pixels of targets, templates and masks."""

import dataclasses
import math
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.io.formats import FORMATS, FormatError
from scorefold.io.formats.decoding_limit import check_pixels
from scorefold.io.formats.layout import Pages, assign_roles, cut
from scorefold.io.listing import absolute_path
from scorefold.io.targets import TargetSource, describe, reason_of, sources_in


class TargetReadError(InputError):
    """A target that was listed and can no longer be read.

    Parameters
    ----------
    name : str
        Name of the target.
    reason : str
        What is wrong, in one line.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'target "{name}": {reason}. Repair or remove the file.')
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type["TargetReadError"], tuple[str, str]]:
        return type(self), (self.name, self.reason)


def read_region(source: TargetSource, region: tuple[slice, ...]) -> NDArray[Any]:
    """Read part of a target.

    Only what is needed is read from .npy, MRC, Zarr and uncompressed or tiled TIFF files. Images that must be
    decoded whole (PNG, JPEG, …, and TIFF compressions that tifffile leaves to others) are decoded once for
    consecutive regions: each thread keeps the one it decoded last.

    Parameters
    ----------
    source : TargetSource
        Where the pixels are.
    region : tuple of slice
        One slice for each axis of the target, of step 1; it must not be empty nor exceed the shape.

    Returns
    -------
    numpy.ndarray
        A new C-contiguous array in `source.dtype`, in native byte order.

    Raises
    ------
    InputError
        If the region does not lie in the target.
    TargetReadError
        If the file cannot be read, or is no longer what was listed.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from scorefold.io import find_targets, read_region
    >>> path = Path(tempfile.mkdtemp()) / "image.npy"
    >>> np.save(path, np.arange(12, dtype=np.uint8).reshape(3, 4))
    >>> (source,), _ = find_targets([path])
    >>> read_region(source, (slice(1, 3), slice(0, 2)))
    array([[4, 5],
           [8, 9]], dtype=uint8)
    """
    return _read(source, _normalized(source, region))


def read_target(source: TargetSource) -> NDArray[Any]:
    """Read a whole target.

    Parameters
    ----------
    source : TargetSource
        Where the pixels are.

    Returns
    -------
    numpy.ndarray
        A new C-contiguous array of shape `source.shape` in `source.dtype`.

    Raises
    ------
    TargetReadError
        If the file cannot be read, or is no longer what was listed.
    """
    return _read(source, ...)


def find_array(
    path: str | Path,
    *,
    channel: int | None = None,
    gray: bool = False,
    pages: Pages = "volume",
    role: str = "file",
) -> TargetSource:
    """Describe a template or mask file, which must hold one array.

    Parameters
    ----------
    path : str or Path
        A file or store in any format of `find_targets`.
    channel : int, optional
        As in `find_targets`; a file with one channel has no choice, and ignores it.
    gray : bool
        As in `find_targets`.
    pages : {"auto", "batch", "volume"}
        As in `find_targets`; by default a stack is a volume.
    role : str
        What an error message calls the file: "template", "mask".

    Returns
    -------
    TargetSource
        Named after the file.

    Raises
    ------
    InputError
        If the file is missing or unreadable, holds several arrays, or several channels and none is chosen.
    """
    label = f'{role} "{path}"'
    try:
        _, arrays = describe(absolute_path(path))
        if all(stored.channels == 1 for stored in arrays):
            channel, gray = None, False
        found = sources_in(absolute_path(path), label, channel=channel, gray=gray, pages=pages)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{label}: {reason_of(error)}. Pass an image or volume file.") from error
    if len(found) != 1:
        raise InputError(
            f"{label}: holds {len(found)} arrays. Pass a file with one, or name one of its arrays."
        )
    return dataclasses.replace(found[0][0], name=Path(path).name)


def read_array(
    path: str | Path,
    *,
    channel: int | None = None,
    gray: bool = False,
    pages: Pages = "volume",
    role: str = "file",
) -> NDArray[Any]:
    """Read a template or mask file, which must hold one array.

    Parameters
    ----------
    path, channel, gray, pages, role
        As in `find_array`.

    Returns
    -------
    numpy.ndarray
        A new C-contiguous array with axes (y, x) or (z, y, x).

    Raises
    ------
    InputError
        If the file is missing or unreadable, holds several arrays, or several channels and none is chosen.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from scorefold.io import read_array
    >>> path = Path(tempfile.mkdtemp()) / "template.npy"
    >>> np.save(path, np.eye(2, dtype=np.float32))
    >>> read_array(path)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    source = find_array(path, channel=channel, gray=gray, pages=pages, role=role)
    try:
        return read_target(source)
    except TargetReadError as error:
        raise InputError(f'{role} "{path}": {error.reason}. Repair or replace the file.') from error


def _read(source: TargetSource, region: tuple[slice, ...] | EllipsisType) -> NDArray[Any]:
    try:
        return _cut(source, region)
    except Exception as error:
        raise TargetReadError(source.name, reason_of(error)) from error


def _cut(source: TargetSource, region: tuple[slice, ...] | EllipsisType) -> NDArray[Any]:
    with FORMATS[source.format].open_array(source.path, source.dataset) as (stored, data):
        roles = assign_roles(stored, pages="volume" if len(source.shape) == 3 else "batch")
        shape = tuple(stored.shape[axis] for axis in roles.spatial)
        if shape != source.shape:
            raise FormatError(f"its shape is {shape}, and was {source.shape} when it was listed")
        if region is ... and not isinstance(data, np.ndarray):
            check_pixels(math.prod(shape), f"{math.prod(shape)} pixels", "Read it in parts")
        pixels = cut(stored, data, roles, region, page=source.page, channel=source.channel, gray=source.gray)
    if pixels.dtype != source.dtype:
        raise FormatError(f"its values are {pixels.dtype}, and were {source.dtype} when it was listed")
    return pixels


def _normalized(source: TargetSource, region: tuple[slice, ...]) -> tuple[slice, ...]:
    message = f'target "{source.name}" of shape {source.shape}: region {region} does not lie in it.'
    if len(region) != len(source.shape):
        raise InputError(f"{message} Pass {len(source.shape)} slices.")
    bounds = []
    for part, length in zip(region, source.shape, strict=True):
        start = 0 if part.start is None else part.start
        stop = length if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start < stop <= length:
            raise InputError(f"{message} Pass slices with 0 <= start < stop <= length and step 1.")
        bounds.append(slice(start, stop))
    return tuple(bounds)
