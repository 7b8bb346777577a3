"""The Gaussian model: the Mahalanobis distance, its natural limit, and defects that it sees."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.stats import chi2
from skimage import data

from scorefold.errors import InputError
from scorefold.inspection.features import FEATURE_LEVELS, cell_features
from scorefold.inspection.gaussian import GaussianModel
from scorefold.inspection.grid import image_grid

GRID = image_grid(np.uint8)
PATTERN = data.brick()[:64, :96].astype(float)


def good_images(rng, count):
    return np.clip(PATTERN + rng.normal(0, 6, (count, *PATTERN.shape)), 0, 255).round().astype(np.uint8)


def moments(images):
    features = np.stack([cell_features(image, GRID)[0] for image in images]).astype(float)
    mean = features.mean(axis=0)
    centred = features - mean
    return mean, np.einsum("ncd,nce->cde", centred, centred) / (len(images) - 1)


@pytest.fixture(scope="module")
def model():
    return GaussianModel.from_moments(40, *moments(good_images(np.random.default_rng(0), 40)), (64, 96), GRID)


def test_cells_score_the_mahalanobis_distance_over_its_quantile(model):
    image = good_images(np.random.default_rng(1), 1)[0] + 15
    features, valid = cell_features(image, GRID)
    scores = model.cell_scores(features, valid)
    granted = (0.01 * FEATURE_LEVELS) ** 2 * np.eye(8)
    for cell in (0, 40, 95):
        precision = np.linalg.inv(model.covariance[cell] + granted)
        expected = mahalanobis(features[cell], model.mean[cell], precision) / np.sqrt(chi2.ppf(0.999, 8))
        assert scores[cell] == pytest.approx(expected, rel=1e-9)


def test_new_good_images_stay_below_one(model):
    scores = [model.compare(image) for image in good_images(np.random.default_rng(2), 20)]
    assert np.max(scores) < 1
    assert np.min(scores) >= 0


@pytest.mark.parametrize("kind", ["spot", "blur", "stain"])
def test_defects_exceed_one_where_they_are(model, kind):
    image = good_images(np.random.default_rng(3), 1)[0].astype(float)
    place = np.s_[32:48, 64:80]  # a crossing of joints
    if kind == "spot":
        image[38:42, 70:74] = 0
    elif kind == "blur":
        image[place] = image[place].mean()
    else:
        image[place] -= 40
    scores = model.compare(image)
    assert scores[place].max() > 1.2
    far = np.ones(scores.shape, bool)
    far[16:64, 48:96] = False
    assert scores[far].max() < 1


def test_interpolation_keeps_the_score_of_a_cell_at_its_middle(model):
    image = good_images(np.random.default_rng(4), 1)[0]
    cells = model.cell_scores(*cell_features(image, GRID)).reshape(8, 12)
    middle = model.compare(image).reshape(8, 8, 12, 8)[:, 3:5, :, 3:5].mean(axis=(1, 3))
    # Between the four middle pixels lies the cell's centre; the interpolant bends there, by an eighth of a slope.
    assert np.abs(middle - cells).max() < 0.15 * cells.max()


def test_cells_that_are_not_valid_are_nan_and_do_not_leak(model):
    image = good_images(np.random.default_rng(5), 1)[0]
    valid = np.ones(image.shape, bool)
    valid[:8, :16] = False
    scores = model.compare(image, valid)
    np.testing.assert_array_equal(np.isnan(scores), ~valid)
    constant = GaussianModel(
        np.zeros((96, 8)), np.zeros((96, 8, 8)), np.arange(96) != 13, (64, 96), GRID, regularization=1.0
    )
    flat = constant.compare(np.full((64, 96), 100))
    assert np.isnan(flat).sum() == 64
    np.testing.assert_allclose(flat[~np.isnan(flat)], np.nanmax(flat), rtol=1e-5)


def test_shapes_that_cells_do_not_divide():
    image = np.random.default_rng(6).integers(90, 110, (13, 21)).astype(np.uint8)
    features, valid = cell_features(image, GRID)
    model = GaussianModel(features, np.zeros((6, 8, 8)), valid, (13, 21), GRID)
    assert model.compare(image).shape == (13, 21)
    assert not model.compare(image).any()


def test_few_images_and_cells_seen_rarely():
    images = good_images(np.random.default_rng(7), 3)
    mean, covariance = moments(images)  # of rank two: the regularisation makes it invertible
    count = np.where(np.arange(96) < 12, 1, 3)
    model = GaussianModel.from_moments(count, mean, covariance, (64, 96), GRID)
    scores = model.compare(images[0])
    assert np.isnan(scores[:8]).all()
    assert np.isfinite(scores[8:]).all()


def test_shapes_and_parameters_are_checked(model):
    with pytest.raises(InputError, match="96 cells of 8 features"):
        GaussianModel(model.mean[1:], model.covariance, model.valid, (64, 96), GRID)
    with pytest.raises(InputError, match="regularization 0"):
        GaussianModel(model.mean, model.covariance, model.valid, (64, 96), GRID, regularization=0)
    with pytest.raises(InputError, match="image of shape"):
        model.compare(np.ones((8, 8)))
