"""Defects: the components that scikit-image finds, with their peaks, in one fixed order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label, regionprops

from scorefold.errors import InputError
from scorefold.inspection.components import Defect, find_defects


@st.composite
def maps(draw):
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
    levels = st.sampled_from([-3.0, -1.5, 0.0, 1.5, 3.0, np.nan])
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    return draw(hnp.arrays(dtype, shape, elements=levels)), draw(hnp.arrays(bool, shape))


@given(maps(), st.integers(1, 4))
@settings(max_examples=200)
def test_defects_are_the_regions_of_scikit_image(drawn, min_area):
    scores, mask = drawn
    marked = mask & ~np.isnan(scores)
    expected = []
    for region in regionprops(label(marked, connectivity=2)):
        if region.area < min_area:
            continue
        pixels = sorted(map(tuple, region.coords.tolist()))
        peak = max(abs(float(scores[p])) for p in pixels)
        place = next(p for p in pixels if abs(float(scores[p])) == peak)
        sign = "bright" if scores[place] >= 0 else "dark"
        expected.append(
            Defect(region.bbox, int(region.area), peak, place, pytest.approx(region.centroid), sign)
        )
    expected.sort(key=lambda d: (-d.peak, d.peak_position))
    assert list(find_defects(scores, mask, min_area)) == expected


def test_masks_of_bytes_count_like_booleans():
    scores = np.linspace(-2, 2, 20).reshape(4, 5)
    mask = np.abs(scores) > 1
    assert find_defects(scores, 255 * mask.astype(np.uint8)) == find_defects(scores, mask)


def test_infinite_scores_are_peaks_and_nan_is_nothing():
    (defect,) = find_defects(np.array([[np.nan, -np.inf, 1.0]]), np.ones((1, 3), bool))
    assert (defect.peak, defect.area, defect.polarity) == (np.inf, 2, "dark")
    assert find_defects(np.full((2, 2), np.nan), np.ones((2, 2), bool)) == ()


def test_thousands_of_defects_keep_their_order():
    scores = np.zeros((200, 200))
    scores[::2, ::2] = 2.0
    defects = find_defects(scores, scores > 1)
    assert len(defects) == 10_000
    assert [d.peak_position for d in defects] == [(y, x) for y in range(0, 200, 2) for x in range(0, 200, 2)]


def test_shapes_must_agree():
    with pytest.raises(InputError, match="two images of one shape"):
        find_defects(np.zeros((2, 2)), np.zeros((2, 3), bool))
