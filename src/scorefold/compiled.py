"""Compiling loops with numba, kept on disk between processes where the disk allows it."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compile a function on its first call, without the global interpreter lock and without reassociating sums.

    The machine code is cached beside the module or in the user's cache folder. Where neither can be written, as in
    some containers, every process compiles for itself.
    """
    return _compile(function)


def fused(function: _Function) -> _Function:
    """Compile like `compiled`, and let a product and the sum it enters be rounded once instead of twice.

    Every processor with fused multiplication and addition, which are those of the last ten years, gives the same bits.
    """
    return _compile(function, fastmath={"contract"})


def _compile(function: _Function, fastmath: set[str] | None = None) -> _Function:
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath or False, "error_model": "numpy"}
    try:
        return cast("_Function", numba.njit(cache=True, **options)(function))
    except RuntimeError:  # numba found no place for its cache
        return cast("_Function", numba.njit(**options)(function))
