"""The automatic threshold: its formula, and how often noise exceeds it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scorefold.scoring.threshold import false_positive_threshold


@given(
    tests=st.integers(10, 10**14),
    std=st.floats(1e-3, 10),
    share=st.floats(1e-3, 1),
    mean=st.floats(-1, 1),
)
def test_it_is_the_quantile_of_the_normal_distribution(tests, std, share, mean):
    # P(score > threshold) = false positives / tests.
    expected = stats.norm.isf(share / tests, loc=mean, scale=std)
    assert false_positive_threshold(tests, std, share, mean) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(tests=st.integers(10, 10**12), std=st.floats(1e-3, 0.5), mean=st.floats(-0.9, 0.9))
def test_for_coefficients_it_is_that_quantile_on_fishers_scale(tests, std, mean):
    found = false_positive_threshold(tests, std, 1.0, mean, bounded=True)
    assert -1 <= found <= 1
    assert found == pytest.approx(
        math.tanh(stats.norm.isf(1 / tests, loc=math.atanh(mean), scale=std)), abs=1e-9
    )


def test_noise_exceeds_it_about_as_often_as_asked_for():
    rng = np.random.default_rng(0)
    tests, wanted = 200_000, 50.0
    threshold = false_positive_threshold(tests, std=2.0, false_positives=wanted, mean=0.5)
    count = int((rng.normal(0.5, 2.0, tests) > threshold).sum())
    assert abs(count - wanted) < 4 * math.sqrt(wanted), "four standard deviations of a Poisson count"


def test_correlation_coefficients_of_noise_exceed_it_about_as_often_as_asked_for():
    rng = np.random.default_rng(1)
    tests, length, wanted = 100_000, 40, 50.0
    template = rng.normal(size=length)
    template = (template - template.mean()) / np.linalg.norm(template - template.mean())
    windows = rng.normal(size=(tests, length))
    windows -= windows.mean(axis=1, keepdims=True)
    scores = windows @ template / np.linalg.norm(windows, axis=1)
    threshold = false_positive_threshold(tests, scores.std(), wanted, scores.mean(), bounded=True)
    # Fisher's approximation with n = 40 is off by some ten percent in the far tail.
    assert abs(int((scores > threshold).sum()) - wanted) < 4 * math.sqrt(wanted) + 0.2 * wanted


@pytest.mark.parametrize("bounded", [False, True])
def test_the_ends_of_the_range_are_finite(bounded):
    assert false_positive_threshold(
        10, std=1.0, false_positives=5.0, mean=0.25, bounded=bounded
    ) == pytest.approx(0.25)
    assert false_positive_threshold(0, std=math.nan, mean=math.nan, bounded=bounded) == 0
    assert false_positive_threshold(1, std=0.0, mean=1.0000001, bounded=bounded) == pytest.approx(
        1.0, abs=1e-6
    )
