"""How many pixels may be decoded at once: a few bytes of a file can announce more than any memory holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from scorefold.io.formats.layout import FormatError

MAX_DECODED_PIXELS = 2**30
"""What is decoded whole may have at most this many pixels, unless `at_most_pixels` says otherwise.

It holds for PNG, JPEG, BMP, PNM and WebP images, for strips, tiles and pages of TIFF files, for compressed arrays of
.npz archives and for chunks of Zarr arrays; also for what is read whole of Zarr and tiled TIFF. Values that are mapped
into memory have none. OpenCV decodes no larger images, whatever the limit.
"""

MOST_PAGES = 2**20
"""Targets that one file or store may hold; the description of a Zarr array can announce any number."""

_limit: ContextVar[int] = ContextVar("most_decoded_pixels", default=MAX_DECODED_PIXELS)


@contextmanager
def at_most_pixels(pixels: int) -> Iterator[None]:
    """Decode nothing that has more pixels, in this thread.

    Parameters
    ----------
    pixels : int
        Number of pixels; larger images count as unreadable when they are listed, and cannot be read.

    Examples
    --------
    >>> import tempfile, cv2, numpy as np
    >>> from pathlib import Path
    >>> from scorefold.io import at_most_pixels, find_targets
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = cv2.imwrite(str(folder / "a.png"), np.zeros((30, 40), np.uint8))
    >>> with at_most_pixels(1000):
    ...     _, unreadable = find_targets([folder])
    >>> unreadable[0].reason
    '40 × 30 pixels; at most 1000 are decoded at once. Use tiled TIFF'
    """
    token = _limit.set(pixels)
    try:
        yield
    finally:
        _limit.reset(token)


def check_pixels(pixels: int, what: str, remedy: str) -> None:
    """Refuse to decode more pixels than the limit allows.

    Parameters
    ----------
    pixels : int
        How many there are.
    what, remedy : str
        What an error says of them, and what it advises.

    Raises
    ------
    FormatError
        If there are too many.
    """
    most = _limit.get()
    if pixels > most:
        shown = "2**30" if most == MAX_DECODED_PIXELS else str(most)
        raise FormatError(f"{what}; at most {shown} are decoded at once. {remedy}")
