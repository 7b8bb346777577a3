"""Compiling loops with numba, kept on disk between processes where the disk allows it."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compile a function on its first call, without the global interpreter lock and without reassociating sums.

    The machine code is cached beside the module or in the user's cache folder. Where neither can be written, as in
    some containers, every process compiles for itself.
    """
    try:
        return cast("_Function", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba found no place for its cache
        return cast("_Function", numba.njit(nogil=True)(function))
