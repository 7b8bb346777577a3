"""Cells: every rotation in one, near its centre, whatever the set and its order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rotations import (
    angle_to_matrix,
    covering_radius,
    geodesic_angle,
    grid_rotations,
    plane_rotations,
    rotation_cells,
    space_rotations,
)

# Angles in degrees from arccosines near 1.
ROUNDING = 1e-5


def centres_of_rotations(cells):
    """The centre of every rotation's cell, in the order of the rotations."""
    centres = np.empty_like(cells.centres, shape=(len(cells.order), *cells.centres.shape[1:]))
    centres[cells.order] = np.repeat(cells.centres, np.diff(cells.starts), axis=0)
    return centres


def random_rotations(ndim, count, seed):
    rng = np.random.default_rng(seed)
    if ndim == 2:
        return angle_to_matrix(rng.uniform(0, 360, count))
    return Rotation.random(count, random_state=rng).as_matrix()


@given(
    ndim=st.sampled_from([2, 3]), count=st.integers(1, 60), seed=st.integers(0, 99), angle=st.floats(15, 90)
)
def test_cells_partition_any_set_and_ids_ascend(ndim, count, seed, angle):
    cells = rotation_cells(random_rotations(ndim, count, seed), angle)
    parts = [cells.ids(cell) for cell in range(len(cells))]
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    assert all(part.size and (np.diff(part) > 0).all() for part in parts)
    assert cells.largest == max(map(len, parts))


@given(seed=st.integers(0, 99), angle=st.floats(5, 90))
def test_an_arc_reaches_half_the_angle_from_its_centre(seed, angle):
    rotations = random_rotations(2, 50, seed)
    cells = rotation_cells(rotations, angle)
    distances = geodesic_angle(rotations, centres_of_rotations(cells))
    assert distances.max() <= angle / 2 + ROUNDING


@pytest.mark.parametrize("angle", [25.0, 40.0, 90.0])
def test_a_rotation_is_within_the_covering_radius_of_its_centre_and_no_other_is_nearer(angle):
    rotations = random_rotations(3, 400, 1)
    cells = rotation_cells(rotations, angle)
    own = geodesic_angle(rotations, centres_of_rotations(cells))
    assert own.max() <= covering_radius(space_rotations(angle), samples=20_000) + ROUNDING
    every = space_rotations(angle)
    nearest = geodesic_angle(rotations[:, np.newaxis], every[np.newaxis]).min(axis=1)
    np.testing.assert_allclose(own, nearest, atol=ROUNDING)


TURNED = [
    (plane_rotations(3), 20.0),
    (plane_rotations(2.5), 90.0),
    (space_rotations(20), 50.0),
    (space_rotations(15), 40.0),
]


@pytest.mark.parametrize(("rotations", "angle"), TURNED)
def test_cells_are_turns_of_their_models_row_by_row(rotations, angle):
    cells = rotation_cells(rotations, angle, turned=True)
    group = grid_rotations(rotations.shape[1])
    assert cells.turns == len(group)
    assert len(cells) % cells.turns == 0
    for cell in range(len(cells)):
        turn, model = group[cell % cells.turns], cells.model(cell)
        assert model == cell // cells.turns * cells.turns
        np.testing.assert_allclose(cells.centres[cell], turn @ cells.centres[model], atol=1e-9)
        of_model = rotations[cells.ids(model)][cells.model_rows(cell)]
        np.testing.assert_allclose(rotations[cells.ids(cell)], turn @ of_model, atol=1e-9)
        assert (np.diff(cells.ids(cell)) > 0).all()
    assert sorted(cells.order.tolist()) == list(range(len(rotations)))


@pytest.mark.parametrize(("rotations", "angle"), TURNED)
def test_turned_cells_lie_around_the_nearest_centre(rotations, angle):
    cells = rotation_cells(rotations, angle, turned=True)
    own = geodesic_angle(rotations, centres_of_rotations(cells))
    nearest = geodesic_angle(rotations[:, np.newaxis], cells.centres).min(axis=1)
    np.testing.assert_allclose(own, nearest, atol=ROUNDING)


def test_rotations_that_are_no_turns_of_one_another_have_no_turned_cells():
    with pytest.raises(ValueError, match="not turns of one another"):
        rotation_cells(random_rotations(3, 48, 1), 40, turned=True)


@given(ndim=st.sampled_from([2, 3]), seed=st.integers(0, 99))
def test_the_order_of_the_list_does_not_matter(ndim, seed):
    rotations = random_rotations(ndim, 30, seed)
    shuffle = np.random.default_rng(seed).permutation(30)
    ordered, shuffled = rotation_cells(rotations, 60), rotation_cells(rotations[shuffle], 60)
    np.testing.assert_allclose(shuffled.centres, ordered.centres)
    np.testing.assert_allclose(centres_of_rotations(shuffled), centres_of_rotations(ordered)[shuffle])


def test_a_part_of_a_set_has_the_cells_that_it_reaches():
    arc = plane_rotations(2, 100, 140)
    cells = rotation_cells(arc, 30)
    assert len(cells) == 3  # around 90, 120 and 150 degrees; 135 and less are nearer to 120
    assert [len(cells.ids(cell)) for cell in range(3)] == [3, 15, 3]


@pytest.mark.parametrize("angle", [0.0, -5.0, float("nan"), 90.5])
def test_an_angle_that_makes_no_cells_is_refused(angle):
    with pytest.raises(InputError, match=f"cell angle {angle:g}: give degrees"):
        rotation_cells(plane_rotations(10), angle)
