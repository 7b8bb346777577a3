"""Features of cells: what they measure, where they are valid, and that they ignore what is not."""

import numpy as np
import pytest
from skimage import data

from scorefold.errors import InputError
from scorefold.inspection.features import FEATURE_LEVELS, FEATURES, cell_features, cell_grid
from scorefold.inspection.grid import image_grid

GRID = image_grid(np.uint8)
IMAGE = data.camera()[:96, 100:220]


def feature(image, name, **options):
    values, _ = cell_features(image, GRID, **options)
    return values[:, FEATURES.index(name)].reshape(cell_grid(np.shape(image), options.get("cell", 8)))


def test_a_ramp_has_the_slope_and_spread_of_a_ramp():
    ramp = np.tile(np.arange(0, 96, 2.0), (48, 1))
    slope = feature(ramp, "slope along x")[:, 1:-1] / (4 * FEATURE_LEVELS) * 255
    np.testing.assert_allclose(slope, 2, atol=4e-3)  # half a level of the feature is 0.002 grey levels
    assert np.abs(feature(ramp, "slope along y")).max() <= 1
    spread = feature(ramp, "deviation")[:, 1:-1] / (2 * FEATURE_LEVELS) * 255
    np.testing.assert_allclose(spread, np.std(np.arange(0, 16, 2)), atol=8e-3)


def test_brightness_is_the_mean_of_a_cell():
    means = IMAGE.reshape(12, 8, 15, 8).mean(axis=(1, 3))
    brightness = feature(IMAGE, "brightness") / FEATURE_LEVELS * 255
    # Smoothing by less than a pixel moves brightness across the borders of cells.
    assert np.abs(brightness - means)[1:-1, 1:-1].mean() < 2


@pytest.mark.parametrize("name", ["gradient", "deviation", "fine blobs", "strongest blob"])
def test_texture_is_told_from_a_flat_area(name):
    image = np.full((32, 64), 120.0)
    image[:, 32:] += np.random.default_rng(0).normal(0, 20, (32, 32))
    values = feature(image, name)
    assert values[:, :3].max() < values[:, 5:].min() / 5


def test_turning_the_image_turns_the_features():
    turned = feature(np.rot90(IMAGE), "gradient")
    # A level more or less by rounding of the sums.
    np.testing.assert_allclose(turned, np.rot90(feature(IMAGE, "gradient")), atol=1)


def test_pixels_that_do_not_count_do_not_matter():
    valid = np.ones(IMAGE.shape, bool)
    valid[20:28, 30:70] = False
    spoiled = IMAGE.astype(float)
    spoiled[~valid] = np.nan
    values, cells = cell_features(spoiled, GRID)
    masked, masked_cells = cell_features(np.where(valid, IMAGE, 255), GRID, valid)
    np.testing.assert_array_equal(values, masked)
    np.testing.assert_array_equal(cells, masked_cells)
    whole, _ = cell_features(IMAGE, GRID)
    rows = np.repeat(np.arange(12), 15)
    np.testing.assert_array_equal(values[rows > 6], whole[rows > 6])


def test_a_cell_is_valid_with_half_of_its_pixels():
    valid = np.zeros((8, 20), bool)
    valid[:4, :8] = True  # half
    valid[:3, 8:16] = True  # less
    valid[:, 16:] = True  # all of the part that lies in the image
    values, cells = cell_features(np.full(valid.shape, 100), GRID, valid)
    assert cells.tolist() == [True, False, True]
    assert not values[1].any()


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (8, 8), (17, 9)])
@pytest.mark.parametrize("cell", [1, 5, 8])
def test_any_shape_is_covered(shape, cell):
    values, cells = cell_features(np.full(shape, 51), GRID, cell=cell)
    assert values.dtype == np.int32
    assert values.shape == (np.prod(cell_grid(shape, cell)), len(FEATURES))
    assert cells.all()
    np.testing.assert_array_equal(values[:, 0], 3277)
    assert np.abs(values[:, 1:]).max() <= 1
    assert not cell_features(np.full(shape, np.nan), GRID, cell=cell)[1].any()


def test_bad_shapes_are_named():
    with pytest.raises(InputError, match="cell of 0"):
        cell_grid((8, 8), 0)
    with pytest.raises(InputError, match="axes"):
        cell_features(np.ones((2, 2, 2)), GRID)
    with pytest.raises(InputError, match="valid of shape"):
        cell_features(np.ones((2, 2)), GRID, np.ones((1, 2), bool))
