"""Reductions keep poses, and refinement climbs to planted ones at every level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from scorefold.inspection.alignment import align
from scorefold.inspection.pose import Pose
from scorefold.inspection.registration import Level, coefficient, reduced, reduced_mask, smoothed
from scorefold.testing.planting import plant

AROUND = data.camera()[20:220, 140:381].astype(np.float32)
PART = AROUND[40:-40, 40:-40]
MASK = np.ones(PART.shape, np.float32)


@given(
    st.integers(1, 7),
    st.tuples(st.floats(0, 500), st.floats(0, 500)),
    st.floats(0, 360, exclude_max=True),
)
def test_a_pose_of_a_level_and_of_the_whole_are_the_same_place(factor, centre, angle):
    level = Level(PART[:31, :44], MASK[:31, :44], factor, None)
    pose = Pose(centre, angle)
    small = level.to_level(pose)
    back = level.to_whole(small)
    np.testing.assert_allclose(back.centre, pose.centre, atol=1e-9)
    # Block (2, 1) of the template and of the image have their middles at factor · index + (factor - 1)/2.
    middle = np.array([2, 1]) * factor + (factor - 1) / 2
    in_image = small.to_target([2, 1], level.shape) * factor + (factor - 1) / 2
    np.testing.assert_allclose(in_image, pose.to_target(middle, (31, 44)), atol=1e-9)


@pytest.mark.parametrize("factor", [1, 3, 6])
def test_refinement_climbs_from_pixels_away(factor):
    image = np.zeros((260, 300))
    truth = Pose((131.4, 152.3), 33.3)
    # The scene goes on around the part: blocks that mix it with another background would pull at the pose.
    plant(image, AROUND, np.ones(AROUND.shape), [truth.centre], [truth.rotation])
    level = Level(PART, MASK, factor, None)
    start = Pose((truth.centre[0] + factor, truth.centre[1] - factor), truth.angle + 1.5)
    found = level.refine(smoothed(reduced(image.astype(np.float32), factor)), start)
    # A twentieth of a pixel of the level, and what that is at a corner, 100 pixels away.
    assert np.hypot(*np.subtract(found.centre, truth.centre)) < 0.05 * factor
    assert abs(found.angle - truth.angle) < 0.05 * factor
    assert found.score > 0.97


def test_reduction_takes_means_of_blocks_and_weighs_what_is_there():
    image = np.arange(30, dtype=np.float32).reshape(5, 6)
    np.testing.assert_allclose(reduced(image, 2)[:2], image[:4].reshape(2, 2, 3, 2).mean(axis=(1, 3)))
    np.testing.assert_allclose(reduced_mask(np.ones((5, 6), np.float32), 2), [[1, 1, 1]] * 2 + [[0.5] * 3])


def test_the_coefficient_is_that_of_numpy_on_the_aligned_image():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(80, 90)).astype(np.float32)
    part = rng.normal(size=(20, 30)).astype(np.float32)
    mask = (rng.random((20, 30)) > 0.3).astype(np.float32)
    pose = Pose((5.0, 44.2), 12.0)  # partly outside
    aligned, valid = align(image, pose, part.shape)
    counted = valid & (mask > 0)
    score, part_seen = coefficient(image, part, mask, pose)
    assert score == pytest.approx(np.corrcoef(aligned[counted], part[counted])[0, 1], abs=1e-9)
    assert part_seen == pytest.approx(counted.sum() / mask.sum())


def test_where_nothing_can_be_compared_the_coefficient_is_zero():
    image = np.zeros((20, 20), np.float32)
    assert coefficient(image, PART[:9, :9], MASK[:9, :9], Pose((10.0, 10.0), 0.0))[0] == 0
    assert coefficient(image, PART[:9, :9], MASK[:9, :9], Pose((90.0, 10.0), 0.0)) == (0, 0)
