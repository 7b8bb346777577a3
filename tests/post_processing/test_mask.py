"""Masks: strictly above the threshold, opened by a disk as OpenCV and scikit-image do, in any chunks."""

import cv2
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.morphology import disk, opening

from scorefold.errors import InputError
from scorefold.post_processing import compute_mask


def smooth_map(rng, shape):
    """Noise as coarse as the disks, so that some of it survives them."""
    return ndimage.gaussian_filter(rng.normal(size=shape), rng.uniform(0.5, 4))


def test_a_thousand_random_maps_have_the_masks_of_opencv_and_scikit_image():
    rng = np.random.default_rng(5)
    survived = 0
    for _ in range(1000):
        anomaly_map = smooth_map(rng, rng.integers(2, 40, size=2))
        threshold = float(np.quantile(anomaly_map, rng.uniform(0.1, 0.9)))
        radius = int(rng.integers(0, 6))
        marked = np.where(anomaly_map > threshold, 255, 0).astype(np.uint8)
        mask = compute_mask(anomaly_map, threshold, radius)
        np.testing.assert_array_equal(mask, cv2.morphologyEx(marked, cv2.MORPH_OPEN, disk(radius)))
        np.testing.assert_array_equal(mask, opening(marked, disk(radius)))
        survived += radius > 0 and mask.any() and not mask.all()
    assert survived > 200, "the maps exercise the opening"


def test_only_what_is_greater_is_marked():
    scores = np.array([[0.5, np.nextafter(0.5, 1)]])
    assert compute_mask(scores, 0.5, kernel_size=0).tolist() == [[0, 255]]


def test_a_threshold_is_compared_in_the_type_of_the_map():
    scores = np.full((1, 1), 0.1, np.float32)  # slightly more than 0.1
    assert compute_mask(scores, 0.1, kernel_size=0).item() == 0


def test_nan_is_background_and_infinity_is_not():
    scores = np.array([[np.nan, np.inf, -np.inf]])
    assert compute_mask(scores, 0.5, kernel_size=0).tolist() == [[0, 255, 0]]


def test_the_default_disk_has_radius_four():
    speck, spot = np.zeros((21, 21)), np.zeros((21, 21))
    spot[6:15, 6:15] = disk(4)
    speck[6:15, 6:15] = disk(4)
    speck[10, 6] = 0  # one pixel less, and the disk does not fit
    np.testing.assert_array_equal(compute_mask(spot, 0.5), 255 * spot)
    assert not compute_mask(speck, 0.5).any()


def test_the_border_does_not_erode():
    scores = np.zeros((12, 12))
    scores[:6, :6] = 1
    mask = compute_mask(scores, 0.5, kernel_size=3)
    assert mask[0, 0] == mask[5, 0] == mask[0, 5] == 255


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float16, np.float32])
def test_maps_of_any_type_are_thresholded(dtype):
    scores = np.zeros((9, 9), dtype)
    scores[2:7, 2:7] = 1
    mask = compute_mask(scores, 0.5, kernel_size=1)
    assert mask.dtype == np.uint8
    assert mask[4, 4] == 255
    assert mask[2, 2] == 0


def test_a_batch_is_opened_map_by_map():
    maps = smooth_map(np.random.default_rng(6), (4, 30, 31))
    expected = np.stack([compute_mask(one, 0.0, 2) for one in maps])
    np.testing.assert_array_equal(compute_mask(maps, 0.0, 2), expected)
    np.testing.assert_array_equal(compute_mask(maps[..., None], 0.0, 2), expected)
    np.testing.assert_array_equal(compute_mask(maps[0][..., None], 0.0, 2), expected[0])


def test_the_order_in_memory_does_not_matter():
    maps = smooth_map(np.random.default_rng(12), (3, 30, 31))
    expected = compute_mask(maps, 0.0, 2)
    np.testing.assert_array_equal(compute_mask(np.asfortranarray(maps), 0.0, 2), expected)
    np.testing.assert_array_equal(compute_mask(np.flip(maps, axis=2), 0.0, 2), np.flip(expected, axis=2))


@given(st.data())
@settings(deadline=None, max_examples=60)  # a busy machine is no failure
def test_chunked_masks_equal_whole_ones(data):
    height, width = data.draw(st.tuples(st.integers(1, 40), st.integers(2, 40)))
    shape = (*data.draw(st.sampled_from([(), (3,)])), height, width)
    anomaly_map = smooth_map(np.random.default_rng(data.draw(st.integers(0, 2**32))), shape)
    radius = data.draw(st.integers(0, 5))
    chunks = tuple(data.draw(st.integers(1 + length // 5, length)) for length in shape)
    lazy = compute_mask(da.from_array(anomaly_map, chunks=chunks), 0.0, radius)
    assert isinstance(lazy, da.Array)
    assert lazy.shape == shape
    mask = lazy.compute(scheduler="synchronous")
    np.testing.assert_array_equal(mask, compute_mask(anomaly_map, 0.0, radius))


@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_chunks_see_as_far_as_two_radii(radius, axis):
    length = 6 * radius + 3
    scores = np.zeros((length, length))
    spot = slice(2 * radius + 1, 4 * radius + 2)
    scores[spot, spot] = disk(radius)
    end = [length // 2, length // 2]
    end[axis] -= radius
    scores[tuple(end)] = 0  # its opposite, two radii away, goes too
    for cut in range(1, length):
        pieces = [(length,), (length,)]
        pieces[axis] = (cut, length - cut)
        mask = compute_mask(da.from_array(scores, chunks=tuple(pieces)), 0.5, radius)
        assert not mask.compute(scheduler="synchronous").any()


@given(hnp.arrays(np.bool_, (14, 14)), st.integers(0, 3))
@settings(deadline=None, max_examples=50)  # a busy machine is no failure
def test_opening_marks_nothing_new_and_repeats_nothing(marked, radius):
    mask = compute_mask(marked, 0.5, radius)
    assert not mask[~marked].any()
    np.testing.assert_array_equal(compute_mask(mask, 127, radius), mask)


@pytest.mark.parametrize("kernel_size", [-1, 2.5, "4"])
def test_a_kernel_size_that_is_no_radius_is_refused(kernel_size):
    with pytest.raises(InputError, match="whole pixels"):
        compute_mask(np.zeros((4, 4)), 0.5, kernel_size)


def test_a_threshold_that_is_not_a_number_is_refused():
    with pytest.raises(InputError, match="threshold nan"):
        compute_mask(np.zeros((4, 4)), float("nan"))
