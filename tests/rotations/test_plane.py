"""Angles in the plane: evenly spaced, ends included once, never wider than the step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorefold.errors import InputError
from scorefold.rotations import check_rotations, geodesic_angle, matrix_to_angle, plane_rotations

# Rounding of an arctangent in degrees.
ROUNDING = 1e-10


@given(st.floats(0.5, 400), st.floats(-360, 360))
def test_a_whole_turn_is_evenly_spaced_without_a_duplicate(step, start):
    rotations = check_rotations(plane_rotations(step, start, start + 360), 2)
    spacing = 360 / len(rotations)
    assert spacing <= step * (1 + 1e-8) or len(rotations) == 1
    assert len(rotations) == 1 or 360 / (len(rotations) - 1) > step * (1 - 1e-8)
    gaps = (np.roll(matrix_to_angle(rotations), -1) - matrix_to_angle(rotations)) % 360
    np.testing.assert_allclose(gaps, spacing % 360, atol=ROUNDING)


@given(st.floats(0.5, 400), st.floats(-180, 180), st.floats(0, 359))
def test_a_part_of_a_turn_includes_both_ends(step, start, extent):
    rotations = check_rotations(plane_rotations(step, start, start + extent), 2)
    turned = (matrix_to_angle(rotations) - start + 1e-6) % 360 - 1e-6
    np.testing.assert_allclose(turned, np.linspace(0, extent, len(rotations)), atol=ROUNDING)
    assert len(rotations) == 1 or extent / (len(rotations) - 1) <= step * (1 + 1e-8)
    assert abs(turned[-1] - extent) <= ROUNDING


@pytest.mark.parametrize(
    ("step", "count"), [(0.1, 3600), (0.7, 515), (7, 52), (90, 4), (360, 1), (1 / 3, 1080)]
)
def test_a_step_that_divides_the_turn_is_kept_and_another_is_shrunk(step, count):
    assert len(plane_rotations(step)) == count


def test_an_empty_range_is_one_rotation():
    assert matrix_to_angle(plane_rotations(5, 30, 30)) == pytest.approx([30])


def test_neighbours_are_one_step_apart():
    rotations = plane_rotations(10)
    np.testing.assert_allclose(geodesic_angle(rotations[1:], rotations[:-1]), 10, atol=ROUNDING)


@pytest.mark.parametrize("step", [0, -1, np.nan, np.inf])
def test_a_step_that_is_not_positive_is_refused(step):
    with pytest.raises(InputError, match=f"step {step}"):
        plane_rotations(step)


@pytest.mark.parametrize(
    ("start", "stop", "reason"),
    [(10, 5, "lies before"), (0, 361, "whole turn"), (np.nan, 5, "finite"), (0, np.inf, "finite")],
)
def test_an_impossible_range_is_refused(start, stop, reason):
    with pytest.raises(InputError, match=reason):
        plane_rotations(5, start, stop)
