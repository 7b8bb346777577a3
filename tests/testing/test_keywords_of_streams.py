"""Streams may carry keywords, and an analyzer that changes what it is given there is caught."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scorefold.analyzer import DefectDensity, LabelledHistogram
from scorefold.testing import AnalyzerTests


class DensityWithinRegion(DefectDensity):
    """Clears the part of the mask that is not valid, in the caller's own array."""

    def __call__(self, state, scores, rotation_matrix=None, *, valid, **kwargs):
        valid &= scores > 0
        return super().__call__(state, valid, rotation_matrix, **kwargs)


class WriterTests(AnalyzerTests):
    shape = (1, 2)  # the smallest counterexample is soon found
    keywords = st.fixed_dictionaries({"valid": arrays(np.bool_, (1, 2), elements=st.just(True))})

    def make_analyzer(self, offset=None):
        return DensityWithinRegion(self.shape)


class HistogramWithoutLabels(AnalyzerTests):
    def make_analyzer(self, offset=None):
        return LabelledHistogram(bins=8)


def test_an_analyzer_that_writes_into_a_keyword_is_caught():
    with pytest.raises(AssertionError, match="changed the keyword valid"):
        WriterTests().test_folding_leaves_its_inputs_alone()


def test_keywords_reach_the_analyzer_only_if_the_stream_has_them():
    with pytest.raises(ValueError, match="no labels"):
        HistogramWithoutLabels().test_order_of_folding_is_irrelevant()
