"""MRC and CCP4 maps, of which only what is indexed is read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import mrcfile
from mrcfile import utils
from mrcfile.mrcinterpreter import MrcInterpreter

from scorefold.io.formats.files import open_file, size_of, values_of
from scorefold.io.formats.layout import FormatError, StoredArray
from scorefold.io.units import in_one_unit
from scorefold.object_stores import is_url

SUFFIXES = (".mrc", ".mrcs", ".map", ".ccp4", ".rec", ".st", ".ali")

# IMOD and others leave the space group at 0 (an image stack) in tomograms; where the name says what the file
# is, the name is believed.
_VOLUME_SUFFIXES = (".rec", ".map", ".ccp4")
_STACK_SUFFIXES = (".mrcs", ".st", ".ali")


_HEADER_BYTES = 1024


class _MrcObject(MrcInterpreter):  # type: ignore[misc] # mrcfile has no types
    """An MRC file at a URL; mrcfile itself would read all of it."""

    def __init__(self, path: str) -> None:
        self._path = path
        super().__init__(open_file(path))

    def _read_data(self, max_bytes: int = 0) -> None:  # noqa: ARG002 nothing is read yet
        dtype, shape = utils.data_dtype_from_header(self.header), utils.data_shape_from_header(self.header)
        start = _HEADER_BYTES + int(self.header.nsymbt)
        self._data = values_of(self._path, dtype, shape, start)

    def flush(self) -> None:
        """Leave the object as it is."""


def _axes(path: str, mrc: Any) -> str:
    order = (int(mrc.header.maps), int(mrc.header.mapr), int(mrc.header.mapc))
    if order == (0, 0, 0):
        order = (3, 2, 1)
    if sorted(order) != [1, 2, 3]:
        raise FormatError(f"axis order MAPC, MAPR, MAPS = {order[::-1]} is no permutation of 1, 2, 3")
    axes = "".join(" XYZ"[number] for number in order)
    dimensions = mrc.data.ndim
    if dimensions == 4:
        return "T" + axes
    if dimensions == 2:
        return "YX"
    suffix = Path(path).suffix.lower()
    stack = mrc.is_image_stack() if suffix not in _VOLUME_SUFFIXES else False
    return "IYX" if stack or suffix in _STACK_SUFFIXES else axes


def _stored(path: str, mrc: Any) -> StoredArray:
    voxel = mrc.voxel_size
    sizes = {axis: (float(voxel[axis.lower()]), "angstrom") for axis in "ZYX"}
    pixel_size, pixel_unit = in_one_unit(sizes)
    return StoredArray(
        shape=tuple(int(length) for length in mrc.data.shape),
        axes=_axes(path, mrc),
        dtype=mrc.data.dtype,
        pixel_size=pixel_size,
        pixel_unit=pixel_unit,
    )


def _check_extended_header(path: str) -> None:
    """Refuse a file that is shorter than its extended header, for which mrcfile takes memory before it reads."""
    size = size_of(path)
    with open_file(path) as file:
        header = file.read(_HEADER_BYTES)
    order: Literal["big", "little"] = "big" if header[212:213] == b"\x11" else "little"
    length = int.from_bytes(header[92:96], order, signed=True)
    if not 0 <= length <= max(0, size - _HEADER_BYTES):
        raise FormatError(f"truncated MRC ({size} bytes, and {length} of them an extended header)")


@contextmanager
def open_array(path: str, part: str | None) -> Iterator[tuple[StoredArray, Any]]:  # noqa: ARG001 one array a file
    """Open an MRC file; only what is indexed is read.

    Parameters
    ----------
    path : str
        The file.
    part : None
        An MRC file holds one array.

    Yields
    ------
    stored : StoredArray
        The layout. Files of the kinds .rec, .map and .ccp4 are volumes, .mrcs, .st and .ali stacks of
        images, .mrc what the header's space group says. The header's axis order is obeyed.
    data : numpy.memmap or ObjectValues
        The values.
    """
    _check_extended_header(path)
    with _MrcObject(path) if is_url(path) else mrcfile.mmap(path, mode="r", permissive=False) as mrc:
        yield _stored(path, mrc), mrc.data


def probe(path: str | os.PathLike[str]) -> list[StoredArray]:
    """Describe an MRC file.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of StoredArray
        One entry; pixel sizes in angstrom where the header has a cell.

    Raises
    ------
    FormatError, ValueError, OSError
        If the header is invalid, the data are complex or cut short.
    """
    with open_array(str(path), None) as (stored, _):
        return [stored]
