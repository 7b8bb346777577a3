"""Heat maps: OpenCV's colours where the reference is defined, a stated colour everywhere else."""

import hashlib
import warnings

import cv2
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scorefold.errors import InputError
from scorefold.post_processing import anomaly_map_to_color_map
from scorefold.post_processing.post_process import JET

NEUTRAL = (128, 128, 128)


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def reference(anomaly_map, normalize):
    """The formula as it is written: x ↦ (x − min) / (max − min), ×255, truncated, JET, RGB."""
    if normalize:
        anomaly_map = (anomaly_map - anomaly_map.min()) / np.ptp(anomaly_map)
    levels = (anomaly_map * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)


def test_the_colours_are_the_known_bytes():
    ramp = np.arange(256, dtype=np.uint8)[np.newaxis]
    colours = anomaly_map_to_color_map(ramp, normalize=False)
    assert hashlib.sha1(colours.tobytes()).hexdigest() == "5a92152b00d21e31552ad9ad9b3abcf7b408f183"
    np.testing.assert_array_equal(colours[0], JET)


def test_the_colours_follow_the_closed_form():
    i = np.arange(256)
    rising_and_falling = ((4 * i - 382, 1148 - 4 * i), (4 * i - 128, 892 - 4 * i), (4 * i + 128, 638 - 4 * i))
    expected = np.stack([np.clip(np.minimum(*ramps), 0, 255) for ramps in rising_and_falling], axis=1)
    expected[159, 2] = 1  # OpenCV's table
    np.testing.assert_array_equal(JET, expected)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_thousand_random_maps_have_the_reference_colours(normalize):
    rng = np.random.default_rng(1)
    for index in range(1000):
        shape = rng.integers(2, 24, size=2)
        dtype = np.float32 if index % 2 else np.float64
        values = (
            rng.random(shape) if not normalize else rng.normal(scale=10.0 ** rng.integers(-4, 5), size=shape)
        )
        anomaly_map = values.astype(dtype)
        coloured = anomaly_map_to_color_map(anomaly_map, normalize)
        np.testing.assert_array_equal(coloured, reference(anomaly_map, normalize))


def test_uint8_maps_are_normalized_without_wrapping():
    anomaly_map = np.array([[10, 60, 200]], np.uint8)
    np.testing.assert_array_equal(
        anomaly_map_to_color_map(anomaly_map), reference(anomaly_map, normalize=True)
    )


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64]
)
@pytest.mark.parametrize("value", [0, 1])
def test_a_constant_map_has_the_colour_of_zero(dtype, value):
    coloured = anomaly_map_to_color_map(np.full((3, 4), value, dtype))
    np.testing.assert_array_equal(coloured, np.broadcast_to(JET[0], (3, 4, 3)))


def test_pixels_that_are_not_finite_are_neutral_and_leave_the_others_alone():
    rng = np.random.default_rng(2)
    whole = rng.normal(size=(16, 16))
    whole[0, :2] = -9, 9  # the extremes stay
    damaged = whole.copy()
    places = (np.array([3, 5, 7]), np.array([4, 4, 4]))
    damaged[places] = np.nan, np.inf, -np.inf
    expected = anomaly_map_to_color_map(whole)
    expected[places] = NEUTRAL
    np.testing.assert_array_equal(anomaly_map_to_color_map(damaged), expected)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_map_without_a_finite_pixel_is_neutral(normalize):
    coloured = anomaly_map_to_color_map(np.array([[np.nan, np.inf, -np.inf]]), normalize)
    np.testing.assert_array_equal(coloured, np.broadcast_to(np.uint8(128), (1, 3, 3)))


def test_no_score_has_the_neutral_colour():
    assert not (JET == NEUTRAL).all(axis=1).any()


