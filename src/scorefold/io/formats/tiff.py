"""TIFF in its dialects (plain, ImageJ, OME), read page by page and tile by tile."""

import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import cv2
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from scorefold.io.formats.decoding_limit import check_pixels
from scorefold.io.formats.files import ObjectValues, content_of, open_file, values_of, version_of
from scorefold.io.formats.image import in_rgb_order, last_decoded, opencv_silenced
from scorefold.io.formats.layout import FormatError, StoredArray
from scorefold.io.formats.tiff_pages import check_chain, check_ome
from scorefold.io.units import in_one_unit
from scorefold.object_stores import is_url

SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")

# Kinds of tifffile series in which every series is a picture in its own right; in the others (whole-slide
# scanners) the series after the first are previews and labels.
_KINDS_WITH_SEVERAL_IMAGES = ("generic", "uniform", "ome", "shaped")

# Resolution tags of ordinary images are print hints (72 or 300 dots an inch). A resolution finer than this
# is a microscope's.
_LARGEST_SENSIBLE_PIXEL = 10.0  # micrometres


_MOST_FOR_A_PAGE = 4
"""How much larger than a page an object may be that is fetched whole for it."""


def _pictures(tiff: Any) -> list[Any]:
    whole = [series for series in tiff.series if not getattr(series.keyframe, "is_reduced", False)]
    series = whole or list(tiff.series)
    if series and series[0].kind not in _KINDS_WITH_SEVERAL_IMAGES:
        return series[:1]
    return series


def _ome_sizes(tiff: Any, number: int) -> dict[str, tuple[float, object]]:
    images = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
    image = images[number] if isinstance(images, list | tuple) else images
    pixels = image["Pixels"]
    return {
        axis: (float(pixels[f"PhysicalSize{axis}"]), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "ZYX"
        if f"PhysicalSize{axis}" in pixels
    }


def _imagej_sizes(tiff: Any, page: Any) -> dict[str, tuple[float, object]]:
    metadata = tiff.imagej_metadata or {}
    unit = metadata.get("unit")
    x, y = page.get_resolution()
    sizes: dict[str, tuple[float, object]] = {
        "Y": (1 / y if y else 0.0, unit),
        "X": (1 / x if x else 0.0, unit),
    }
    if "spacing" in metadata:
        sizes = {"Z": (abs(float(metadata["spacing"])), unit), **sizes}
    return sizes


def _tag_sizes(page: Any) -> dict[str, tuple[float, object]]:
    unit = page.tags.valueof("ResolutionUnit", default=1)
    if unit not in (tifffile.RESUNIT.INCH, tifffile.RESUNIT.CENTIMETER) or "XResolution" not in page.tags:
        return {}
    x, y = page.get_resolution(tifffile.RESUNIT.MICROMETER)
    if not (x > 0 and y > 0 and max(1 / x, 1 / y) <= _LARGEST_SENSIBLE_PIXEL):
        return {}
    return {"Y": (1 / y, "micrometer"), "X": (1 / x, "micrometer")}


def _pixel_sizes(tiff: Any, series: Any, number: int) -> tuple[dict[str, float], str | None]:
    try:
        if tiff.is_ome:
            return in_one_unit(_ome_sizes(tiff, number))
        if tiff.is_imagej:
            return in_one_unit(_imagej_sizes(tiff, series.keyframe))
        return in_one_unit(_tag_sizes(series.keyframe))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        # Malformed metadata do not make the pixels unreadable.
        return {}, None


def _stored(tiff: Any, series: Any, number: int) -> StoredArray:
    axes = "".join(letter if letter in "ZYXCS" else "Q" for letter in series.axes)
    pixel_size, pixel_unit = _pixel_sizes(tiff, series, number)
    return StoredArray(
        shape=tuple(int(length) for length in series.shape),
        axes=axes,
        dtype=series.dtype,
        part=str(number) if number else None,
        pixel_size=pixel_size,
        pixel_unit=pixel_unit,
    )


def _check_whole(series: Any) -> None:
    """Refuse a file that ends before its pixels do."""
    needed: dict[Any, int] = {}
    for page in series.pages:
        if page is not None:
            file = page.parent.filehandle
            ends = (
                start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)
            )
            needed[file] = max(needed.get(file, 0), max(ends, default=0))
    if series.dataoffset is not None:
        file = series.keyframe.parent.filehandle
        needed[file] = max(needed.get(file, 0), series.dataoffset + series.nbytes)
    for file, end in needed.items():
        if end > file.size:
            raise FormatError(f"truncated TIFF ({file.size} bytes of at least {end})")


def _tifffile_decodes(page: Any) -> bool:
    return page.compression in tifffile.TIFF.DECOMPRESSORS and page.predictor in tifffile.TIFF.UNPREDICTORS


