"""Smallest, largest and highest-ranked scores."""

import numpy as np
import pytest

from scorefold.analyzer import MinMax, ScoreRange, TopScores
from scorefold.errors import InputError


def test_range_passes_over_nan():
    analyzer = MinMax()
    scores = np.array([[np.nan, 3], [-2, np.nan]], np.float16)
    assert analyzer(analyzer.init_state(), scores) == ScoreRange(-2, 3)
    nothing = analyzer(analyzer.init_state(), np.full(3, np.nan))
    assert nothing.empty
    assert nothing == ScoreRange()
    with pytest.raises(InputError, match=r"\(2, 2\)"):
        MinMax((3,))(ScoreRange(), scores)


def test_ranking_is_by_score_then_by_id():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 50).astype(np.float16)
    analyzer = TopScores(20)
    state = analyzer.init_state()
    for image_id in rng.permutation(50):
        state = analyzer(state, scores[image_id], image_id=int(image_id))
    expected = sorted(range(50), key=lambda image_id: (-scores[image_id], image_id))[:20]
    ranking = analyzer.result(state)
    np.testing.assert_array_equal(ranking.image_ids, expected)
    np.testing.assert_array_equal(ranking.scores, scores[expected])


def test_the_score_of_a_map_is_its_largest():
    analyzer = TopScores(3)
    state = analyzer(analyzer.init_state(), np.array([[np.nan, 2], [1, 0]]), image_id=7)
    state = analyzer(state, np.full((2, 2), np.nan), image_id=8)
    assert (state.scores.tolist(), state.image_ids.tolist()) == ([2.0], [7])


def test_an_image_needs_an_id_and_a_ranking_a_length():
    with pytest.raises(InputError, match="image_id"):
        TopScores(3)(TopScores(3).init_state(), np.zeros(2))
    with pytest.raises(InputError, match="k 0"):
        TopScores(0)
