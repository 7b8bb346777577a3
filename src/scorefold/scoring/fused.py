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
from scorefold.analyzer.moments import LANES, sum_of_lanes
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
    match analyzer.analyzers:
        case (MaxScoreOverRotations() as maximum, ScoreMoments() as moments) if (
            folds_in_place(maximum, state[0], terms[0].dtype) and type(moments) is ScoreMoments
        ):
            numerator, weight, window, _, rotation_id = terms
            held, known = state
            with held.lock:
                sums = _fold_both(
                    *_as_volumes(numerator, weight, window),
                    as_volume(held.scores),
                    as_volume(held.rotations),
                    rotation_id,
                )
            return held, known + moments.moments_of_sums(*sums)
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


# Rows are cut out before they are looped over, with indices that count from 0: the loops become vector instructions.


@compiled
def _score_row(numerator: Array, weight: Array, weighted: bool, scores: Array) -> None:
    """Write the scores of a row; they are read again more than once, and the numerators may lie apart."""
    if weighted:
        for x in range(scores.size):
            scores[x] = numerator[x] * weight[x]
    else:
        for x in range(scores.size):
            scores[x] = numerator[x]


@compiled
def _raise_row(scores: Array, best: Array, ids: Array, rotation_id: int) -> None:
    """Fold a row of scores into a maximum, as `fold_maximum` does."""
    own = np.int32(rotation_id)  # of the width of the others, as a vector instruction wants it
    for x in range(scores.size):
        score, held = scores[x], best[x]
        better = (score > held) | ((score == held) & (own < ids[x]))
        best[x] = score if better else held
        ids[x] = own if better else ids[x]


@compiled
def _finite_row(scores: Array, values: Array) -> int:
    """Write a row of scores as float64, zeros for those that are not finite; return the number of the others."""
    count = 0
    for x in range(scores.size):
        value = np.float64(scores[x])
        finite = np.abs(value) < np.inf
        values[x] = value if finite else 0.0
        count += finite
    return count


@compiled
def _add_row(values: Array, sums: Array, squares: Array) -> None:
    """Add a row to running sums: those of `add_row`, for a row that is finite."""
    whole = values.size - values.size % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            sums[lane] += values[start + lane]
            squares[lane] += values[start + lane] * values[start + lane]
    for x in range(whole, values.size):
        sums[x - whole] += values[x]
        squares[x - whole] += values[x] * values[x]


@compiled
def _fold_maximum(
    numerator: Array, weight: Array, weighted: bool, window: Array, best: Array, ids: Array, rotation_id: int
) -> None:
    first, stop = window[2, 0], window[2, 1]
    scores = np.empty(stop - first, numerator.dtype)
    for z in range(window[0, 0], window[0, 1]):
        for y in range(window[1, 0], window[1, 1]):
            _score_row(numerator[z, y, first:stop], weight[z, y, first:stop], weighted, scores)
            _raise_row(scores, best[z, y, first:stop], ids[z, y, first:stop], rotation_id)


@compiled
def _window_sums(numerator: Array, weight: Array, weighted: bool, window: Array) -> tuple[int, float, float]:
    sums, squares, count = np.zeros(LANES), np.zeros(LANES), 0
    first, stop = window[2, 0], window[2, 1]
    scores = np.empty(stop - first, numerator.dtype)
    # Zeros stand for the positions outside of the window: adding one changes no sum.
    values = np.zeros(numerator.shape[2])
    for z in range(window[0, 0], window[0, 1]):
        for y in range(window[1, 0], window[1, 1]):
            _score_row(numerator[z, y, first:stop], weight[z, y, first:stop], weighted, scores)
            count += _finite_row(scores, values[first:stop])
            _add_row(values, sums, squares)
    return count, sum_of_lanes(sums), sum_of_lanes(squares)


@compiled
def _fold_both(
    numerator: Array, weight: Array, weighted: bool, window: Array, best: Array, ids: Array, rotation_id: int
) -> tuple[int, float, float]:
    """Fold scores into a maximum and return their sums, in one pass over numerators and weights."""
    sums, squares, count = np.zeros(LANES), np.zeros(LANES), 0
    first, stop = window[2, 0], window[2, 1]
    scores = np.empty(stop - first, numerator.dtype)
    values = np.zeros(numerator.shape[2])
    for z in range(window[0, 0], window[0, 1]):
        for y in range(window[1, 0], window[1, 1]):
            _score_row(numerator[z, y, first:stop], weight[z, y, first:stop], weighted, scores)
            _raise_row(scores, best[z, y, first:stop], ids[z, y, first:stop], rotation_id)
            count += _finite_row(scores, values[first:stop])
            _add_row(values, sums, squares)
    return count, sum_of_lanes(sums), sum_of_lanes(squares)