class _OpenCVPages:
    """Pages in compressions that tifffile leaves to an optional package, decoded whole by OpenCV.

    Parameters
    ----------
    path : str
        The file.
    series : tifffile.TiffPageSeries
        Pages of one shape and type.
    """

    def __init__(self, path: str, series: Any) -> None:
        page = series.keyframe
        self._path = path
        self._series = series
        self._inner = page.ndim
        self._leading = series.shape[: len(series.shape) - page.ndim]
        plain = page.photometric in (
            tifffile.PHOTOMETRIC.MINISBLACK,
            tifffile.PHOTOMETRIC.RGB,
            tifffile.PHOTOMETRIC.YCBCR,
        )
        if not plain or series.shape[len(self._leading) :] != page.shape:
            raise FormatError(f'compression {page.compression.name} needs the package "imagecodecs"')

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        leading, inner = index[: len(self._leading)], index[len(self._leading) :]
        counts = np.arange(int(np.prod(self._leading))).reshape(self._leading)[leading]
        pages = [self._decoded(int(number))[inner] for number in counts.ravel()]
        return np.stack(pages).reshape(counts.shape + pages[0].shape)

    def _decoded(self, number: int) -> NDArray[Any]:
        page = self._series.pages[number]
        return last_decoded.get(self._path, page.index, lambda: self._decode(page.index))

    def _decode(self, index: int) -> NDArray[Any]:
        keyframe = self._series.keyframe
        pages = _opencv_page(self._path, index, keyframe)
        pixels = in_rgb_order(pages[0]) if pages else None
        if (
            pixels is None
            or pixels.shape != keyframe.shape
            or pixels.dtype != keyframe.dtype.newbyteorder("=")
        ):
            raise FormatError(
                f"page {index} is damaged, or its compression {keyframe.compression.name} needs the package "
                '"imagecodecs"'
            )
        return pixels


def _opencv_page(path: str, index: int, keyframe: Any) -> Sequence[NDArray[Any]]:
    if not is_url(path):
        return cast("Sequence[NDArray[Any]]", cv2.imreadmulti(path, index, 1, flags=cv2.IMREAD_UNCHANGED)[1])
    if version_of(path)[1] > _MOST_FOR_A_PAGE * keyframe.nbytes:
        raise FormatError(
            f"many pages in compression {keyframe.compression.name}, which at a URL needs the package "
            '"imagecodecs"; or compress them with zlib'
        )
    content = np.frombuffer(content_of(path), np.uint8)
    return cast(
        "Sequence[NDArray[Any]]",
        cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=(index, index + 1))[1],
    )


def _data(path: str, series: Any, own: Any) -> Any:
    page = series.keyframe
    if series.dataoffset is not None and page.parent.filehandle is own:
        dtype = series.dtype.newbyteorder(page.parent.byteorder)
        return values_of(path, dtype, series.shape, series.dataoffset)
    check_pixels(math.prod(page.chunks), f"a strip of {page.chunks} pixels", "Store the image in tiles")
    if not _tifffile_decodes(page):
        check_pixels(
            math.prod(page.shape), f"a page of {page.shape} pixels", "Compress it with zlib, in tiles"
        )
        return _OpenCVPages(path, series)
    return zarr.open_array(series.aszarr(level=0), mode="r")


class _OpenFile:
    """An open TIFF file with the image series in it, each looked up once.

    Parameters
    ----------
    path : str
        The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        check_chain(path)
        # An object has no neighbours; tifffile would look for its other files on this machine.
        self._file = (
            tifffile.TiffFile(open_file(path), _multifile=False) if is_url(path) else tifffile.TiffFile(path)
        )
        try:
            check_ome(self._file)
            self.series = _pictures(self._file)
        except BaseException:
            self._file.close()
            raise
        self._opened: dict[int, tuple[StoredArray, Any]] = {}

    def open(self, number: int) -> tuple[StoredArray, Any]:
        """Return the layout and the values of an image series."""
        if number not in self._opened:
            if number >= len(self.series):
                raise FormatError(f"no image series {number}; the file has {len(self.series)}")
            series = self.series[number]
            self._opened[number] = (
                _stored(self._file, series, number),
                _data(self._path, series, self._file.filehandle),
            )
        return self._opened[number]

    def close(self) -> None:
        """Close the file; arrays opened from it can no longer be read."""
        self._file.close()


class _LastOpened(threading.local):
    """The TIFF file this thread read last: finding the pages of a long stack takes a while."""

    key: tuple[Any, ...] | None = None
    file: _OpenFile | None = None

    def get(self, path: str) -> _OpenFile:
        version = version_of(path)
        key = (path, *version)
        if self.file is None or self.key != key:
            if self.file is not None:
                self.file.close()
            self.key, self.file = None, None
            if version[1] == 0:
                raise FormatError("empty file")
            self.file = _OpenFile(path)
            self.key = key
        return self.file


_last_opened = _LastOpened()


def probe(path: str | os.PathLike[str]) -> list[StoredArray]:
    """Describe the images of a TIFF file.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of StoredArray
        One entry for each group of pages of equal shape and type. Only OME and ImageJ files say that their
        pages are a z axis. Stored values are taken as they are: white-is-zero is not inverted and a palette
        not applied. Pixel sizes come from OME or ImageJ metadata, or else from the resolution tags if these
        mean a pixel of at most 10 µm.

    Raises
    ------
    FormatError
        If the file is cut short or in an unsupported compression.
    Exception
        Whatever tifffile raises on a damaged file.
    """
    file = _last_opened.get(str(path))
    described = []
    for number, series in enumerate(file.series):
        _check_whole(series)
        stored, data = file.open(number)
        if not isinstance(data, np.memmap | ObjectValues):
            # The first value shows whether the compression can be decoded here.
            with opencv_silenced():
                np.asarray(data[(0,) * len(stored.shape)])
        described.append(stored)
    if not described:
        raise FormatError("TIFF without images")
    return described


@contextmanager
def open_array(path: str, part: str | None) -> Iterator[tuple[StoredArray, Any]]:
    """Open one image series of a TIFF file; only the tiles or strips that are indexed are decoded.

    Parameters
    ----------
    path : str
        The file.
    part : str or None
        `StoredArray.part`: number of the series, None for the first.

    Yields
    ------
    stored : StoredArray
        The layout.
    data : array-like
        The values: a memory map, or `ObjectValues` at a URL, where they lie uncompressed and contiguous.
    """
    yield _last_opened.get(path).open(int(part or 0))
