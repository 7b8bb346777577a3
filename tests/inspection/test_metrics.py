"""Metrics out of counts agree with scikit-learn and with direct evaluation of all scores in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn import metrics as sklearn_metrics

from scorefold.analyzer import LabelledHistogram, RegionHistogram
from scorefold.errors import InputError
from scorefold.inspection import (
    Confusion,
    aupimo,
    aupro,
    aupro_error_bound,
    auroc,
    average_precision,
    confusion,
    error_bounds,
    f1_max,
    pimo_band,
    precision_recall_curve,
    pro_curve,
    roc_curve,
)
from scorefold.inspection.metrics import PimoBand
from scorefold.testing import merge_along, merge_trees

compiling = settings(deadline=None)  # the first call compiles
SAMPLES = 2_000_000


def counted(analyzer, scores, labels):
    return analyzer.result(analyzer(analyzer.init_state(), scores, labels=labels))


def labelled(scores, labels, dtype=np.float32, **keywords):
    return counted(LabelledHistogram(dtype, **keywords), np.asarray(scores, dtype), np.asarray(labels, bool))


def f1_of(scores, labels, threshold):
    return sklearn_metrics.f1_score(labels, scores > threshold, zero_division=0)


def largest_f1(scores, labels):
    precisions, recalls, _ = sklearn_metrics.precision_recall_curve(labels, scores)
    return (2 * precisions * recalls / np.maximum(precisions + recalls, 1e-300)).max()


def distribution(name, rng):
    labels = rng.random(SAMPLES) < (0.01 if name == "few" else 0.001 if name == "rare" else 0.3)
    noise = rng.normal(size=SAMPLES)
    scores = {
        "normal": lambda: noise + labels,
        "few": lambda: np.abs(noise + 3 * labels),
        "rare": lambda: np.abs(noise + 2 * labels),
        "narrow": lambda: 100 + rng.random(SAMPLES) ** np.where(labels, 0.7, 1),
        "wide": lambda: np.exp(2 * noise + labels),
        "heavy ties": lambda: np.round(3 * noise + 2 * labels) / 7,
    }[name]()
    return scores.astype(np.float32), labels


MORE = [pytest.param(name, marks=pytest.mark.long) for name in ("rare", "narrow", "wide")]


@pytest.mark.parametrize("name", ["normal", "few", "heavy ties", *MORE])
def test_ranking_metrics_of_two_million_scores(name):
    scores, labels = distribution(name, np.random.default_rng(0))
    counts = labelled(scores, labels)
    bounds = error_bounds(counts)
    # A bin for each value: nothing is lost but the rounding of sums.
    tied = name in {"narrow", "heavy ties"}
    assert counts.exact == tied
    for found, expected, bound, tolerance in (
        (auroc(counts), sklearn_metrics.roc_auc_score(labels, scores), bounds.auroc, 1e-6),
        (
            average_precision(counts),
            sklearn_metrics.average_precision_score(labels, scores),
            bounds.average_precision,
            5e-5,
        ),
        (f1_max(counts)[0], largest_f1(scores, labels), bounds.f1, 1e-4),
    ):
        assert found == pytest.approx(expected, rel=0, abs=1e-12 if tied else tolerance)
        assert abs(found - expected) <= bound + 1e-12


alphabet = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, -2.0, 3.0])


@st.composite
def labelled_scores(draw, dtype, elements):
    scores = draw(arrays(dtype, st.integers(2, 30), elements=elements))
    labels = draw(arrays(np.bool_, scores.shape))
    labels[:2] = [True, False]
    return scores, labels


@compiling
@given(drawn=labelled_scores(np.float16, st.one_of(alphabet, st.floats(-4, 4, width=16))))
def test_half_precision_scores_give_exact_metrics(drawn):
    scores, labels = drawn
    counts = labelled(scores, labels, np.float16)
    exact = pytest.approx  # all but the rounding of a few float64 operations
    assert auroc(counts) == exact(sklearn_metrics.roc_auc_score(labels, scores), abs=1e-14)
    assert average_precision(counts) == exact(
        sklearn_metrics.average_precision_score(labels, scores), abs=1e-14
    )
    assert f1_max(counts)[0] == exact(largest_f1(scores, labels), abs=1e-14)
    assert error_bounds(counts).auroc == 0


@compiling
@given(drawn=labelled_scores(np.float32, st.floats(1, 2, width=32)), bins=st.integers(2, 8))
def test_errors_of_scores_that_crowd_in_few_bins_stay_within_the_bounds(drawn, bins):
    """The errors are large, and the bounds must know."""
    scores, labels = drawn
    counts = labelled(scores, labels, bins=bins)
    bounds = error_bounds(counts)
    assert abs(auroc(counts) - sklearn_metrics.roc_auc_score(labels, scores)) <= bounds.auroc + 1e-14
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert abs(average_precision(counts) - expected) <= bounds.average_precision + 1e-14
    assert -1e-14 <= largest_f1(scores, labels) - f1_max(counts)[0] <= bounds.f1 + 1e-14


@compiling
@given(
    drawn=labelled_scores(np.float32, st.one_of(alphabet, st.floats(width=32, allow_nan=False))),
    bins=st.sampled_from([3, 8, 1000]),
)
def test_the_threshold_of_f1_has_exactly_that_f1(drawn, bins):
    scores, labels = drawn
    counts = labelled(scores, labels, bins=bins)
    f1, threshold = f1_max(counts)
    assert confusion(counts, threshold).f1 == f1
    assert np.float32(threshold) == threshold
    assert f1_of(scores, labels, threshold) == pytest.approx(f1, abs=1e-15)


def test_the_threshold_of_separable_scores_lies_halfway():
    assert f1_max(labelled([0.5, 1, 3, 4], [0, 0, 1, 1], np.float16)) == (1, 2)


def test_scores_of_minus_infinity_cannot_be_found():
    counts = labelled([-np.inf, -np.inf, 1], [1, 1, 0])
    assert f1_max(counts) == (0, 1)
    counts = labelled([-np.inf, 1, 1], [1, 0, 1])
    f1, threshold = f1_max(counts)
    assert (f1, confusion(counts, threshold).f1) == (0.5, 0.5)


def test_curves_are_those_of_scikit_learn():
    rng = np.random.default_rng(4)
    labels = rng.random(500) < 0.4
    scores = np.round(rng.normal(size=500) + labels, 1).astype(np.float16)
    counts = labelled(scores, labels, np.float16)
    roc = roc_curve(counts)
    false, true, _ = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc.false_positive_rates, false, rtol=1e-15)
    np.testing.assert_allclose(roc.true_positive_rates, true, rtol=1e-15)
    curve = precision_recall_curve(counts)
    precisions, recalls, _ = sklearn_metrics.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(curve.precisions, precisions[-2::-1], rtol=1e-15)
    np.testing.assert_allclose(curve.recalls, recalls[-2::-1], rtol=1e-15)
    for threshold, rate in zip(roc.thresholds, roc.true_positive_rates, strict=True):
        assert (scores[labels] > threshold).mean() == pytest.approx(rate, rel=1e-15)


def test_confusion_counts_what_is_greater():
    counts = labelled([0, 1, 1, 2, np.nan], [0, 0, 1, 1, 1], np.float16)
    assert confusion(counts, 1) == Confusion(1, 0, 2, 1)
    assert confusion(counts, 0.5) == Confusion(2, 1, 1, 0)
    found = confusion(counts, 0.5)
    assert (found.precision, found.recall, found.f1) == (2 / 3, 1, 0.8)
    assert (found.false_positive_rate, found.accuracy) == (0.5, 0.75)
    nothing = confusion(labelled([], []), 0)
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.accuracy) == (0, 0, 0, 0)
    assert nothing.false_positive_rate == 0


@pytest.mark.parametrize(
    "metric", [auroc, average_precision, f1_max, roc_curve, precision_recall_curve, error_bounds]
)
def test_one_label_alone_is_refused_by_name(metric):
    for labels, message in (([0, 0], "no anomalous"), ([1, 1], "no normal"), ([], "no anomalous")):
        with pytest.raises(InputError, match=message):
            metric(labelled([0.5, 1][: len(labels)], labels))


@settings(deadline=None, max_examples=5)
@given(tree=merge_trees(100))
def test_one_batch_and_a_hundred_in_any_order_give_the_same_bytes(tree):
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(100, 8, 9)).astype(np.float32)
    truth = rng.random(scores.shape) < 0.1
    for analyzer in (LabelledHistogram(bins=3000), RegionHistogram(bins=3000)):
        state = analyzer.init_state()
        for image, mask in zip(scores, truth, strict=True):
            state = analyzer(state, image, labels=mask)
        whole = analyzer.result(state)
        parts = [counted(analyzer, image, mask) for image, mask in zip(scores, truth, strict=True)]
        merged = merge_along(tree, parts, analyzer.merge)
        assert merged.keys.tobytes() == whole.keys.tobytes()
        assert merged.counts.tobytes() == whole.counts.tobytes()


def images_with_defects(rng, count, shape, dtype):
    """Return score maps and truth masks of regions of many sizes."""
    truth = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 3) > 0.2 for _ in range(count)])
    scores = ndimage.gaussian_filter(rng.normal(size=truth.shape), (0, 2, 2)) * 5 + truth
    return scores.astype(dtype), truth


def folded_regions(scores, truth, dtype, **keywords):
    analyzer = RegionHistogram(dtype, **keywords)
    state = analyzer.init_state()
    for image, mask in zip(scores, truth, strict=True):
        state = analyzer(state, image, labels=mask)
    return analyzer.result(state)


def direct_aupro(scores, truth, limit):
    """Sort all pixels; each normal pixel steps right, each pixel of a region up; area under the line."""
    order = np.argsort(-scores.ravel().astype(np.float64), kind="stable")
    ups = np.zeros(truth.shape)
    number = 0
    for up, mask in zip(ups, truth, strict=True):
        regions, found = ndimage.label(mask, structure=[[1, 1, 1]] * 3)
        for region in range(1, found + 1):
            up[regions == region] = 1 / (regions == region).sum()
        number += found
    rights = ~truth
    x = np.cumsum(rights.ravel()[order]) / rights.sum()
    y = np.cumsum(ups.ravel()[order]) / number
    sorted_scores = scores.ravel()[order]
    ends = np.r_[sorted_scores[1:] != sorted_scores[:-1], True]
    x, y = np.r_[0, x[ends]], np.r_[0, y[ends]]
    inside = x < limit
    x, y = np.r_[x[inside], limit], np.r_[y[inside], np.interp(limit, x, y)]
    return ((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum() / limit


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("limit", [0.05, 0.3, 1])
def test_aupro_of_whole_data_sets(dtype, limit):
    scores, truth = images_with_defects(np.random.default_rng(6), 12, (90, 110), dtype)
    counts = folded_regions(scores, truth, dtype)
    expected = direct_aupro(scores, truth, limit)
    assert 0.1 < expected < 0.9
    # A bin for each value: what is left is the rounding to 2⁻³⁶ by region and bin.
    assert counts.exact
    assert aupro(counts, limit) == pytest.approx(expected, rel=0, abs=1e-9)
    assert aupro_error_bound(counts, limit) == 0
    for bins, tolerance in ((10_000, 5e-4), (20, 1)):
        binned = folded_regions(scores, truth, dtype, bins=bins)
        assert not binned.exact
        bound = aupro_error_bound(binned, limit)
        assert abs(aupro(binned, limit) - expected) <= min(bound + 1e-9, tolerance)


def test_aupro_of_a_perfect_binary_map_is_exactly_one():
    _, truth = images_with_defects(np.random.default_rng(7), 3, (50, 60), np.float32)
    for dtype in (np.float16, np.float32):
        assert aupro(folded_regions(truth.astype(dtype), truth, dtype)) == 1


def test_pro_curve_runs_from_nothing_to_everything():
    scores, truth = images_with_defects(np.random.default_rng(8), 2, (40, 50), np.float16)
    curve = pro_curve(folded_regions(scores, truth, np.float16))
    for axis in (curve.false_positive_rates, curve.overlaps):
        assert (axis[0], axis[-1]) == (0, 1)
        assert (np.diff(axis) >= 0).all()
    middle = len(curve.thresholds) // 2
    rate = (scores[~truth] > curve.thresholds[middle]).mean()
    assert curve.false_positive_rates[middle] == pytest.approx(rate, rel=1e-15)


def test_aupro_refuses_what_it_cannot_measure():
    scores = np.zeros((1, 2, 2))
    with pytest.raises(InputError, match="no anomalous regions"):
        aupro(folded_regions(scores, np.zeros((1, 2, 2), bool), np.float32))
    with pytest.raises(InputError, match="no normal pixels"):
        aupro(folded_regions(scores, np.ones((1, 2, 2), bool), np.float32))
    counts = folded_regions(scores, np.array([[[True, False]] * 2]), np.float32)
    for limit in (0, 1.5, np.nan):
        with pytest.raises(InputError, match=f"{limit}"):
            aupro(counts, limit)


def direct_aupimo(scores, truth, normal, limits, steps):
    """Average over false-positive rates, evenly spread in their logarithm, the overlap at each one's threshold."""
    thresholds = np.unique(np.concatenate([image.ravel() for image in normal]).astype(np.float64))[::-1]
    rates = np.mean(
        [[(image > threshold).mean() for threshold in thresholds] for image in normal], axis=0, dtype=float
    )
    low, high = np.log(limits)
    total = 0.0
    for z in np.exp(low + (np.arange(steps) + 0.5) / steps * (high - low)):
        threshold = thresholds[np.flatnonzero(rates <= z)[-1]]
        total += (scores[truth] > threshold).mean()
    return total / steps


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_aupimo_is_the_integral_of_its_definition(dtype):
    rng = np.random.default_rng(9)
    normal = [
        np.round(np.abs(rng.normal(size=shape)), 2).astype(dtype) for shape in ((50, 60), (40, 30), (64, 64))
    ]
    limits = (1e-3, 1e-1)
    analyzer = RegionHistogram(dtype)
    state = analyzer.init_state()
    for image in normal:
        state = analyzer(state, image, labels=True)
    band = pimo_band(analyzer.result(state), limits)
    assert band.weights.sum() == pytest.approx(1, abs=1e-12)
    scores, truth = images_with_defects(rng, 1, (50, 60), dtype)
    # 20 000 steps of the integrand between 0 and 1, of which each of about 100 jumps spoils one by its height.
    expected = direct_aupimo(scores[0], truth[0], normal, limits, 20_000)
    assert 0.05 < expected < 0.95
    assert aupimo(scores[0], truth[0], band) == pytest.approx(expected, rel=0, abs=1e-4)


