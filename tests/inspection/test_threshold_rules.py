"""Rules give the thresholds they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.analyzer import LabelledHistogram, ScoreHistogram, ScoreMoments
from scorefold.errors import InputError
from scorefold.inspection import ThresholdRule, f1_max

GOOD = np.arange(1000, dtype=np.float16)


def counted(analyzer, scores, **keywords):
    return analyzer.result(analyzer(analyzer.init_state(), scores, np.eye(2), **keywords))


def histogram(scores=GOOD, dtype=np.float16):
    return counted(ScoreHistogram(dtype), scores)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("1.0", ThresholdRule("manual", 1)),
        (" -2e-3 ", ThresholdRule("manual", -0.002)),
        ("quantile:0.999", ThresholdRule("quantile", 0.999)),
        ("sigma:3", ThresholdRule("sigma", 3)),
        ("fp:0.01", ThresholdRule("false_positives", 0.01)),
        ("f1", ThresholdRule("f1")),
    ],
)
def test_rules_are_read_and_written(text, rule):
    assert ThresholdRule.parse(text) == rule
    assert ThresholdRule.parse(str(rule)) == rule


@pytest.mark.parametrize(
    "text",
    ["", "f2", "f1:0.5", "manual:1", "quantile", "quantile:", "quantile:1.5", "fp:-0.1", "sigma:-1", "sigma:x",
     "nan", "inf", "1:2", "fp:nan"],
)  # fmt: skip
def test_texts_that_are_no_rule_are_refused_in_one_line(text):
    with pytest.raises(InputError, match=r"^threshold ") as raised:
        ThresholdRule.parse(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("kind", "value"), [("f1", 1.0), ("manual", None), ("sigma", None), ("best", 1.0)])
def test_kinds_and_values_that_do_not_go_together_are_refused(kind, value):
    with pytest.raises(InputError, match=kind):
        ThresholdRule(kind, value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_manual_threshold_is_met_in_the_type_of_the_scores(dtype):
    threshold = ThresholdRule("manual", 1.1).resolve(dtype=dtype)
    assert threshold == dtype(1.1)
    maps = np.nextafter(dtype(1.1), dtype([0, 2]))
    np.testing.assert_array_equal(maps > threshold, maps.astype(float) > np.float64(threshold))


def test_a_threshold_beyond_the_type_of_the_scores_is_refused():
    with pytest.raises(InputError, match="65504"):
        ThresholdRule("manual", 1e6).resolve(dtype=np.float16)


def test_quantile_and_budget_leave_as_many_good_images_above():
    for text, above in (
        ("quantile:0.999", 1),
        ("fp:0.01", 10),
        ("fp:0", 0),
        ("quantile:1", 0),
        ("fp:0.5", 500),
    ):
        threshold = ThresholdRule.parse(text).resolve(scores=histogram(), dtype=np.float16)
        assert (threshold < GOOD).sum() == above


@settings(deadline=None)  # the first call compiles
@given(
    scores=st.lists(st.floats(0, 100, width=32), min_size=1, max_size=50),
    budget=st.decimals(0, 1, places=3).map(float),
)
def test_a_budget_of_false_positives_is_never_exceeded(scores, budget):
    threshold = ThresholdRule("false_positives", budget).resolve(scores=histogram(scores, np.float32))
    # The budget is a decimal number; its product with a count is exact but for the last bit.
    assert (np.float32(scores) > threshold).sum() <= budget * len(scores) + 1e-9


def test_normal_labels_stand_for_good_images():
    scores = np.r_[GOOD, GOOD + 500].astype(np.float16)
    counts = counted(LabelledHistogram(np.float16), scores, labels=np.arange(2000) >= 1000)
    rule = ThresholdRule.parse("fp:0.01")
    assert rule.resolve(labelled=counts, dtype=np.float16) == 989
    assert rule.resolve(labelled=counts, scores=histogram(GOOD * 0), dtype=np.float16) == 0


def test_sigma_counts_standard_deviations_from_the_mean():
    moments = counted(ScoreMoments(), GOOD.astype(np.float32))
    expected = GOOD.mean(dtype=float) + 3 * GOOD.std(dtype=float)
    threshold = ThresholdRule.parse("sigma:3").resolve(moments=moments)
    assert threshold == pytest.approx(expected, rel=2**-24), "rounded to float32"


def test_f1_is_the_threshold_of_the_largest_f1():
    counts = counted(LabelledHistogram(), [1.0, 2.0, 3.0, 4.0], labels=np.array([0, 1, 0, 1], bool))
    assert ThresholdRule("f1").resolve(labelled=counts) == f1_max(counts)[1] == 1.5


@pytest.mark.parametrize("text", ["quantile:0.9", "sigma:3", "fp:0.1", "f1"])
def test_a_rule_without_what_it_needs_says_so(text):
    with pytest.raises(InputError, match=rf"threshold {text}: no .*; give"):
        ThresholdRule.parse(text).resolve()


def test_rules_refuse_empty_counts_and_counts_of_another_type():
    with pytest.raises(InputError, match="no scores of good images"):
        ThresholdRule.parse("fp:0.1").resolve(scores=histogram([], np.float32))
    with pytest.raises(InputError, match="no scores of good images"):
        ThresholdRule.parse("sigma:1").resolve(moments=counted(ScoreMoments(), np.zeros(0)))
    only_defects = counted(LabelledHistogram(), [1.0], labels=True)
    with pytest.raises(InputError, match="no normal scores"):
        ThresholdRule.parse("f1").resolve(labelled=only_defects)
    with pytest.raises(InputError, match="no scores of good images"):
        ThresholdRule.parse("quantile:0.5").resolve(labelled=only_defects)
    with pytest.raises(InputError, match="float16 scores, the maps of float32"):
        ThresholdRule.parse("quantile:0.5").resolve(scores=histogram())
