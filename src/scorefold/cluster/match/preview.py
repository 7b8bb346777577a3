"""The best scores of a tile in a few cells, for whoever watches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.events import PREVIEW_CELLS, Preview


def preview(target: str, scores: NDArray[Any], start: Sequence[int], shape: Sequence[int]) -> Preview:
    """Return what is shown of the best scores of a tile.

    Parameters
    ----------
    target : str
        Name of the target.
    scores : ndarray, shape (y, x) or (z, y, x)
        The best scores; of a volume, the highest along z are shown.
    start : sequence of int
        Where the tile begins in the target.
    shape : sequence of int
        Of the target.
    """
    flat = scores.max(axis=0) if scores.ndim == 3 else scores
    factor = -(-max(shape[-2:]) // PREVIEW_CELLS)
    grid = (-(-shape[-2] // factor), -(-shape[-1] // factor))
    first = (start[-2] // factor, start[-1] // factor)
    cells: NDArray[Any] = flat
    for axis in (0, 1):
        begin = start[-2 + axis]
        edges = np.arange(first[axis] * factor, begin + flat.shape[axis], factor) - begin
        cells = np.maximum.reduceat(cells, np.maximum(edges, 0), axis=axis)
    size = (cells.shape[0], cells.shape[1])
    return Preview(target, float(flat.max()), grid, first, size, cells.astype("<f4").tobytes())
