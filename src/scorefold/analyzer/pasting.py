"""The bounding box of tiles in target coordinates, and each tile's place in it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError

Offset = NDArray[np.int64]


def bounding_box(
    offsets: Sequence[Offset], shapes: Sequence[tuple[int, ...]]
) -> tuple[Offset, tuple[int, ...], list[tuple[slice, ...]]]:
    """Return the box around tiles.

    Parameters
    ----------
    offsets : sequence of (d,) int64 arrays
        Origin of every tile in target coordinates; may be negative.
    shapes : sequence of tuple of int
        Shape of every tile.

    Returns
    -------
    offset : (d,) int64 array
        Origin of the box.
    shape : tuple of int
        Shape of the box.
    places : list of tuple of slice
        Where every tile lies in the box.
    """
    if len({len(shape) for shape in shapes}) > 1:
        raise InputError(
            f"merge: tiles of shapes {sorted(set(shapes))} differ in dimensions; merge them separately"
        )
    origin = np.min(offsets, axis=0)
    end = np.max(np.asarray(offsets) + np.asarray(shapes), axis=0)
    places = [
        tuple(
            slice(int(start), int(start) + size) for start, size in zip(offset - origin, shape, strict=True)
        )
        for offset, shape in zip(offsets, shapes, strict=True)
    ]
    return origin, tuple(int(size) for size in end - origin), places
