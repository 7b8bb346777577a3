"""Shape and type of PNG and JPEG images from their headers, with a check that the file is whole.

Listing a hundred thousand images must not decode them; a file cut short must be found at listing time.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorefold.io.formats.layout import FormatError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"

#: PNG colour type -> channels without alpha, alpha; W3C PNG specification, table 9.
_PNG_COLOUR = {0: (1, 0), 2: (3, 0), 3: (3, 0), 4: (1, 1), 6: (3, 1)}

# Frame headers of ITU-T T.81, table B.1: all of C0..CF but DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_START_OF_SCAN = 0xDA


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


def png_header(content: bytes) -> ImageHeader:
    """Read the header of a PNG image and check that its chunks run to the end.

    Parameters
    ----------
    content : bytes
        The whole file.

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
        elif kind == b"IEND":
            break
        position += 12 + length
    if header is None or header[3] not in _PNG_COLOUR:
        raise FormatError("PNG without a valid header")
    width, height, depth, colour_type = header
    colours, alpha = _PNG_COLOUR[colour_type]
    if colour_type == 3 and transparent:
        alpha = 1
    channels = 1 if colours == 1 else colours + alpha
    return ImageHeader(height, width, channels, np.dtype(np.uint16 if depth == 16 else np.uint8))


def jpeg_header(content: bytes) -> ImageHeader:
    """Read the frame header of a JPEG image and check that its end marker is there.

    Parameters
    ----------
    content : bytes
        The whole file.

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
    if content.find(b"\xff\xd9", position) < 0:
        raise FormatError(f"truncated JPEG ({len(content)} bytes)")
    depth, height, width, components = struct.unpack_from(">BHHB", frame)
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
