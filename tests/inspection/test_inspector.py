"""Inspecting one image: refused shapes, invalid pixels, fitted brightness, located parts."""

import json

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.inspection.grid import image_grid
from scorefold.inspection.inspector import Inspector, Location
from scorefold.inspection.recipe import METHODS, Recipe
from scorefold.rotations import angle_to_matrix
from scorefold.testing.planting import plant

SHAPE = (24, 30)
RNG = np.random.default_rng(12)
REFERENCE = 60 + 100 * np.kron(RNG.random((6, 6)), np.ones((4, 5)))


def inspector(arrays=None, location=None, **options):
    recipe = Recipe("standard", SHAPE, image_grid(np.uint8), absolute=10.0, **options)
    method = METHODS["standard"]
    analyzer = method.analyzer(recipe, (0, SHAPE[0]))
    state = analyzer.init_state()
    for _ in range(5):
        image = np.float32(np.rint(REFERENCE + RNG.normal(0, 2, SHAPE)))
        levels, valid = method.observation(recipe, image, np.ones(SHAPE, bool), (0, SHAPE[0]))
        state = analyzer(state, levels, None, valid=valid)
    learned = method.learn(recipe, [analyzer.result(state)])
    return Inspector(recipe, {**learned, **(arrays or {})}, location)


def test_an_image_of_another_shape_is_refused_with_a_remedy():
    with pytest.raises(InputError, match=r"its shape is \(24, 31\), the model's \(24, 30\).*--template"):
        inspector().align(np.zeros((24, 31)))


def test_pixels_that_are_not_finite_are_not_valid():
    image = REFERENCE.copy()
    image[3, 4], image[5, 6], image[7, 8] = np.nan, np.inf, 1e200
    one = inspector()
    aligned = one.align(image)
    expected = np.ones(SHAPE, bool)
    expected[[3, 5, 7], [4, 6, 8]] = False
    np.testing.assert_array_equal(aligned.valid, expected)
    np.testing.assert_array_equal(np.isnan(one.compare(aligned)), ~expected)


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 40.0), (1.3, -15.0)])
def test_brightness_is_fitted_where_the_recipe_says_so(gain, offset):
    image = gain * REFERENCE + offset
    image[5:9, 6:10] += 70
    expected = np.zeros(SHAPE, bool)
    expected[5:9, 6:10] = True
    fitted, plain = inspector({"reference": np.float32(REFERENCE)}, gain_offset=True), inspector()
    np.testing.assert_array_equal(np.abs(fitted.compare(fitted.align(image))) > 1.5, expected)
    assert (np.abs(plain.compare(plain.align(image))) > 1.5).sum() > 2 * expected.sum()


@pytest.fixture
def located():
    arrays = {"template": np.float32(REFERENCE), "template_mask": np.ones(SHAPE, np.float32)}
    arrays["template_mask"][:, :4] = 0
    return inspector(arrays, Location((0.0, 360.0)), tolerance=1)


def test_a_turned_part_is_compared_in_the_coordinates_of_the_model(located):
    image = RNG.normal(90, 3, (70, 80))
    plant(image, REFERENCE, np.ones(SHAPE), [[33.2, 41.7]], angle_to_matrix(np.array([74.0])))
    aligned = located.align(image)
    assert np.hypot(aligned.pose.centre[0] - 33.2, aligned.pose.centre[1] - 41.7) < 0.3
    assert not aligned.valid[:, :4].any()  # where the part is not in its picture
    assert aligned.valid[1:-1, 5:-1].all()
    # Interpolation blurs the edges of the steps; a registration tolerance of a pixel takes that.
    assert (np.abs(located.compare(aligned)[2:-2, 6:-2]) > 2).mean() < 0.05
    again = located.align_at(image, aligned.pose)
    np.testing.assert_array_equal(again.pixels, aligned.pixels)
    np.testing.assert_array_equal(again.valid, aligned.valid)


def test_an_image_without_the_part_has_none(located):
    assert located.align(RNG.normal(90, 3, (70, 80))) is None
    assert located.align(np.full((70, 80), np.nan)) is None


def test_location_comes_back_from_json():
    location = Location((10.0, 20.0), 0.5, 0.7)
    assert Location.from_json(json.loads(json.dumps(location.to_json()))) == location
