"""Moments of approximate scores: the laws of an analyzer, and the correction by a sample."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scorefold.analyzer import ApproximateMoments, ApproximateScoreMoments, Moments, ScoreMoments
from scorefold.testing import AnalyzerTests

exact_maps = arrays(np.float32, (3, 4), elements=st.floats(-2, 2, width=32))


class TestApproximateMomentsLaws(AnalyzerTests):
    offsets = ()
    scores = exact_maps
    keywords = st.one_of(st.just({}), st.fixed_dictionaries({"exact": exact_maps}))

    def make_analyzer(self, offset=None):
        return ApproximateScoreMoments()


def fold(maps):
    """Fold pairs of an approximate map and the exact one, which may be None."""
    analyzer = ApproximateScoreMoments()
    state = analyzer.init_state()
    for approximate, exact in maps:
        keywords = {} if exact is None else {"exact": exact}
        state = analyzer(state, approximate, np.eye(3), **keywords)
    return analyzer.result(state)


def test_the_sample_says_how_much_of_mean_and_variance_is_missing():
    rng = np.random.default_rng(0)
    exact = rng.normal(0.5, 2, (40, 20, 30))
    approximate = 0.9 * (exact - 0.5) + 0.3  # a tenth of the deviation is lost, and the mean is off by 0.2
    found = fold(
        [(a, e if i % 8 == 0 else None) for i, (a, e) in enumerate(zip(approximate, exact, strict=True))]
    )
    # The sample is an eighth of all scores; what it says of the loss is exact here, up to rounding.
    assert found.count == exact.size
    assert found.scores.variance == pytest.approx(0.81 * exact.var(), rel=1e-9)
    assert found.variance == pytest.approx(exact.var(), rel=1e-9)
    assert found.std == pytest.approx(exact.std(), rel=1e-9)
    # The sample's own mean is off: -0.05 times its distance from 0.5 remains.
    in_sample = exact[::8].mean() - approximate[::8].mean()
    assert found.mean == pytest.approx(approximate.mean() + in_sample, abs=1e-12)
    assert found.mean == pytest.approx(exact.mean(), abs=0.01)


def test_exact_maps_of_all_rotations_give_their_own_moments():
    rng = np.random.default_rng(1)
    exact = rng.normal(1, 3, (5, 6, 7))
    found = fold([(e + rng.normal(size=e.shape), e) for e in exact])
    expected = ScoreMoments()
    state = expected.init_state()
    for scores in exact:
        state = expected(state, scores, np.eye(3))
    assert found.exact == expected.result(state)
    assert found.mean == pytest.approx(exact.mean(), abs=1e-12)
    assert found.variance == pytest.approx(exact.var(), rel=1e-12)


def test_without_a_sample_the_approximate_scores_speak_for_themselves():
    scores = np.random.default_rng(2).normal(size=(4, 5))
    found = fold([(scores, None)])
    assert found.sample == Moments()
    assert (found.mean, found.variance) == (found.scores.mean, found.scores.variance)


def test_a_sample_without_variance_corrects_none():
    found = fold([(np.zeros((2, 2)), np.full((2, 2), 0.5)), (np.array([[1.0, 3.0]]), None)])
    assert found.variance == found.scores.variance > 0


def test_scores_that_are_not_finite_do_not_count():
    approximate, exact = np.array([1.0, np.nan, 3.0]), np.array([2.0, np.nan, 4.0])
    found = fold([(approximate, exact)])
    assert (found.count, found.sample.count, found.exact.count) == (2, 2, 2)
    assert found.mean == 3.0


def test_no_score_has_no_mean():
    nothing = ApproximateMoments()
    assert nothing.count == 0
    assert all(math.isnan(value) for value in (nothing.mean, nothing.variance, nothing.std))