def test_scores_beyond_zero_to_one_are_clipped():
    coloured = anomaly_map_to_color_map(np.array([[-3.0, 0.0, 1.0, 1.5, 1e300]]), normalize=False)
    np.testing.assert_array_equal(coloured[0], JET[[0, 0, 255, 255, 255]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_widest_range_does_not_overflow(dtype):
    largest = np.finfo(dtype).max
    coloured = anomaly_map_to_color_map(np.array([[-largest, 0, largest]], dtype))
    np.testing.assert_array_equal(coloured[0], JET[[0, 127, 255]])


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0, 1, 7]]), [0, 255, 255]),
        (np.array([[0, 77, 255]], np.uint8), [0, 77, 255]),
        (np.array([[0, 0.5, 1]], np.float16), [0, 127, 255]),
    ],
)
def test_other_types_have_a_stated_scale(values, levels):
    np.testing.assert_array_equal(anomaly_map_to_color_map(values, normalize=False)[0], JET[levels])


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements={"allow_nan": True, "allow_infinity": True},
    ),
    st.booleans(),
)
@settings(deadline=None)  # a busy machine is no failure
def test_any_map_has_a_colour_and_the_order_of_scores_is_kept(anomaly_map, normalize):
    coloured = anomaly_map_to_color_map(anomaly_map, normalize)
    rank = {tuple(colour): level for level, colour in enumerate(JET.tolist())}
    finite = np.isfinite(anomaly_map)
    np.testing.assert_array_equal(coloured[~finite], np.full(((~finite).sum(), 3), 128))
    scores = anomaly_map[finite]
    levels = np.array([rank[tuple(colour)] for colour in coloured[finite].tolist()])
    assert (np.diff(levels[np.argsort(scores, kind="stable")]) >= 0).all()
    if normalize and scores.size and scores.min() < scores.max():
        assert levels.min() == 0
        assert levels.max() == 255


def test_one_channel_is_dropped_and_a_batch_is_stretched_map_by_map():
    rng = np.random.default_rng(3)
    batch = rng.normal(size=(4, 7, 9)) * np.array([1, 10, 100, 1000])[:, None, None]
    single = np.stack([anomaly_map_to_color_map(one) for one in batch])
    np.testing.assert_array_equal(anomaly_map_to_color_map(batch), single)
    np.testing.assert_array_equal(anomaly_map_to_color_map(batch[..., None]), single)
    np.testing.assert_array_equal(anomaly_map_to_color_map(batch[:, None]), single)
    np.testing.assert_array_equal(anomaly_map_to_color_map(batch[0][..., None]), single[0])
    np.testing.assert_array_equal(anomaly_map_to_color_map(batch[:1]), single[:1])


def test_the_map_is_not_changed():
    anomaly_map = np.array([[0.5, np.nan], [2.0, 1.0]], np.float32)
    before = anomaly_map.copy()
    anomaly_map_to_color_map(anomaly_map)
    np.testing.assert_array_equal(anomaly_map, before)


@given(st.data())
@settings(deadline=None, max_examples=40)  # a busy machine is no failure
def test_lazy_maps_have_the_same_colours_in_any_chunks(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=9))
    anomaly_map = data.draw(hnp.arrays(np.float32, shape))
    chunks = tuple(data.draw(st.integers(1, length)) for length in shape)
    normalize = data.draw(st.booleans())
    lazy = anomaly_map_to_color_map(da.from_array(anomaly_map, chunks=chunks), normalize)
    assert isinstance(lazy, da.Array)
    coloured = lazy.compute(scheduler="synchronous")
    np.testing.assert_array_equal(coloured, anomaly_map_to_color_map(anomaly_map, normalize))
    assert lazy.shape == coloured.shape
    assert lazy.dtype == coloured.dtype


def test_lazy_maps_are_not_computed_before_they_are_asked_for():
    def fail(block):
        raise AssertionError("computed")

    anomaly_map = da.zeros((8, 8), chunks=4).map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    assert anomaly_map_to_color_map(anomaly_map).shape == (8, 8, 3)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4, 5), (0, 4)])
def test_maps_with_other_axes_are_refused_with_their_shape(shape):
    with pytest.raises(InputError, match=r"anomaly map of shape \(") as caught:
        anomaly_map_to_color_map(np.zeros(shape))
    assert str(shape) in str(caught.value)


def test_maps_that_are_not_real_numbers_are_refused():
    with pytest.raises(InputError, match="complex128"):
        anomaly_map_to_color_map(np.zeros((3, 3), complex))
