"""What a TIFF file says of its pages, looked at before tifffile follows it."""

import math
import re
import struct
from typing import IO, Any

from scorefold.io.formats.decoding_limit import MOST_PAGES
from scorefold.io.formats.files import open_file
from scorefold.io.formats.layout import FormatError

# Of a version: offset of the first page's offset; formats of an offset and of a number of tags; bytes of a tag.
_LAYOUTS = {42: (4, "I", "H", 12), 43: (8, "Q", "Q", 20)}

_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_SIZE = re.compile(r"""\bSize[ZCT]\s*=\s*["'](\d+)["']""")
_PLANES = re.compile(r"""\b(?:NumPlanes|PlaneCount|IFD|First[ZCT])\s*=\s*["'](\d+)["']""")


def check_chain(path: str) -> None:
    """Refuse a file whose pages follow each other in a circle, around which tifffile goes for ever.

    Parameters
    ----------
    path : str
        The file; what else is wrong with it is left to tifffile.

    Raises
    ------
    FormatError
        If a page comes twice, or there are more than one file may hold.
    """
    with open_file(path) as file:
        start = file.read(8)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 8:
            return
        (version,) = struct.unpack(order + "H", start[2:4])
        if version not in _LAYOUTS:
            return
        first, offset_format, count_format, tag_bytes = _LAYOUTS[version]
        seen: set[int] = set()
        offset = _number(file, first, order + offset_format)
        while offset:
            if offset in seen:
                raise FormatError("damaged TIFF: its pages follow each other in a circle")
            seen.add(offset)
            if len(seen) > MOST_PAGES:
                raise FormatError("more than 2**20 pages. Split the file")
            tags = _number(file, offset, order + count_format)
            behind = offset + struct.calcsize(count_format) + tags * tag_bytes
            offset = _number(file, behind, order + offset_format) if behind < 2**62 else 0


def _number(file: IO[bytes], place: int, kind: str) -> int:
    """Return the number at a place, or 0 behind the end of the file."""
    file.seek(place)
    data = file.read(struct.calcsize(kind))
    return int(struct.unpack(kind, data)[0]) if len(data) == struct.calcsize(kind) else 0


def check_ome(tiff: Any) -> None:
    """Refuse OME metadata that announce more planes than a file may hold, for which tifffile makes lists.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.

    Raises
    ------
    FormatError
        If they do.
    """
    text = tiff.ome_metadata if tiff.is_ome else None
    if not text:
        return
    planes = [math.prod(map(_plane_count, _SIZE.findall(pixels))) for pixels in _PIXELS.findall(text)]
    planes += map(_plane_count, _PLANES.findall(text))
    if max(planes, default=0) > MOST_PAGES:
        raise FormatError("its OME metadata announce more than 2**20 planes. Correct them")


def _plane_count(digits: str) -> int:
    return int(digits[:20])
