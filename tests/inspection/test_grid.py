"""The grid of grey levels: exact where images are integers, half a step at most elsewhere, and never silent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scorefold.errors import InputError
from scorefold.inspection.grid import image_grid

SMALL = [np.uint8, np.int8, np.uint16, np.int16]


@pytest.mark.parametrize("dtype", SMALL)
def test_every_grey_level_of_small_integers_comes_back(dtype):
    levels = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    grid = image_grid(dtype)
    np.testing.assert_array_equal(grid.values(grid.integers(levels)), levels)
    assert len(np.unique(grid.integers(levels))) == levels.size


@given(
    values=hnp.arrays(np.float32, 20, elements=st.floats(0, 1, width=32)),
    high=st.sampled_from([1.0, 255.0, 4095.0, 0.37]),
)
def test_floats_come_back_within_half_a_step(values, high):
    grid = image_grid(np.float32, (0, high))
    image = values.astype(np.float64) * high
    assert np.abs(grid.values(grid.integers(image)) - image).max() <= grid.step / 2 * (1 + 1e-9)


@pytest.mark.parametrize("dtype", [*SMALL, np.float32, bool])
def test_squares_of_many_images_fit_64_bits(dtype):
    grid = image_grid(dtype)
    widest = np.abs(grid.integers([grid.low - grid.span, grid.high + grid.span])).max()
    assert 2**25 * int(widest) ** 2 < 2**63


def test_what_is_not_finite_becomes_zero():
    assert image_grid(np.float32).integers([np.nan, np.inf, -np.inf, 0.5]).tolist() == [0, 0, 0, 8192]


def test_values_that_cannot_belong_to_the_range_are_refused():
    with pytest.raises(InputError, match=r"values of 0 to 255, expected 0 to 1\. State the range"):
        image_grid(np.float32).integers(np.arange(256.0))
    corrected = image_grid(np.uint8).integers(np.array([-20.0, 300.0]))
    assert corrected.tolist() == [-1280, 19200]


def test_the_absolute_tolerance_is_ten_levels_of_eight_bits():
    assert image_grid(np.uint8).absolute == pytest.approx(10)
    assert image_grid(np.uint16).absolute == pytest.approx(2570)
    assert image_grid(np.uint16, (0, 4095)).absolute == pytest.approx(4095 * 10 / 255)


def test_a_histogram_covers_the_range_and_keeps_what_leaves_it():
    coarse = image_grid(np.uint16).coarse(256)
    assert coarse.bins([-5, 0, 257, 65535, 70000, np.nan]).tolist() == [0, 0, 1, 255, 255, 0]
    np.testing.assert_allclose(coarse.values([0, 255]), [0, 65535])


def test_empty_and_single_pixel_images():
    grid = image_grid(np.uint8)
    assert grid.integers(np.empty((0, 4))).shape == (0, 4)
    assert grid.unit(np.uint8([[51]])).item() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("dtype", "value_range", "message"),
    [
        (np.int32, None, "range of grey levels is not known"),
        (complex, None, "not a grey-level image"),
        (np.float32, (1, 1), "the lower one first"),
        (np.float32, (0, np.inf), "finite"),
    ],
)
def test_types_and_ranges_that_make_no_grid(dtype, value_range, message):
    with pytest.raises(InputError, match=message):
        image_grid(dtype, value_range)
