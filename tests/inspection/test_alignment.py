"""Alignment undoes a pose: as SciPy interpolates, exactly at quarter turns, valid only where the image is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from scorefold.errors import InputError
from scorefold.inspection.alignment import align
from scorefold.inspection.pose import Pose
from scorefold.testing.planting import plant


@given(
    st.tuples(st.floats(-3, 25), st.floats(-3, 30)),
    st.floats(0, 360, exclude_max=True),
    st.tuples(st.integers(1, 15), st.integers(1, 15)),
)
@settings(max_examples=100, deadline=None)
def test_values_are_those_of_scipy_at_the_stated_coordinates(centre, angle, shape):
    image = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
    pose = Pose(centre, angle)
    aligned, valid = align(image, pose, shape)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = (grid - (np.array(shape) - 1) / 2) @ pose.rotation.T + centre
    np.testing.assert_allclose(pose.to_target(grid, shape), points, atol=1e-9)
    np.testing.assert_allclose(pose.to_template(points, shape), grid, atol=1e-9)
    oracle = ndimage.map_coordinates(image.astype(float), np.moveaxis(points, -1, 0), order=1, mode="nearest")
    limits = np.array(image.shape) - 1
    clearly_in = ((points > 2e-6) & (points < limits - 2e-6)).all(-1)
    clearly_out = ((points < -2e-6) | (points > limits + 2e-6)).any(-1)
    assert valid[clearly_in].all()
    assert not valid[clearly_out].any()
    # Coordinates within 1e-6 of a pixel are taken to be it; neighbours differ by a few units.
    np.testing.assert_allclose(aligned[valid], oracle[valid], atol=2e-5)
    assert not aligned[~valid].any()


@pytest.mark.parametrize("turns", range(4))
def test_quarter_turns_are_exact(turns):
    image = np.random.default_rng(1).integers(0, 256, (9, 12)).astype(np.uint8)
    shape = np.rot90(image, turns).shape
    aligned, valid = align(image, Pose((4.0, 5.5), 90.0 * turns), shape)
    assert valid.all()
    # A part that was turned counter-clockwise is turned back.
    np.testing.assert_array_equal(aligned, np.rot90(image, -turns))


def test_a_planted_part_comes_back():
    rng = np.random.default_rng(2)
    part = ndimage.gaussian_filter(rng.normal(size=(40, 60)), 3)
    pose = Pose((55.3, 70.8), 213.7)
    image = np.zeros((120, 140))
    plant(image, part, np.ones(part.shape), [pose.centre], [pose.rotation])
    aligned, valid = align(image, pose, part.shape)
    assert valid.all()
    inner = np.s_[2:-2, 2:-2]
    # Linear interpolation of structures of 3 pixels' width, twice.
    assert np.abs(aligned - part)[inner].max() < 0.1 * np.ptp(part)


def test_pixels_that_are_not_finite_spoil_only_what_they_touch():
    image = np.zeros((5, 5))
    image[2, 2], image[0, 0] = np.nan, np.inf
    _, valid = align(image, Pose((2.0, 2.0), 0.0), (5, 5))
    assert np.argwhere(~valid).tolist() == [[0, 0], [2, 2]]
    _, valid = align(image, Pose((2.0, 2.5), 30.0), (5, 4))
    assert 0 < (~valid).sum() < 12


@given(hnp.arrays(np.float32, (1, 1), elements=st.floats(-9, 9, width=32)))
def test_a_single_pixel(image):
    aligned, valid = align(image, Pose((0.0, 0.0), 77.0), (1, 1))
    assert valid.all()
    assert aligned == image


def test_an_image_has_two_axes():
    with pytest.raises(InputError, match="axes"):
        align(np.ones((3, 3, 3)), Pose((1.0, 1.0), 0.0), (3, 3))
