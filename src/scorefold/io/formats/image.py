"""Images that are decoded whole: PNG, JPEG, BMP, PNM, WebP."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scorefold.io.formats.decoding_limit import check_pixels
from scorefold.io.formats.files import content_of, version_of
from scorefold.io.formats.image_headers import ImageHeader, image_header, image_size
from scorefold.io.formats.layout import FormatError, StoredArray
from scorefold.object_stores import is_url, read_start

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".pbm", ".pnm", ".webp")


_START_BYTES = 2**16
"""Bytes in which the header of nearly every image lies; photographs with previews may have a longer one."""


class _LastDecoded(threading.local):
    """The image this thread decoded last, so that the tiles of one image decode it once."""

    key: tuple[Any, ...] | None = None
    pixels: NDArray[Any] | None = None

    def get(self, path: str, page: int, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the pixels of a page, read-only; decode them if they are not at hand or the file changed."""
        key = (path, page, *version_of(path))
        if self.pixels is None or self.key != key:
            self.key, self.pixels = None, None
            pixels = decode()
            pixels.flags.writeable = False
            self.key, self.pixels = key, pixels
        return self.pixels


last_decoded = _LastDecoded()


@contextmanager
def opencv_silenced() -> Iterator[None]:
    """Keep OpenCV from printing about damaged files while they are listed, which reports each in one line.

    The level belongs to the process: not for code that runs in several threads.
    """
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def in_rgb_order(pixels: NDArray[Any]) -> NDArray[Any]:
    """Reorder OpenCV's blue, green, red (and alpha) to red, green, blue; leave gray as it is."""
    if pixels.ndim == 2:
        return pixels
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _decode(content: bytes, header: ImageHeader | None) -> NDArray[Any]:
    _check_size((header.height, header.width) if header is not None else image_size(content))
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise FormatError("damaged, truncated or not an image")
    pixels = in_rgb_order(pixels)
    if header is not None and header.channels == 1 and pixels.ndim == 3:
        # OpenCV repeats gray with alpha into four channels.
        return np.ascontiguousarray(pixels[..., 0])
    return pixels


def _check_size(shape: tuple[int, ...]) -> None:
    check_pixels(shape[0] * shape[1], f"{shape[1]} × {shape[0]} pixels", "Use tiled TIFF")


def _stored(shape: tuple[int, ...], dtype: np.dtype[Any]) -> StoredArray:
    _check_size(shape)
    return StoredArray(shape=shape, axes="YXS"[: len(shape)], dtype=dtype)


def probe(path: str | os.PathLike[str]) -> list[StoredArray]:
    """Describe an image file.

    PNG and JPEG are described from their headers; the others are decoded.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of StoredArray
        One entry. Axes are y, x and, for colour, s in the order red, green, blue, alpha. The alpha of a gray
        image is dropped. EXIF orientation is ignored: pixels stay as they are stored.

    Raises
    ------
    FormatError
        If the file is no readable image.
    """
    header = _header_at(str(path)) if is_url(str(path)) else None
    if header is None:
        content = content_of(str(path))
        header = image_header(content)
    if header is None:
        with opencv_silenced():
            pixels = _decode(content, None)
        return [_stored(pixels.shape, pixels.dtype)]
    shape = (header.height, header.width) + ((header.channels,) if header.channels > 1 else ())
    return [_stored(shape, header.dtype)]


def _header_at(url: str) -> ImageHeader | None:
    """Return the header of a PNG or JPEG image if the first bytes have it; listing does not fetch whole images."""
    start, size = read_start(url, _START_BYTES)
    try:
        return image_header(start, size) if size else None
    except FormatError:
        return None  # what is wrong is told by who reads all of it


@contextmanager
def open_array(path: str, part: str | None) -> Iterator[tuple[StoredArray, Any]]:  # noqa: ARG001 one array a file
    """Open an image file's pixels; see `probe` for their layout.

    Parameters
    ----------
    path : str
        The file.
    part : None
        An image file holds one array.

    Yields
    ------
    stored : StoredArray
        The layout.
    data : numpy.ndarray
        The pixels, read-only.
    """

    def decode() -> NDArray[Any]:
        content = content_of(path)
        return _decode(content, image_header(content))

    pixels = last_decoded.get(path, 0, decode)
    yield _stored(pixels.shape, pixels.dtype), pixels
