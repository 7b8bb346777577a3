"""The maximum over rotations without side effects, for JAX arrays or NumPy's."""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np


class FunctionalState(NamedTuple):
    """State that is never modified; a pytree of arrays for JAX.

    Parameters
    ----------
    scores : array, shape of the score maps
        Best score of every position.
    rotations : int32 array of the same shape
        Id of the rotation that gave it, -1 where there is none.
    matrices : array of shape (n, d, d)
        The rotations observed, by id; without rows if the analyzer has a fixed rotation set.
    """

    scores: Any
    rotations: Any
    matrices: Any


def array_namespace() -> Any:
    """Return `jax.numpy` if JAX is installed, else `numpy`."""
    return import_module("jax.numpy") if find_spec("jax") else np


def is_traced(value: Any) -> bool:
    """Whether a value is the stand-in of an array while JAX compiles a function."""
    return "jax" in sys.modules and isinstance(value, sys.modules["jax"].core.Tracer)


def improves(best: Any, rotations: Any, scores: Any, wins_tie: Any) -> Any:
    """Return where scores beat the best so far: higher, or equal and `wins_tie` against its rotation."""
    return (scores > best) | ((scores == best) & (rotations >= 0) & wins_tie)


def precedes(xp: Any, matrix: Any, matrices: Any) -> Any:
    """Return for each of (n, d, d) matrices whether `matrix` comes before it in lexicographic order."""
    rows = matrices.reshape(matrices.shape[0], -1)
    entries = xp.broadcast_to(matrix.reshape(1, -1), rows.shape)
    first = xp.argmax(entries != rows, axis=1)[:, None]
    return (xp.take_along_axis(entries, first, axis=1) < xp.take_along_axis(rows, first, axis=1))[:, 0]


def fold(
    xp: Any, state: FunctionalState, scores: Any, matrix: Any, rotation_id: Any | None
) -> FunctionalState:
    """Return the state after one more score map.

    Parameters
    ----------
    xp : module
        `numpy` or `jax.numpy`.
    state : FunctionalState
        Left alone.
    scores : array
        Scores in the state's dtype.
    matrix : array of shape (d, d)
        The rotation. Without an id it is appended to the rotations observed, known or not.
    rotation_id : int or array, optional
        Its id in the fixed rotation set.
    """
    matrices = state.matrices
    if rotation_id is None:
        # NumPy keeps float64 where JAX, unless compiling or told otherwise, would round to float32.
        module = xp if is_traced(matrix) or is_traced(matrices) else np
        rotation_id = matrices.shape[0]
        matrices = module.concatenate([matrices, matrix[None]])
        wins_tie = xp.asarray(precedes(module, matrix, matrices))[state.rotations]
    else:
        wins_tie = rotation_id < state.rotations
    better = improves(state.scores, state.rotations, scores, wins_tie)
    return FunctionalState(
        scores=xp.where(better, scores, state.scores),
        rotations=xp.where(better, xp.asarray(rotation_id, dtype=np.int32), state.rotations),
        matrices=matrices,
    )
