"""Shape and type of images from their headers, with a check that the file is whole.

Listing a hundred thousand images must not decode them; a file cut short must be found at listing time. Decoders take
memory for what a header announces, so that is compared with the length of the file first.
"""

import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorefold.io.formats.layout import FormatError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"

#: PNG colour type -> channels without alpha, alpha; W3C PNG specification, table 9.
_PNG_COLOUR = {0: (1, 0), 2: (3, 0), 3: (1, 0), 4: (1, 1), 6: (3, 1)}

#: Bytes that a byte of a deflate stream can stand for, at most; https://zlib.net/zlib_tech.html.
_DEFLATE = 1032

# Frame headers of ITU-T T.81, table B.1: all of C0..CF but DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_START_OF_SCAN = 0xDA
_SCAN = b"\xff\xda"

# Progressive images have about ten scans, and one for every bit of every coefficient at the very most.
_MOST_SCANS = 200

_RUN_LENGTH = (1, 2)
_NO_IMAGE = "damaged, truncated or not a PNG, JPEG, BMP, PNM or WebP image"
_PIXELS_OF_A_RUN = 128  # 255 in two bytes

_LONGEST_PNM_HEADER = 4096

_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})(?:" + _GAP + rb"(\d{1,9}))?")


@dataclass(frozen=True)
class ImageHeader:
    """What a header says about the decoded image.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    channels : int
        1 for gray (whatever its alpha), 3 for colour, 4 for colour with alpha.
    dtype : numpy.dtype
        uint8 or uint16.
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]


def image_header(content: bytes, size: int | None = None) -> ImageHeader | None:
    """Read the header of a PNG or JPEG image.

    Parameters
    ----------
    content : bytes
        The whole file, or its beginning.
    size : int, optional
        Length of the whole file; what lies behind its beginning is not checked.

    Returns
    -------
    ImageHeader or None
        None for all other files.

    Raises
    ------
    FormatError
        If the file is damaged.
    """
    if content.startswith(PNG_SIGNATURE):
        return png_header(content, size)
    if content.startswith(JPEG_SIGNATURE):
        return jpeg_header(content, size)
    return None


def png_header(content: bytes, size: int | None = None) -> ImageHeader:
    """Read the header of a PNG image and check that its chunks run to the end.

    Parameters
    ----------
    content, size
        As in `image_header`.

    Returns
    -------
    ImageHeader
        A palette counts as colour, with alpha if the palette is transparent.

    Raises
    ------
    FormatError
        If the file is cut short or no PNG.
    """
    position = len(PNG_SIGNATURE)
    compressed = 0
    whole = size is None or len(content) >= size
    header: tuple[int, int, int, int] | None = None
    transparent = False
    while True:
        if position + 12 > len(content):
            raise FormatError(f"truncated PNG ({len(content)} bytes)")
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"IHDR" and length == 13:
            header = struct.unpack_from(">IIBB", content, position + 8)
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"IDAT":
            compressed += length
            if not whole:
                compressed = size or 0
                break
        elif kind == b"IEND":
            break
        position += 12 + length
    if header is None or header[3] not in _PNG_COLOUR:
        raise FormatError("PNG without a valid header")
    width, height, depth, colour_type = header
    colours, alpha = _PNG_COLOUR[colour_type]
    _check_bytes(
        "PNG", width, height, height * (width * depth * (colours + alpha) // 8), compressed * _DEFLATE
    )
    if colour_type == 3:
        colours, alpha = 3, int(transparent)
    channels = 1 if colours == 1 else colours + alpha
    return ImageHeader(height, width, channels, np.dtype(np.uint16 if depth == 16 else np.uint8))


def jpeg_header(content: bytes, size: int | None = None) -> ImageHeader:
    """Read the frame header of a JPEG image and check that its end marker is there.

    Parameters
    ----------
    content, size
        As in `image_header`.

    Returns
    -------
    ImageHeader
        Size and number of components.

    Raises
    ------
    FormatError
        If the file is cut short, CMYK or of more than 8 bits.
    """
    frame: bytes | None = None
    position = 2
    while True:
        marker, position, segment = _jpeg_segment(content, position)
        if marker in _JPEG_FRAMES:
            frame = segment
        if marker == _JPEG_START_OF_SCAN:
            break
    if frame is None or len(frame) < 6:
        raise FormatError("JPEG without a frame header")
    # Behind the start of the scan FF in data is always followed by 00, so FF D9 is the end marker.
    size = max(size or 0, len(content))
    if size == len(content) and content.find(b"\xff\xd9", position) < 0:
        raise FormatError(f"truncated JPEG ({len(content)} bytes)")
    depth, height, width, components = struct.unpack_from(">BHHB", frame)
    # A block of 8 by 8 pixels has a code of a bit or more.
    _check_bytes("JPEG", width, height, height * width // 512, size)
    if content.count(_SCAN, position) > _MOST_SCANS:
        raise FormatError(f"JPEG of more than {_MOST_SCANS} scans, each of which takes as long as an image")
    if depth != 8:
        raise FormatError(f"JPEG of {depth} bits; only 8 are supported")
    if components not in (1, 3):
        raise FormatError(f"JPEG of {components} components (CMYK); convert it to RGB or gray")
    return ImageHeader(height, width, components, np.dtype(np.uint8))


def _jpeg_segment(content: bytes, position: int) -> tuple[int, int, bytes]:
    """Return the marker at a position, the position behind its segment, and the segment's content."""
    # Any number of fill bytes may stand before a marker (T.81, B.1.1.2).
    while content[position : position + 2] == b"\xff\xff":
        position += 1
    if position + 4 > len(content) or content[position] != 0xFF:
        raise FormatError(f"truncated or damaged JPEG ({len(content)} bytes)")
    marker = content[position + 1]
    if marker in _JPEG_WITHOUT_LENGTH:
        return marker, position + 2, b""
    (length,) = struct.unpack_from(">H", content, position + 2)
    end = position + 2 + length
    return marker, end, content[position + 4 : end]


