"""Folding numerator × weight straight into an analyzer's state, where possible without a score map.

`fold_terms` has a plain path, which makes the score map and calls the analyzer, and fused paths for the
analyzers registered here. Both do the same arithmetic in the same order and give the same bytes.
"""

from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import AbstractAnalyzer, AnalyzerProduct, MaxScoreOverRotations, ScoreMoments
from scorefold.analyzer.max_score_state import MaxScoreState
from scorefold.analyzer.moments import LANES, add_row, sum_of_lanes
from scorefold.compiled import compiled
from scorefold.scoring.kernels import as_volume
from scorefold.scoring.tile import Window

Array = NDArray[Any]


@singledispatch
def fold_terms(
    analyzer: AbstractAnalyzer[Any, Any],
    state: Any,
    numerator: Array,
    weight: Array | None,
    window: Window,
    rotation: Array,
    rotation_id: int,
) -> Any:
    """Fold the scores ``numerator * weight`` of one tile at one rotation into a state.

    Parameters
    ----------
    analyzer : AbstractAnalyzer
        Made for the shape of the tile.
    state
        Its state, which may be updated in place.
    numerator, weight : ndarray
        Terms of the score at every position of the tile; weight None stands for 1.
    window : tuple of (int, int)
        Positions that are scored; at all others the score is NaN.
    rotation : ndarray, shape (d, d)
        The rotation.
    rotation_id : int
        Its row in the rotation set.

    Returns
    -------
    The new state.
    """
    inside = tuple(slice(first, stop) for first, stop in window)
    scores = np.full(numerator.shape, np.nan, numerator.dtype)
    np.multiply(numerator[inside], 1 if weight is None else weight[inside], out=scores[inside])
    return analyzer(state, scores=scores, rotation_matrix=rotation, rotation_id=rotation_id)


def _plain(analyzer: AbstractAnalyzer[Any, Any], *terms: Any) -> Any:
    return fold_terms.dispatch(object)(analyzer, *terms)


@fold_terms.register
def _(analyzer: AnalyzerProduct, state: Any, *terms: Any) -> Any:
    if type(analyzer) is not AnalyzerProduct:
        return _plain(analyzer, state, *terms)
    return tuple(fold_terms(part, held, *terms) for part, held in zip(analyzer.analyzers, state, strict=True))


@fold_terms.register
def _(
    analyzer: MaxScoreOverRotations,
    state: Any,
    numerator: Array,
    weight: Array | None,
    window: Window,
    rotation: Array,
    rotation_id: int,
) -> Any:
    if not folds_in_place(analyzer, state, numerator.dtype):
        return _plain(analyzer, state, numerator, weight, window, rotation, rotation_id)
    volumes = _as_volumes(numerator, weight, window)
    with state.lock:
        _fold_maximum(*volumes, as_volume(state.scores), as_volume(state.rotations), rotation_id)
    return state


@fold_terms.register
def _(
    analyzer: ScoreMoments,
    state: Any,
    numerator: Array,
    weight: Array | None,
    window: Window,
    rotation: Array,
    rotation_id: int,
) -> Any:
    if type(analyzer) is not ScoreMoments:
        return _plain(analyzer, state, numerator, weight, window, rotation, rotation_id)
    return state + analyzer.moments_of_sums(*window_sums(numerator, weight, window))


def window_sums(numerator: Array, weight: Array | None, window: Window) -> tuple[int, float, float]:
    """Return number, sum and sum of squares of the scores ``numerator * weight`` in a window."""
    return _window_sums(*_as_volumes(numerator, weight, window))


def folds_in_place(analyzer: MaxScoreOverRotations, state: Any, dtype: np.dtype[Any]) -> bool:
    """Tell whether scores may go straight into a state's arrays.

    Only a fixed rotation set gives an id its place in a tie; subclasses may count differently.
    """
    return (
        type(analyzer) is MaxScoreOverRotations
        and analyzer.rotations is not None
        and isinstance(state, MaxScoreState)
        and state.scores.dtype == dtype
    )


def _as_volumes(numerator: Array, weight: Array | None, window: Window) -> tuple[Array, Array, bool, Array]:
    bounds = np.array([(0, 1)] * (3 - len(window)) + list(window), np.int64)
    weights = numerator if weight is None else weight
    return as_volume(numerator), as_volume(weights), weight is not None, bounds


@compiled
def _fold_maximum(
    numerator: Array, weight: Array, weighted: bool, window: Array, best: Array, ids: Array, rotation_id: int
) -> None:
    for z in range(window[0, 0], window[0, 1]):
        for y in range(window[1, 0], window[1, 1]):
            for x in range(window[2, 0], window[2, 1]):
                score = numerator[z, y, x]
                if weighted:
                    score = score * weight[z, y, x]
                held = ids[z, y, x]
                if score > best[z, y, x] or (score == best[z, y, x] and rotation_id < held):
                    best[z, y, x] = score
                    ids[z, y, x] = rotation_id


@compiled
def _window_sums(numerator: Array, weight: Array, weighted: bool, window: Array) -> tuple[int, float, float]:
    sums = np.zeros(LANES)
    squares = np.zeros(LANES)
    count = 0
    # Zeros stand for the positions outside of the window: adding one changes no sum.
    row = np.zeros(numerator.shape[2], numerator.dtype)
    first, stop = window[2, 0], window[2, 1]
    for z in range(window[0, 0], window[0, 1]):
        for y in range(window[1, 0], window[1, 1]):
            for x in range(first, stop):
                row[x] = numerator[z, y, x] * weight[z, y, x] if weighted else numerator[z, y, x]
            count += add_row(row, sums, squares) - (row.size - (stop - first))
    return count, sum_of_lanes(sums), sum_of_lanes(squares)
