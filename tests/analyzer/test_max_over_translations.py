"""The maximum over translations against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings

from scorefold.analyzer import MaxScoreOverTranslations
from scorefold.errors import InputError, ScorefoldWarning
from scorefold.testing import observations

SHAPE = (3, 4)
TURNS = np.array([[[1, 0], [0, 1]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]], dtype=float)


def fold(analyzer, steps):
    state = analyzer.init_state()
    for scores, matrix, rotation_id, *_ in steps:
        state = analyzer(state, scores=scores, rotation_matrix=matrix, rotation_id=rotation_id)
    return analyzer.result(state)


@settings(deadline=None)
@given(steps=observations(SHAPE, TURNS))
def test_agrees_with_numpy(steps):
    analyzer = MaxScoreOverTranslations(SHAPE, offset=(10, -20), score_threshold=-0.4, rotations=TURNS)
    result = fold(analyzer, steps)
    stacked = np.full((len(TURNS), *SHAPE), -np.inf, dtype=np.float32)
    for step in steps:
        row = result.mapping.id_of(step.rotation_matrix)
        stacked[row] = np.fmax(stacked[row], step.scores)
    for row, best in enumerate(stacked):
        assert result.found[row] == (best.max() > np.float32(-0.4))
        if result.found[row]:
            assert result.scores[row] == best.max()
            expected = np.add(np.unravel_index(best.argmax(), SHAPE), (10, -20))
            np.testing.assert_array_equal(result.positions[row], expected)
        else:
            assert result.scores[row] == np.float32(-0.4)


def test_tiles_merge_to_the_best_position_the_first_at_ties():
    results = []
    for offset, score in (((0, 8), 0.5), ((0, -8), 0.5), ((8, 0), 0.4)):
        analyzer = MaxScoreOverTranslations(SHAPE, offset=offset)
        results.append(fold(analyzer, [(np.full(SHAPE, score), TURNS[0], None)]))
    merged = MaxScoreOverTranslations.merge(results)
    np.testing.assert_array_equal(merged.positions, [[0, -8]])
    np.testing.assert_array_equal(merged.scores, np.float32([0.5]))


def test_results_of_different_sets_are_united():
    parts = []
    for turns in (TURNS[:2], TURNS[1:]):
        analyzer = MaxScoreOverTranslations((1, 1), rotations=turns)
        parts.append(fold(analyzer, [([[0.25 * (len(parts) + 1)]], turn, None) for turn in turns]))
    merged = MaxScoreOverTranslations.merge(parts)
    assert [float(merged.scores[merged.mapping.id_of(turn)]) for turn in TURNS] == [0.25, 0.5, 0.5]


def test_only_results_of_one_threshold_merge():
    results = [fold(MaxScoreOverTranslations(SHAPE, score_threshold=limit), []) for limit in (0, 1)]
    with pytest.raises(InputError, match="thresholds"):
        MaxScoreOverTranslations.merge(results)


def test_input_is_checked():
    with pytest.warns(ScorefoldWarning, match="'use_memmap'"):
        analyzer = MaxScoreOverTranslations(SHAPE, use_memmap=True)
    with pytest.raises(InputError, match="made for shape"):
        fold(analyzer, [(np.zeros((4, 3)), TURNS[0], None)])
    with pytest.raises(InputError, match="nan"):
        MaxScoreOverTranslations(SHAPE, score_threshold=np.nan)
