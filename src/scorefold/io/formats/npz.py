"""NumPy's .npz archives: one array, or several by name."""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from scorefold.io.formats.decoding_limit import check_pixels
from scorefold.io.formats.files import open_file, size_of, values_of
from scorefold.io.formats.image import last_decoded
from scorefold.io.formats.layout import FormatError, StoredArray
from scorefold.io.formats.npy import read_header, stored_array

SUFFIXES = (".npz",)

_ENDING = ".npy"
_DAMAGED = "damaged, truncated or not an .npz archive"

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, length of the name and of the extra field of a member (APPNOTE.TXT - .ZIP File Format, 4.3.7)."""


@dataclass(frozen=True)
class _Member:
    """An array of the archive, as its header describes it; `start` is the offset of its values in the member."""

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    start: int

    @property
    def name(self) -> str:
        return self.info.filename.removesuffix(_ENDING)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


@contextmanager
def _archive(path: str) -> Iterator[zipfile.ZipFile]:
    size_of(path)
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError):
        raise FormatError(_DAMAGED) from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    with archive.open(info) as file:
        shape, fortran_order, dtype = read_header(file)
        member = _Member(info, shape, fortran_order, dtype, file.tell())
    if not dtype.hasobject and member.start + member.nbytes != info.file_size:
        raise FormatError(f'array "{member.name}" is cut short')
    return member


def _is_image(member: _Member) -> bool:
    return len(member.shape) >= 2 and member.dtype.kind in "biuf"


def probe(path: str | os.PathLike[str]) -> list[StoredArray]:
    """Describe the arrays of an .npz archive.

    Numbers, lists and text that were saved beside images are passed over.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of StoredArray
        One entry an array, with the axes of `scorefold.io.formats.npy.probe`.

    Raises
    ------
    FormatError, ValueError, OSError
        If the file is damaged, or an array of a type or shape that cannot be matched is all that it holds.
    """
    with _archive(str(path)) as archive:
        infos = [info for info in archive.infolist() if info.filename.endswith(_ENDING)]
        members = [_member(archive, info) for info in infos]
    if not members:
        raise FormatError("an archive without arrays")
    images = [member for member in members if _is_image(member)]
    return [_stored(member) for member in images or members]


def _stored(member: _Member) -> StoredArray:
    return replace(stored_array(member.shape, member.dtype), part=member.name)


@contextmanager
def open_array(path: str, part: str | None) -> Iterator[tuple[StoredArray, Any]]:
    """Open one array; of an archive without compression, only what is indexed is read.

    Parameters
    ----------
    path : str
        The file.
    part : str or None
        Name of the array.

    Yields
    ------
    stored : StoredArray
        The layout.
    data : numpy.ndarray or ObjectValues
        The values, read-only.
    """
    with _archive(path) as archive:
        try:
            info = archive.getinfo(f"{part}{_ENDING}")
        except KeyError:
            raise FormatError(f'it no longer holds an array "{part}"') from None
        member = _member(archive, info)
    stored = _stored(member)
    if info.compress_type == zipfile.ZIP_STORED:
        yield stored, _mapped(path, member)
    else:
        yield stored, last_decoded.get(path, info.header_offset, lambda: _decoded(path, member))


def _mapped(path: str, member: _Member) -> Any:
    with open_file(path) as file:
        file.seek(member.info.header_offset)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if signature != b"PK\x03\x04":
        raise FormatError(_DAMAGED)
    first = member.info.header_offset + _LOCAL_HEADER.size + name_length + extra_length + member.start
    return values_of(path, member.dtype, member.shape, first, "F" if member.fortran_order else "C")


def _decoded(path: str, member: _Member) -> NDArray[Any]:
    pixels = member.nbytes // member.dtype.itemsize
    check_pixels(pixels, f"{pixels} values, compressed", "Save them with numpy.savez")
    with _archive(path) as archive, archive.open(member.info) as file:
        data: NDArray[Any] = npy_format.read_array(file, allow_pickle=False)
    return data
