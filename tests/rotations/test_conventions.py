"""Angles and matrices agree with SciPy, with RELION's closed form, and with what is seen on screen."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rotations import (
    angle_to_matrix,
    geodesic_angle,
    matrix_to_angle,
    matrix_to_relion,
    relion_to_matrix,
)

ANGLES = st.floats(-720, 720, allow_nan=False)
# A few rounding errors of sines and cosines, each 1.1e-16, in products of three matrices.
ROUNDING = 1e-14
REVERSE = np.eye(3)[::-1]


def turn_array(array, matrix):
    """Rotate `array` actively about (shape − 1)/2: output[R (x − c) + c] = array[x], by nearest neighbour."""
    centre = (np.array(array.shape) - 1) / 2
    return ndimage.affine_transform(array, matrix.T, centre - matrix.T @ centre, order=0)


def relion_matrix(rot, tilt, psi):
    """RELION's A of Heymann et al. (2005), equation for ZYZ angles, on (x, y, z) vectors."""
    ca, cb, cg = np.cos(np.radians([rot, tilt, psi]))
    sa, sb, sg = np.sin(np.radians([rot, tilt, psi]))
    return np.array(
        [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
    )


@pytest.mark.parametrize("quarter_turns", range(4))
@pytest.mark.parametrize("shape", [(5, 5), (6, 6)])
def test_angle_turns_an_image_counter_clockwise_on_screen_as_rot90_does(shape, quarter_turns):
    image = np.arange(np.prod(shape)).reshape(shape)
    turned = turn_array(image, angle_to_matrix(90.0 * quarter_turns))
    np.testing.assert_array_equal(turned, np.rot90(image, quarter_turns))


def test_psi_turns_each_section_of_a_volume_counter_clockwise_as_rot90_does():
    volume = np.arange(3 * 5 * 5).reshape(3, 5, 5)
    turned = turn_array(volume, relion_to_matrix([0, 0, 90]).round())
    np.testing.assert_array_equal(turned, np.rot90(volume, axes=(1, 2)))


def test_quarter_turns_are_exact():
    np.testing.assert_array_equal(angle_to_matrix([90, 180, 270])[0], [[0, -1], [1, 0]])
    assert set(np.unique(angle_to_matrix(np.arange(-720, 721, 90)))) == {-1.0, 0.0, 1.0}


@given(ANGLES)
def test_in_plane_angle_agrees_with_scipy_about_z(angle):
    # Seen with y down, counter-clockwise is a negative right-handed turn of (x, y).
    xy = Rotation.from_euler("z", -angle, degrees=True).as_matrix()[:2, :2]
    np.testing.assert_allclose(angle_to_matrix(angle), xy[::-1, ::-1], atol=ROUNDING)


@given(ANGLES)
def test_in_plane_angle_survives_the_round_trip_into_one_turn(angle):
    back = matrix_to_angle(angle_to_matrix(angle))
    assert 0 <= back < 360
    # Degrees: an arctangent's rounding times 180/π, and the reduction of up to two turns.
    assert abs((back - angle + 180) % 360 - 180) < 1e-12


def test_tiny_negative_angle_is_zero_not_a_whole_turn():
    assert matrix_to_angle([[1.0, 1e-20], [-1e-20, 1.0]]) == 0.0


@given(ANGLES, ANGLES, ANGLES)
def test_relion_angles_agree_with_the_published_matrix(rot, tilt, psi):
    expected = REVERSE @ relion_matrix(rot, tilt, psi) @ REVERSE
    np.testing.assert_allclose(relion_to_matrix([rot, tilt, psi]), expected, atol=ROUNDING)


@given(ANGLES, ANGLES, ANGLES)
def test_relion_angles_agree_with_scipy(rot, tilt, psi):
    expected = Rotation.from_euler("ZYZ", [rot, tilt, psi], degrees=True).inv().as_matrix()
    np.testing.assert_allclose(
        REVERSE @ relion_to_matrix([rot, tilt, psi]) @ REVERSE, expected, atol=ROUNDING
    )


@given(ANGLES, st.one_of(st.sampled_from([0.0, 180.0, 1e-9, 1e-13, 180 - 1e-7]), ANGLES), ANGLES)
def test_relion_angles_describe_the_matrix_they_came_from_quietly(rot, tilt, psi):
    matrix = relion_to_matrix([rot, tilt, psi])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        angles = matrix_to_relion(matrix)
    assert 0 <= angles[1] <= 180
    assert np.abs(angles[[0, 2]]).max() <= 180
    # Within 1e-12 of the gimbal lock rot is set to 0, which costs at most that much.
    np.testing.assert_allclose(relion_to_matrix(angles), matrix, atol=1e-12)


@pytest.mark.parametrize("tilt", [0, 180])
def test_gimbal_lock_puts_the_whole_turn_into_psi(tilt):
    assert matrix_to_relion(relion_to_matrix([20, tilt, 50]))[0] == 0


def test_leading_axes_are_kept_even_when_empty():
    assert relion_to_matrix(np.zeros((4, 5, 3))).shape == (4, 5, 3, 3)
    assert matrix_to_relion(np.broadcast_to(np.eye(3), (4, 5, 3, 3))).shape == (4, 5, 3)
    assert angle_to_matrix(np.zeros((4, 5))).shape == (4, 5, 2, 2)
    assert matrix_to_angle(np.broadcast_to(np.eye(2), (4, 5, 2, 2))).shape == (4, 5)
    assert relion_to_matrix(np.zeros((0, 3))).shape == (0, 3, 3)
    assert matrix_to_relion(np.zeros((0, 3, 3))).shape == (0, 3)


@given(st.integers(0, 2**32 - 1))
def test_geodesic_angle_agrees_with_scipy_and_is_invariant(seed):
    a, b, c = Rotation.random(3, rng=np.random.default_rng(seed))
    expected = np.degrees((a.inv() * b).magnitude())
    # Near 180° the chord is flat in the angle: rounding of 1e-16 shows as its square root, 1e-8 rad.
    tolerance = {"atol": 1e-5}
    np.testing.assert_allclose(geodesic_angle(a.as_matrix(), b.as_matrix()), expected, **tolerance)
    np.testing.assert_allclose(
        geodesic_angle((c * a).as_matrix(), (c * b).as_matrix()), expected, **tolerance
    )
    np.testing.assert_allclose(
        geodesic_angle((a * c).as_matrix(), (b * c).as_matrix()), expected, **tolerance
    )


def test_geodesic_angle_resolves_tiny_angles_and_broadcasts():
    tiny = np.array([1e-9, 1e-3, 170.0, 180.0, 350.0])
    measured = geodesic_angle(np.eye(2), angle_to_matrix(tiny))
    np.testing.assert_allclose(measured, [1e-9, 1e-3, 170, 180, 10], rtol=1e-7)
    assert geodesic_angle(np.zeros((4, 1, 3, 3)), np.zeros((5, 3, 3))).shape == (4, 5)


@pytest.mark.parametrize(
    ("function", "argument"),
    [(matrix_to_angle, np.eye(3)), (relion_to_matrix, [1.0, 2.0]), (matrix_to_relion, np.eye(2))],
)
def test_wrong_shapes_are_refused_by_name(function, argument):
    with pytest.raises(InputError, match=r"shape \(.*pass an array of shape"):
        function(argument)


def test_angle_between_a_plane_and_a_space_rotation_is_refused():
    with pytest.raises(InputError, match=r"\(2, 2\) and \(3, 3\)"):
        geodesic_angle(np.eye(2), np.eye(3))
