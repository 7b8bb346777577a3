"""Every analyzer obeys the laws of a commutative monoid, bit for bit."""

import numpy as np
import pytest

from scorefold.analyzer import (
    AnalyzerProduct,
    MaxScoreOverRotations,
    MaxScoreOverRotationsConstrained,
    MaxScoreOverTranslations,
    PeakCallerFast,
    PeakCallerMaximumFilter,
    PeakCallerRecursiveMasking,
    PeakCallerScipy,
    PeakCallerSort,
    PeakClustering,
    ScoreMoments,
)
from scorefold.testing import AnalyzerTests

QUARTER_TURNS = np.array(
    [[[1, 0], [0, 1]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]], [[0, 1], [-1, 0]]], dtype=np.float64
)  # on purpose not in lexicographic order


class TestMaxScoreOverRotations(AnalyzerTests):
    def make_analyzer(self, offset=None):
        return MaxScoreOverRotations(self.shape, offset=offset, score_threshold=-1)


class TestMaxScoreOverRotationsOfFixedSet(AnalyzerTests):
    rotations = QUARTER_TURNS

    def make_analyzer(self, offset=None):
        return MaxScoreOverRotations(self.shape, offset=offset, rotations=self.rotations)


class TestMaxScoreOverRotationsFunctional(AnalyzerTests):
    def make_analyzer(self, offset=None):
        return MaxScoreOverRotations(self.shape, offset=offset, jax_mode=True)


class TestMaxScoreOverRotations3D(AnalyzerTests):
    shape = (2, 2, 3)
    offsets = ((0, 0, 0), (-3, 1, 1))

    def make_analyzer(self, offset=None):
        return MaxScoreOverRotations(self.shape, offset=offset)


class TestMaxScoreOverRotationsConstrained(AnalyzerTests):
    def make_analyzer(self, offset=None):
        return MaxScoreOverRotationsConstrained(
            self.shape,
            positions=[[0, 0], [2, 3]],
            reference_rotations=QUARTER_TURNS[:2],
            cone_angle=95,
            acceptance_radius=2,
            offset=offset,
            score_threshold=-np.inf,
        )


class TestMaxScoreOverTranslations(AnalyzerTests):
    def make_analyzer(self, offset=None):
        return MaxScoreOverTranslations(self.shape, offset=offset)


class TestMaxScoreOverTranslationsOfFixedSet(AnalyzerTests):
    rotations = QUARTER_TURNS

    def make_analyzer(self, offset=None):
        return MaxScoreOverTranslations(
            self.shape, offset=offset, rotations=self.rotations, score_threshold=-np.inf
        )


class TestScoreMoments(AnalyzerTests):
    offsets = ()

    def make_analyzer(self, offset=None):
        return ScoreMoments(self.shape)


class TestAnalyzerProduct(AnalyzerTests):
    def make_analyzer(self, offset=None):
        return AnalyzerProduct(
            MaxScoreOverRotations(self.shape, offset=offset),
            AnalyzerProduct(ScoreMoments(), PeakCallerSort(self.shape, num_peaks=2, offset=offset)),
        )


class PeakCallerTests(AnalyzerTests):
    """Few candidates are kept, so that the cut is exercised."""

    caller: type

    def make_analyzer(self, offset=None):
        return self.caller(self.shape, num_peaks=2, min_distance=1, num_candidates=3, offset=offset)


class TestPeakCallerSort(PeakCallerTests):
    caller = PeakCallerSort


class TestPeakCallerMaximumFilter(PeakCallerTests):
    caller = PeakCallerMaximumFilter


class TestPeakCallerFast(PeakCallerTests):
    caller = PeakCallerFast


class TestPeakCallerRecursiveMasking(PeakCallerTests):
    caller = PeakCallerRecursiveMasking


class TestPeakCallerScipy(PeakCallerTests):
    caller = PeakCallerScipy


class TestPeakClustering(PeakCallerTests):
    caller = PeakClustering


class TestPeakCallerOfFixedSet(AnalyzerTests):
    rotations = QUARTER_TURNS

    def make_analyzer(self, offset=None):
        return PeakCallerSort(
            self.shape, num_peaks=4, min_score=0, max_score=1, offset=offset, rotations=self.rotations
        )


@pytest.mark.parametrize("threshold", [0, -np.inf])
def test_identity_of_a_fixed_set_knows_the_whole_set(threshold):
    analyzer = MaxScoreOverRotations((2, 2), rotations=QUARTER_TURNS, score_threshold=threshold)
    scores, _, rotations, mapping = analyzer.result(analyzer.init_state())
    assert (scores == threshold).all()
    assert (rotations == -1).all()
    np.testing.assert_array_equal(mapping.matrices, QUARTER_TURNS)
