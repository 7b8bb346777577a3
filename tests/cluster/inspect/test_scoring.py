"""Law: the score of an image tells for every threshold whether a defect is left."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.morphology import disk, opening

from scorefold.cluster.inspect.scoring import ScoredImage, opened
from scorefold.inspection.polarity import magnitude
from scorefold.post_processing import compute_mask

DTYPES = ("float16", "float32")


@st.composite
def maps(draw):
    few = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, -1.5])
    width = draw(st.sampled_from([16, 32, 64]))
    return draw(
        hnp.arrays(
            f"float{width}",
            st.tuples(st.integers(1, 9), st.integers(1, 9)),
            elements=st.one_of(few, st.just(np.nan), st.floats(width=width)),
            fill=few,
        )
    )


@st.composite
def maps_and_thresholds(draw):
    scores = draw(maps())
    own = [float(score) for score in scores.ravel() if not np.isnan(score)]
    thresholds = st.floats(allow_nan=False)
    return scores, draw(st.one_of(st.sampled_from(own), thresholds) if own else thresholds)


@given(
    maps_and_thresholds(), st.sampled_from(DTYPES), st.sampled_from([None, "both", "dark"]), st.integers(0, 4)
)
@example((np.float16([[5, np.nan], [np.nan, np.nan]]), 1.0), "float16", None, 1)  # no disk fits
@example((np.float32([[np.nan, -3e38]]), -np.inf), "float32", None, 1)
@example((np.float64([[1 + 2**-11 + 2**-40]]), 1.0), "float16", None, 0)  # rounded twice it would be 1
def test_the_score_of_an_image_is_above_a_threshold_exactly_if_a_defect_is_left(
    given_map, dtype, polarity, kernel_size
):
    scores, threshold = given_map
    found = ScoredImage.of(scores, dtype, polarity=polarity, kernel_size=kernel_size)
    with np.errstate(over="ignore"):  # thresholds beyond the type are infinite
        above = found.score > np.dtype(dtype).type(threshold)
    counted = found.scores if polarity is None else magnitude(found.scores, polarity)
    np.testing.assert_array_equal(found.anomaly, counted)
    assert above == compute_mask(counted, threshold, kernel_size).any()


@pytest.mark.parametrize("kernel_size", [0, 1, 2, 3])
def test_a_map_is_opened_as_scikit_image_does_it(kernel_size):
    scores = np.random.default_rng(3).normal(size=(17, 23)).astype(np.float32)
    expected = opening(scores, disk(kernel_size), mode="ignore") if kernel_size else scores
    np.testing.assert_array_equal(opened(scores, kernel_size), expected)


def stored(scores, dtype):
    return ScoredImage.of(np.atleast_2d(scores), dtype, polarity=None, kernel_size=0).scores


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_are_rounded_once_and_stay_finite(dtype):
    exact = np.array([[0.1, 1 + 2**-11 + 2**-40, -np.inf, np.inf, np.nan, 1e300]])
    largest = np.finfo(dtype).max
    expected = np.array([[0.1, exact[0, 1], -largest, largest, np.nan, largest]], dtype)
    found = stored(exact, dtype)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "values", [[True, False], np.uint8([3, 255]), np.int32([-7, 2**20]), np.uint64([2**63, 1])]
)
def test_maps_of_whole_numbers_are_taken(values):
    expected = np.clip(np.atleast_2d(np.asarray(values, np.float64)), -65504, 65504).astype(np.float16)
    np.testing.assert_array_equal(stored(values, "float16"), expected)
