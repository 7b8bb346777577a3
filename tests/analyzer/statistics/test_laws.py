"""The statistics obey the laws of a commutative monoid, bit for bit."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scorefold.analyzer import (
    AnalyzerProduct,
    DefectDensity,
    FeatureGaussian,
    LabelledHistogram,
    MinMax,
    PixelHistogram,
    PixelMoments,
    RegionHistogram,
    ScoreHistogram,
    TopScores,
)
from scorefold.errors import InputError, ScorefoldWarning
from scorefold.testing import AnalyzerTests, score_maps

SHAPE = (3, 4)

masks = arrays(np.bool_, SHAPE)
half_scores = score_maps(SHAPE, (0.0, -0.0, 0.5, 0.1, -0.4, 6e4, np.inf, -np.inf, np.nan)).map(
    lambda scores: scores.astype(np.float16)
)
levels = st.one_of(
    arrays(np.uint16, SHAPE),
    arrays(np.int32, SHAPE, elements=st.integers(-(2**31) + 1, 2**31 - 1)),
    arrays(np.float32, SHAPE, elements=st.integers(-(2**20), 2**20).map(float)),
)


class StatisticsTests(AnalyzerTests):
    offsets = ()


class TestMinMax(StatisticsTests):
    def make_analyzer(self, offset=None):
        return MinMax(self.shape)


class TestScoreHistogramOfFewBins(StatisticsTests):
    """Bits are dropped at different times in different orders."""

    def make_analyzer(self, offset=None):
        return ScoreHistogram(bins=3)


class TestRegionHistogramOfFewBins(StatisticsTests):
    keywords = st.fixed_dictionaries({"labels": st.one_of(st.booleans(), masks)})

    def make_analyzer(self, offset=None):
        return RegionHistogram(bins=4)


class TestLabelledHistogram(StatisticsTests):
    scores = half_scores
    keywords = st.fixed_dictionaries({"labels": st.one_of(st.booleans(), masks)})

    def make_analyzer(self, offset=None):
        return LabelledHistogram(np.float16)


class TestPixelMoments(StatisticsTests):
    scores = levels
    keywords = st.fixed_dictionaries({}, optional={"valid": masks})

    def make_analyzer(self, offset=None):
        return PixelMoments(self.shape)


class TestPixelHistogram(StatisticsTests):
    scores = arrays(np.uint8, SHAPE, elements=st.integers(0, 6))
    keywords = st.fixed_dictionaries({}, optional={"valid": masks})

    def make_analyzer(self, offset=None):
        return PixelHistogram(self.shape, bins=7)


class TestFeatureGaussian(StatisticsTests):
    scores = levels
    keywords = st.fixed_dictionaries({}, optional={"valid": arrays(np.bool_, SHAPE[:1])})

    def make_analyzer(self, offset=None):
        return FeatureGaussian(*self.shape)


class TestTopScores(StatisticsTests):
    keywords = st.fixed_dictionaries({"image_id": st.integers(0, 5)})

    def make_analyzer(self, offset=None):
        return TopScores(3)


class TestDefectDensity(StatisticsTests):
    def make_analyzer(self, offset=None):
        return DefectDensity(self.shape)


class TestProductOfStatistics(StatisticsTests):
    """Each takes the keywords it needs from those of the stream."""

    keywords = st.fixed_dictionaries({"labels": masks, "valid": masks, "image_id": st.integers(0, 9)})

    def make_analyzer(self, offset=None):
        return AnalyzerProduct(MinMax(), LabelledHistogram(bins=5), TopScores(2), DefectDensity(self.shape))


def test_keywords_of_no_stream_are_warned_about():
    with pytest.warns(ScorefoldWarning, match="'label'"):
        MinMax()(MinMax().init_state(), np.zeros(3), label=True)


def test_results_of_different_types_do_not_merge():
    single, half = ScoreHistogram(), ScoreHistogram(np.float16)
    with pytest.raises(InputError, match="float16"):
        single.merge([single.result(single.init_state()), half.result(half.init_state())])
    small, large = PixelMoments((1, 2)), PixelMoments((2, 2))
    with pytest.raises(InputError, match=r"\(1, 2\) and \(2, 2\)"):
        small.merge([small.result(small.init_state()), large.result(large.init_state())])