def image_size(content: bytes) -> tuple[int, int]:
    """Read how large a BMP, PNM or WebP image says it is.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    height, width : int
        Size in pixels.

    Raises
    ------
    FormatError
        If the file is none of these, or has fewer bytes than that takes.
    """
    try:
        if content.startswith(b"BM"):
            return _bmp_size(content)
        if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            return _webp_size(content)
    except struct.error:
        raise FormatError(_NO_IMAGE) from None
    match = _PNM.match(content[:_LONGEST_PNM_HEADER])
    if match is None:
        raise FormatError(_NO_IMAGE)
    kind, width, height, most = (int(number or 1) for number in match.groups())
    samples = width * height * (3 if kind in (3, 6) else 1)
    needed = {1: samples, 4: (width + 7) // 8 * height}.get(
        kind, samples * (2 if kind > 4 and most > 255 else 1)
    )
    _check_bytes("PNM", width, height, needed, len(content))
    return height, width


def _bmp_size(content: bytes) -> tuple[int, int]:
    # BITMAPCOREHEADER has 12 bytes, all others begin as BITMAPINFOHEADER.
    (length,) = struct.unpack_from("<I", content, 14)
    compression = 0
    if length == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", content, 18)
    height = abs(height)  # rows from the top are negative
    if width <= 0:
        raise FormatError(_NO_IMAGE)
    if compression in _RUN_LENGTH:
        _check_bytes("BMP", width, height, width * height // _PIXELS_OF_A_RUN, len(content))
    else:
        _check_bytes("BMP", width, height, (width * bits + 31) // 32 * 4 * height, len(content))
    return height, width


def _webp_size(content: bytes) -> tuple[int, int]:
    """Read the size of the canvas; RFC 9649, sections 2.5 to 2.7 and 3.4, and RFC 6386, section 9.1.

    Few bytes can stand for any number of equal pixels, of which there are at most 2**28 in a frame.
    """
    kind = content[12:16]
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", content, 24)
        return (low_height | high_height << 16) + 1, (low_width | high_width << 16) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", content, 26)
    return height & 0x3FFF, width & 0x3FFF


def _check_bytes(kind: str, width: int, height: int, needed: int, held: int) -> None:
    """Refuse an image that its file is too short for."""
    if needed > held:
        raise FormatError(f"truncated {kind}: {width} × {height} pixels do not fit into so few bytes")
