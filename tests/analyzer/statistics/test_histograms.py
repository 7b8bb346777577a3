"""Histograms count what direct evaluation counts."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from scorefold.analyzer import LabelledHistogram, RegionHistogram, ScoreHistogram, order_keys
from scorefold.errors import InputError

compiling = settings(deadline=None)  # the first call compiles

half_arrays = arrays(np.float16, st.integers(1, 40), elements=st.floats(-4, 4, width=16))
single_arrays = arrays(np.float32, st.integers(1, 40), elements=st.floats(-4, 4, width=32))


def counted(analyzer, scores, **keywords):
    return analyzer.result(analyzer(analyzer.init_state(), scores, **keywords))


@compiling
@given(scores=half_arrays)
def test_half_precision_is_counted_without_loss(scores):
    histogram = counted(ScoreHistogram(np.float16), scores)
    values, counts = np.unique(scores, return_counts=True)
    np.testing.assert_array_equal(histogram.lower, values)
    np.testing.assert_array_equal(histogram.counts, [counts])
    assert histogram.count == scores.size


@compiling
@given(scores=half_arrays, threshold=st.floats(-5, 5, width=16))
def test_above_is_strict_and_exact_for_half_precision(scores, threshold):
    assert counted(ScoreHistogram(np.float16), scores).above(threshold) == (scores > threshold).sum()


@compiling
@given(scores=st.one_of(half_arrays, single_arrays), bins=st.integers(2, 50))
def test_thresholds_lie_between_the_bins(scores, bins):
    histogram = counted(ScoreHistogram(scores.dtype, bins=bins), scores)
    thresholds = histogram.thresholds
    assert thresholds.dtype == scores.dtype
    above = [(scores > threshold).sum() for threshold in thresholds]
    np.testing.assert_array_equal(above, histogram.cumulative()[0])
    cut = thresholds > -np.inf  # nothing is below a bin that reaches to -inf
    assert cut[:-1].all()
    found = [histogram.above(threshold)[0] for threshold in thresholds[cut]]
    np.testing.assert_array_equal(found, np.array(above)[cut])
    assert (above[0], above[-1]) == (0, scores.size)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_thresholds_between_infinite_and_neighbouring_scores(dtype):
    small = np.nextafter(dtype(0), dtype(1))
    scores = np.array([-np.inf, -small, 0, small, 1, np.finfo(dtype).max, np.inf], dtype)
    histogram = counted(ScoreHistogram(dtype), scores)
    above = [(scores > threshold).sum() for threshold in histogram.thresholds]
    assert above[-1] == 6, "nothing is below -inf"
    assert above[:-1] == [0, 1, 2, 3, 4, 5, 6]


@compiling
@given(scores=half_arrays, q=st.fractions(0, 1, max_denominator=100))
def test_quantiles_are_those_of_the_inverted_distribution(scores, q):
    quantile = counted(ScoreHistogram(np.float16), scores).quantile(float(q))
    rank = max(1, -((-Fraction(repr(float(q))) * scores.size) // 1))
    assert quantile == np.sort(scores)[rank - 1]


@compiling
@given(scores=single_arrays, q=st.floats(0, 1), bins=st.integers(2, 50))
def test_at_most_the_rest_exceeds_a_quantile_whatever_the_bins(scores, q, bins):
    quantile = counted(ScoreHistogram(bins=bins), scores).quantile(q)
    assert (scores > quantile).sum() <= (1 - Fraction(repr(q))) * scores.size


@compiling
@given(scores=single_arrays, bins=st.integers(2, 50))
def test_bins_are_as_narrow_as_their_number_allows(scores, bins):
    histogram = counted(ScoreHistogram(bins=bins), scores)
    keys = order_keys(scores)
    dropped_bits = next(bits for bits in range(32) if len(np.unique(keys >> bits)) <= bins)
    assert histogram.dropped_bits == dropped_bits
    assert histogram.exact == (len(np.unique(scores)) <= bins)
    values, counts = np.unique(keys >> dropped_bits, return_counts=True)
    np.testing.assert_array_equal(histogram.keys, values)
    np.testing.assert_array_equal(histogram.counts, [counts])
    for lower, upper, number in zip(histogram.lower, histogram.upper, counts, strict=True):
        assert ((scores >= lower) & (scores <= upper)).sum() == number


@pytest.mark.parametrize("spread", [1.0, 1e-6])
def test_many_scores_fill_more_than_half_of_the_bins(spread):
    scores = (1 + spread * np.random.default_rng(2).random(2**20)).astype(np.float32)
    histogram = counted(ScoreHistogram(), scores)
    values = len(np.unique(scores))
    assert histogram.count == scores.size
    assert len(histogram.keys) == values if histogram.exact else 2**17 < len(histogram.keys) <= 2**18
    assert histogram.exact == (values <= 2**18)


def test_quantile_takes_fractions_as_they_are_written():
    scores = np.arange(1000, dtype=np.float16)
    assert counted(ScoreHistogram(np.float16), scores).quantile(0.999) == 998


def test_nan_is_not_counted_and_infinity_is():
    scores = np.array([np.nan, np.inf, -np.inf, 1, -np.nan])
    assert counted(ScoreHistogram(), scores).count == 3
    half = np.array([0x7C01, 0xFFFF, 0x7E00, 0x3C00], np.uint16).view(np.float16)
    assert counted(ScoreHistogram(np.float16), half).count == 1


def test_memory_layout_does_not_matter():
    scores = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float16)
    expected = counted(ScoreHistogram(np.float16), np.ascontiguousarray(scores[::2, ::3]))
    found = counted(ScoreHistogram(np.float16), scores[::2, ::3])
    np.testing.assert_array_equal(found.counts, expected.counts)


@compiling
@given(scores=half_arrays, data=st.data())
def test_labels_go_with_their_scores(scores, data):
    labels = data.draw(arrays(np.bool_, scores.shape))
    counts = counted(LabelledHistogram(np.float16), scores, labels=labels)
    for value, positives, negatives in zip(counts.lower, counts.positives, counts.negatives, strict=True):
        assert positives == (scores[labels] == value).sum()
        assert negatives == (scores[~labels] == value).sum()
    normal = counted(ScoreHistogram(np.float16), scores[~labels])
    np.testing.assert_array_equal(counts.normal_scores().keys, normal.keys)
    np.testing.assert_array_equal(counts.normal_scores().counts, normal.counts)


def test_regions_weigh_the_same_whatever_their_size():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(60, 70)).astype(np.float16)
    truth = ndimage.gaussian_filter(rng.normal(size=scores.shape), 2) > 0.1
    regions, number = ndimage.label(truth, np.ones((3, 3)))
    counts = counted(RegionHistogram(np.float16), scores, labels=truth)
    assert counts.regions == number > 5
    assert counts.weights.sum() == number << 36, "exactly"
    expected = np.zeros(len(counts.keys))
    for region in range(1, number + 1):
        inside = scores[regions == region]
        expected += [(inside == value).sum() / inside.size for value in counts.lower]
    # Each region's weight of a bin is rounded to 2⁻³⁶.
    np.testing.assert_allclose(counts.weights / 2**36, expected, rtol=0, atol=number * 2**-36)
    np.testing.assert_array_equal(counts.normals, [(scores[~truth] == v).sum() for v in counts.lower])


def test_pixels_that_touch_at_a_corner_are_one_region():
    truth = np.array([[True, False, False], [False, True, False], [False, False, False]])
    assert counted(RegionHistogram(), np.zeros((3, 3)), labels=truth).regions == 1
    truth[0, 2] = True
    assert counted(RegionHistogram(), np.zeros((3, 3)), labels=truth).regions == 1
    truth[1, 1] = False
    assert counted(RegionHistogram(), np.zeros((3, 3)), labels=truth).regions == 2


def test_unknown_pixels_belong_to_no_region_and_do_not_part_it():
    truth = np.array([[True, True, True, False]])
    scores = np.array([[1, np.nan, 3, np.nan]], np.float16)
    counts = counted(RegionHistogram(np.float16), scores, labels=truth)
    assert counts.regions == 1
    np.testing.assert_array_equal(counts.weights, [1 << 35, 1 << 35])
    assert (
        counted(RegionHistogram(np.float16), np.full((1, 4), np.nan, np.float16), labels=truth).regions == 0
    )


def test_a_region_of_a_prime_number_of_pixels_weighs_exactly_one():
    scores = np.arange(10007).reshape(1, -1)
    counts = counted(RegionHistogram(), scores, labels=True)
    assert counts.weights.sum() == 1 << 36
    assert np.ptp(counts.weights[counts.lower < 4000]) <= 1, "shares differ by rounding alone"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "no labels"),
        ({"labels": np.zeros((2, 2), int)}, "int64"),
        ({"labels": np.zeros((1, 2), bool)}, r"\(1, 2\)"),
    ],
)
@pytest.mark.parametrize("analyzer", [LabelledHistogram(), RegionHistogram()])
def test_labels_that_do_not_fit_are_refused(analyzer, keywords, message):
    with pytest.raises(InputError, match=message):
        counted(analyzer, np.zeros((2, 2)), **keywords)


def test_scores_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="round the scores first"):
        counted(ScoreHistogram(np.float16), np.zeros(3, np.float32))
    with pytest.raises(InputError, match="complex128"):
        counted(ScoreHistogram(), np.zeros(3, complex))
    with pytest.raises(InputError, match="float64"):
        ScoreHistogram(np.float64)
    with pytest.raises(InputError, match="bins 1"):
        ScoreHistogram(bins=1)


def test_a_quantile_of_nothing_and_a_wrong_fraction_are_refused():
    empty = ScoreHistogram().result(ScoreHistogram().init_state())
    assert empty.thresholds.size == 0
    with pytest.raises(InputError, match="no scores"):
        empty.quantile(0.5)
    with pytest.raises(InputError, match=r"1\.5"):
        counted(ScoreHistogram(), np.zeros(2)).quantile(1.5)
