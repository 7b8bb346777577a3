"""Outlines: the right size, turned in the right sense, checked against turned arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rendering.outline import mask_outline, place_outline, section_outline

QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
QUARTER_TURN_ABOUT_Z = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def an_l(size: int = 15) -> np.ndarray:
    mask = np.zeros((size, size))
    mask[2 : size - 2, 3:6] = 1
    mask[size - 5 : size - 2, 3 : size - 3] = 1
    return mask


def points(lines) -> np.ndarray:
    """Return the set of corner points, in one order, whatever point a closed line starts at."""
    return np.unique(np.round(np.vstack(lines), 9) + 0.0, axis=0)


def enclosed_area(line: np.ndarray) -> float:
    y, x = line.T
    return abs(float(np.sum(y[:-1] * x[1:] - y[1:] * x[:-1]))) / 2


def test_a_quarter_turn_is_counter_clockwise_on_screen_as_numpy_turns_images():
    turned = place_outline(mask_outline(an_l()), QUARTER_TURN, np.zeros(2))
    np.testing.assert_allclose(points(turned), points(mask_outline(np.rot90(an_l()))), atol=1e-9)
    clockwise = place_outline(mask_outline(an_l()), QUARTER_TURN.T, np.zeros(2))
    assert not np.array_equal(points(clockwise), points(turned))


def test_outline_is_centred_on_the_rotation_centre_and_moved_to_the_position():
    (line,) = place_outline(mask_outline(np.ones((4, 6))), np.eye(2), np.array([100.0, 50.0]))
    np.testing.assert_allclose(line.min(axis=0), [98.0, 47.0])
    np.testing.assert_allclose(line.max(axis=0), [102.0, 53.0])


def test_lines_are_closed_and_the_longest_comes_first():
    mask = np.zeros((20, 20))
    mask[1:3, 1:3] = 1
    mask[5:18, 5:18] = 1
    lines = mask_outline(mask)
    assert [len(line) for line in lines] == sorted((len(line) for line in lines), reverse=True)
    assert len(lines) == 2
    for line in lines:
        np.testing.assert_array_equal(line[0], line[-1])


def test_a_soft_mask_is_outlined_at_half_its_maximum():
    rows = np.arange(41.0) - 20
    cone = np.maximum(0.0, 16.0 - np.hypot(rows[:, np.newaxis], rows))
    (line,) = mask_outline(cone)
    np.testing.assert_allclose(np.hypot(*line.T), 8.0, atol=0.1)  # linear interpolation of a cone


@pytest.mark.parametrize("mask", [np.zeros((4, 4)), np.ones((3, 3, 3)), np.zeros((0, 4))])
def test_masks_without_an_outline_are_refused(mask):
    with pytest.raises(InputError, match="mask"):
        mask_outline(mask)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 2**32 - 1), st.floats(-8.0, 8.0), st.sampled_from([(1, 2), (0, 2), (1, 0)]))
def test_sections_of_a_ball_are_circles_at_any_rotation(seed, offset, axes):
    z, y, x = np.indices((25, 25, 25)) - 12
    ball = np.clip(10.5 - np.sqrt(z**2 + y**2 + x**2), 0.0, 1.0)  # half its maximum at radius 10
    (line,) = section_outline(ball, Rotation.random(random_state=seed).as_matrix(), axes, offset)
    expected = np.sqrt(10.0**2 - offset**2)
    np.testing.assert_allclose(
        np.hypot(*line.T), expected, atol=0.35
    )  # trilinear interpolation of a 1-voxel edge


@pytest.mark.parametrize("offset", [-4, 0, 3])
def test_a_section_of_a_turned_mask_is_the_outline_of_the_turned_array(offset):
    mask = np.zeros((15, 15, 15))
    mask[2:13] = an_l()
    mask[9:13, 2:7, 8:12] = 1
    turned = np.rot90(mask, axes=(1, 2))
    found = section_outline(mask, QUARTER_TURN_ABOUT_Z, (1, 2), float(offset))
    np.testing.assert_allclose(points(found), points(mask_outline(turned[7 + offset])), atol=1e-6)


def test_sections_of_a_large_mask_are_coarser_but_as_large():
    (line,) = section_outline(np.ones((121, 121, 121)), np.eye(3), (1, 2), 0.0)
    assert len(line) < 400
    assert enclosed_area(line) == pytest.approx(121**2, rel=0.02)  # corners are cut at the coarser step


def test_a_plane_beside_the_mask_has_no_section():
    assert section_outline(np.ones((5, 5, 5)), np.eye(3), (1, 2), 30.0) == []
    assert section_outline(np.ones((5, 5, 5)), np.eye(3), (1, 2), 3.2) == []
