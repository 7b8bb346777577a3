"""One code for arrays in memory and for lazy (Dask) ones, which are known by their methods: Dask is not imported."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

AnyArray: TypeAlias = Any
"""A NumPy array, or a Dask array: whatever has `map_blocks`."""


def is_lazy(array: object) -> bool:
    """Return whether an array computes its values later, block by block."""
    return hasattr(array, "map_blocks")


def as_array(values: object) -> AnyArray:
    """Return a lazy array as it is, anything else as a NumPy array."""
    return values if is_lazy(values) else np.asarray(values)


def blockwise(
    function: Callable[..., NDArray[Any]],
    array: AnyArray,
    *others: AnyArray,
    dtype: DTypeLike,
    channels: int | None = None,
) -> AnyArray:
    """Call a function that treats elements alike: at once, or later on every block of a lazy array.

    Parameters
    ----------
    function : callable
        Takes NumPy arrays, `array` and `others`, which broadcast against it.
    array : array
        Its blocks are the result's.
    *others : arrays
        Lazy only where `array` is.
    dtype : dtype
        Of the result.
    channels : int, optional
        Length of a last axis that the function adds.
    """
    if not is_lazy(array):
        return function(array, *others)
    axes = array.ndim if channels is None else array.ndim + 1
    more = {} if channels is None else {"new_axis": array.ndim, "chunks": (*array.chunks, (channels,))}
    # `meta` keeps Dask from trying the function on an empty array.
    return array.map_blocks(function, *others, dtype=dtype, meta=np.empty((0,) * axes, dtype), **more)


def aligned(array: AnyArray, model: AnyArray) -> AnyArray:
    """Return an array of the shape of `model` as a lazy array in the same blocks."""
    if is_lazy(array):
        return array.rechunk(model.chunks)
    return model.map_blocks(
        _region, array, dtype=array.dtype, meta=np.empty((0,) * array.ndim, array.dtype), name=False
    )


def _region(_: NDArray[Any], array: NDArray[Any], block_info: dict[Any, Any]) -> NDArray[Any]:
    """Return what a block of another array covers."""
    return array[tuple(slice(start, stop) for start, stop in block_info[0]["array-location"])]
