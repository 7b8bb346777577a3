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


def nearest_of(rotations, centres):
    """Which centre is nearest to each rotation, and how far it is."""
    distances = geodesic_angle(rotations[:, np.newaxis], centres[np.newaxis])
    return distances.argmin(axis=1), distances.min(axis=1)


def parts_of(labels):
    """The rotations with each label, whatever the labels are."""
    return {tuple(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def parts(cells):
    return {tuple(cells.ids(cell).tolist()) for cell in range(len(cells))}


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
    ids = [cells.ids(cell) for cell in range(len(cells))]
    assert sorted(np.concatenate(ids).tolist()) == list(range(count))
    assert all(part.size and (np.diff(part) > 0).all() for part in ids)
    assert cells.largest == max(map(len, ids))


@given(seed=st.integers(0, 99), angle=st.floats(5, 90))
def test_an_arc_is_what_is_nearest_to_its_centre_half_the_angle_away_at_most(seed, angle):
    rotations = random_rotations(2, 50, seed)
    nearest, distances = nearest_of(rotations, plane_rotations(angle))
    assert distances.max() <= angle / 2 + ROUNDING
    assert parts(rotation_cells(rotations, angle)) == parts_of(nearest)


@pytest.mark.parametrize("angle", [25.0, 40.0, 90.0])
def test_a_cell_of_space_is_what_is_nearest_to_its_centre(angle):
    rotations = random_rotations(3, 400, 1)
    nearest, _ = nearest_of(rotations, space_rotations(angle))
    assert parts(rotation_cells(rotations, angle)) == parts_of(nearest)


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
        of_model = rotations[cells.ids(model)][cells.model_rows(cell)]
        np.testing.assert_allclose(rotations[cells.ids(cell)], turn @ of_model, atol=1e-9)
        assert (np.diff(cells.ids(cell)) > 0).all()
    assert sorted(cells.order.tolist()) == list(range(len(rotations)))


@pytest.mark.parametrize(("rotations", "angle"), TURNED)
def test_no_turned_cell_is_larger_than_was_asked_for(rotations, angle):
    cells = rotation_cells(rotations, angle, turned=True)
    widest = angle if rotations.shape[1] == 2 else 2 * covering_radius(space_rotations(angle), samples=20_000)
    for cell in range(len(cells)):
        members = rotations[cells.ids(cell)]
        assert geodesic_angle(members[:, np.newaxis], members).max() <= widest + ROUNDING


def test_rotations_that_are_no_turns_of_one_another_have_no_turned_cells():
    with pytest.raises(ValueError, match="not turns of one another"):
        rotation_cells(random_rotations(3, 48, 1), 40, turned=True)


@given(ndim=st.sampled_from([2, 3]), seed=st.integers(0, 99))
def test_the_order_of_the_list_does_not_matter(ndim, seed):
    rotations = random_rotations(ndim, 30, seed)
    shuffle = np.random.default_rng(seed).permutation(30)
    ordered, shuffled = rotation_cells(rotations, 60), rotation_cells(rotations[shuffle], 60)
    assert {tuple(sorted(shuffle[list(part)].tolist())) for part in parts(shuffled)} == parts(ordered)


def test_a_part_of_a_set_has_the_cells_that_it_reaches():
    arc = plane_rotations(2, 100, 140)
    cells = rotation_cells(arc, 30)
    assert len(cells) == 3  # around 90, 120 and 150 degrees; 135 and less are nearer to 120
    assert [len(cells.ids(cell)) for cell in range(3)] == [3, 15, 3]


@pytest.mark.parametrize("angle", [0.0, -5.0, float("nan"), 90.5])
def test_an_angle_that_makes_no_cells_is_refused(angle):
    with pytest.raises(InputError, match=f"cell angle {angle:g}: give degrees"):
        rotation_cells(plane_rotations(10), angle)
