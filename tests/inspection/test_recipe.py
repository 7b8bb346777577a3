"""Recipes: options in range, bands that cover the image, and learning that does not depend on them."""

import json

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.inspection.grid import image_grid
from scorefold.inspection.recipe import METHODS, Recipe

GRID = image_grid(np.uint8)
SHAPE = (19, 26)


def recipe(method="standard", **options):
    return Recipe(**{"method": method, "shape": SHAPE, "grid": GRID, "absolute": 5.0, **options})


def learned(of, images, valid, bands=None):
    """Return what a method learns, folded band by band."""
    method, results = METHODS[of.method], []
    for band in bands or of.bands:
        analyzer = method.analyzer(of, band)
        state = analyzer.init_state()
        for image, good in zip(images, valid, strict=True):
            levels, counted = method.observation(of, image, good, band)
            state = analyzer(state, levels, None, valid=counted)
        results.append(analyzer.result(state))
    return method.learn(of, results)


@pytest.fixture
def images():
    rng = np.random.default_rng(8)
    return rng.integers(0, 256, (6, *SHAPE)).astype(np.float32), rng.random((6, *SHAPE)) < 0.9


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("method", "magic"),
        ("polarity", "loud"),
        ("absolute", 0.0),
        ("absolute", np.nan),
        ("factor", -1.0),
        ("factor", np.inf),
        ("tolerance", -1),
        ("jitter", -0.5),
        ("kernel_size", -1),
        ("regularization", 0.0),
    ],
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(InputError):
        recipe(**{option: value})


@pytest.mark.parametrize("cell", [1, 20])
def test_cells_matter_to_the_gaussian_method_alone(cell):
    with pytest.raises(InputError, match="cell"):
        recipe("gaussian", cell=cell)
    for method in ("standard", "robust", "single"):
        assert recipe(method, cell=cell, shape=(4, 5)).shape == (4, 5)


@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_comes_back_from_json(method):
    polarity = "both" if method == "gaussian" else "dark"
    made = recipe(method, tolerance=2, polarity=polarity, gain_offset=True)
    assert Recipe.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pixels", [1, 60, 26 * 19, 10**9])
def test_bands_cover_all_rows_once(monkeypatch, method, pixels):
    monkeypatch.setattr(type(METHODS[method]), "band_pixels", pixels)
    rows = [row for first, stop in recipe(method).bands for row in range(first, stop)]
    assert rows == list(range(SHAPE[0]))


@pytest.mark.parametrize("method", ["standard", "robust", "single"])
def test_learning_band_by_band_learns_the_same(images, method):
    of = recipe(method)
    whole = learned(of, *images)
    banded = learned(of, *images, bands=[(0, 7), (7, 8), (8, 19)])
    assert whole.keys() == banded.keys()
    for name, array in whole.items():
        assert array.tobytes() == banded[name].tobytes()


def test_an_image_that_leaves_the_range_is_refused_in_every_band(images):
    image = images[0][0].copy()
    image[-1, -1] = 4000
    for band in ((0, 7), (7, 19)):
        with pytest.raises(InputError, match="expected 0 to 255"):
            METHODS["standard"].observation(recipe(), image, np.ones(SHAPE, bool), band)
        valid = image < 4000  # what is not valid does not matter
        METHODS["standard"].observation(recipe(), image, valid, band)


@pytest.mark.parametrize("method", ["standard", "gaussian"])
def test_leaving_one_out_is_learning_from_the_others(images, method):
    of, (pixels, valid) = recipe(method), images
    found = METHODS[method].without(of, learned(of, pixels, valid), pixels[2], valid[2])
    others = [index for index in range(6) if index != 2]
    expected = METHODS[method].model(of, learned(of, pixels[others], valid[others]))
    np.testing.assert_array_equal(found.compare(pixels[2], valid[2]), expected.compare(pixels[2], valid[2]))


@pytest.mark.parametrize("method", METHODS)
def test_other_arrays_of_the_job_do_not_disturb_a_model(images, method):
    of, (pixels, valid) = recipe(method), images
    arrays = learned(of, pixels, valid)
    more = {**arrays, "template": pixels[0], "template_mask": pixels[1], "reference": pixels[2]}
    for one, two in (
        (METHODS[method].model(of, arrays), METHODS[method].model(of, more)),
        (
            METHODS[method].without(of, arrays, pixels[1], valid[1]),
            METHODS[method].without(of, more, pixels[1], valid[1]),
        ),
    ):
        np.testing.assert_array_equal(one.compare(pixels[0]), two.compare(pixels[0]))