def test_aupimo_at_its_ends():
    normal = np.linspace(0, 1, 250_000, dtype=np.float32).reshape(500, 500)
    band = pimo_band(counted(RegionHistogram(), normal, True))
    assert band.limits == (1e-5, 1e-4)
    truth = np.array([[True, True, False]])
    assert aupimo([[2, 3, 0]], truth, band) == pytest.approx(1, abs=1e-12)
    assert aupimo([[0.5, 0.9, 3]], truth, band) == 0
    assert aupimo([[0.5, 2, 3]], truth, band) == pytest.approx(0.5, abs=1e-12)
    assert aupimo([[np.nan, 2, 3]], truth, band) == pytest.approx(1, abs=1e-12)


def test_aupimo_of_normal_images_with_few_pixels_allows_no_false_positive():
    band = pimo_band(counted(RegionHistogram(), np.arange(12.0).reshape(3, 4), True))
    assert band.thresholds.tolist() == [11]
    assert aupimo([[11.0, 12.0]], np.array([[True, True]]), band) == 0.5


def test_aupimo_refuses_what_it_cannot_measure():
    analyzer = RegionHistogram()
    with pytest.raises(InputError, match="no normal images"):
        pimo_band(analyzer.result(analyzer.init_state()))
    for limits in ((0, 0.1), (0.1, 0.1), (0.1, 2)):
        with pytest.raises(InputError, match="limits"):
            pimo_band(counted(analyzer, np.zeros((2, 2)), True), limits)
    band = PimoBand(np.zeros(1, np.float32), np.ones(1), (1e-5, 1e-4))
    for scores, truth, message in (
        (np.zeros(2), np.zeros(2, bool), "no anomalous pixels"),
        (np.full(2, np.nan), np.ones(2, bool), "no anomalous pixels"),
        (np.zeros(2), np.zeros(2), "float64"),
        (np.zeros(2), np.zeros(3, bool), r"\(3,\)"),
    ):
        with pytest.raises(InputError, match=message):
            aupimo(scores, truth, band)
