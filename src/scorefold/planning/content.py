"""One pass over a target's pixels: digest, mean, standard deviation, and whether it can be searched."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError

Read = Callable[[tuple[slice, ...]], NDArray[Any]]

SLAB_BYTES = 32 * 2**20
"""Pixels are read in slabs of about this size, so that a target larger than memory can be looked at."""


@dataclass(frozen=True)
class Content:
    """What a pass over all pixels found.

    Attributes
    ----------
    digest : str
        SHA-256 over shape, dtype and pixels in C order (little-endian).
    mean, std : float
        Over all pixels; population standard deviation, merged over slabs after Chan et al. (1983) in float64.
    """

    digest: str
    mean: float
    std: float


def examine(read: Read, shape: tuple[int, ...], name: str) -> Content:
    """Read all pixels once.

    Parameters
    ----------
    read : callable
        Returns the pixels of a region.
    shape : tuple of int
        Shape of the target.
    name : str
        What to call the target in an error.

    Raises
    ------
    InputError
        If the target contains values that are not finite or too large, or is constant.
    """
    hasher = hashlib.sha256(repr(tuple(shape)).encode())
    rows = max(1, SLAB_BYTES // (8 * math.prod(shape[1:])))
    count, mean, spread, broken = 0, 0.0, 0.0, 0
    for start in range(0, shape[0], rows):
        slab = read((slice(start, min(start + rows, shape[0])), *(slice(0, n) for n in shape[1:])))
        slab = np.ascontiguousarray(slab, slab.dtype.newbyteorder("<"))
        if start == 0:
            hasher.update(slab.dtype.str.encode())
        hasher.update(slab.data)
        values = slab.astype(np.float64, copy=False)
        broken += int(values.size - np.isfinite(values).sum())
        if broken:
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            slab_mean = float(values.mean())
            slab_spread = float(((values - slab_mean) ** 2).sum())
        total = count + values.size
        shift = slab_mean - mean
        spread += slab_spread + shift * shift * count * values.size / total
        mean += shift * values.size / total
        count = total
    if broken:
        raise InputError(
            f'target "{name}": {broken} pixels are NaN or infinite. Replace them before searching.'
        )
    std = math.sqrt(spread / count)
    if not math.isfinite(std):
        raise InputError(f'target "{name}": its pixels are too large for a standard deviation. Rescale them.')
    if std <= 1e-12 * abs(mean) or std == 0:
        raise InputError(f'target "{name}": all pixels are equal, there is nothing to find.')
    return Content(hasher.hexdigest(), mean, std)
