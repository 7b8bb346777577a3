"""Picks: checked when made, angles as the rest of the program writes them."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering import DrawnPick
from scorefold.rotations import angle_to_matrix, relion_to_matrix


def test_angles_are_those_the_rotation_was_made_from():
    plane = DrawnPick(np.zeros(2), angle_to_matrix(137.25), 0.5, 1, "a")
    assert plane.angles == pytest.approx((137.25,))
    assert plane.rotation_label == "137.2°"
    space = DrawnPick(np.zeros(3), relion_to_matrix([10.0, 20.0, 30.0]), 0.5, 1, "a")
    assert space.angles == pytest.approx((10.0, 20.0, 30.0))
    assert space.rotation_label == "rot 10.0 tilt 20.0 psi 30.0"


@pytest.mark.parametrize(
    ("position", "rotation"),
    [(np.zeros(4), np.eye(4)), (np.zeros(2), np.eye(3)), (np.zeros((1, 2)), np.eye(2))],
)
def test_picks_whose_parts_disagree_are_refused(position, rotation):
    with pytest.raises(InputError, match="pick"):
        DrawnPick(position, rotation, 0.5, 1, "a")
