"""Rotations of grids, and sets that are made of their turns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from scorefold.rotations import (
    grid_orbits,
    grid_rotations,
    plane_rotations,
    space_rotations,
    turned_with_grid,
)
from scorefold.rotations.orbits import grid_products


@pytest.mark.parametrize(("dimensions", "order"), [(2, 4), (3, 24)])
def test_grid_rotations_are_the_proper_rotations_that_exchange_and_reverse_axes(dimensions, order):
    group = grid_rotations(dimensions)
    assert len({matrix.tobytes() for matrix in group + 0.0}) == order
    np.testing.assert_array_equal(group[0], np.eye(dimensions))
    np.testing.assert_array_equal(np.abs(group).sum(axis=1), 1)
    np.testing.assert_array_equal(np.abs(group).sum(axis=2), 1)
    np.testing.assert_allclose(np.linalg.det(group), 1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_products_name_the_rotation_that_follows_from_two(dimensions):
    group, products = grid_rotations(dimensions), grid_products(dimensions)
    for a, row in zip(group, products, strict=True):
        np.testing.assert_array_equal(group[row], a @ group)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("size", [4, 5])
def test_an_array_turns_as_its_coordinates_do(dimensions, size):
    array = np.random.default_rng(0).normal(size=(size,) * dimensions)
    for rotation in grid_rotations(dimensions):
        middle = np.full(dimensions, (size - 1) / 2)
        offset = middle - rotation.T @ middle
        expected = ndimage.affine_transform(array, rotation.T, offset, order=1, mode="nearest")
        np.testing.assert_allclose(turned_with_grid(array, rotation), expected, atol=1e-12)


@given(step=st.floats(8, 90))
def test_sets_of_space_are_turns_of_a_twenty_fourth_of_them(step):
    rotations = space_rotations(step)
    orbits = grid_orbits(rotations)
    assert sorted(orbits.ravel().tolist()) == list(range(len(rotations)))
    turned = grid_rotations(3) @ rotations[orbits[:, 0], np.newaxis]
    np.testing.assert_allclose(rotations[orbits], turned, atol=1e-9)


@given(count=st.integers(1, 200))
def test_sets_of_the_plane_are_turns_of_a_quarter_of_them_where_four_divides_their_number(count):
    rotations = plane_rotations(360 / count)
    orbits = grid_orbits(rotations)
    assert (orbits is None) == bool(len(rotations) % 4)
    if orbits is not None:
        np.testing.assert_allclose(
            rotations[orbits], grid_rotations(2) @ rotations[orbits[:, 0], np.newaxis], atol=1e-9
        )


@pytest.mark.parametrize(
    "rotations",
    [
        space_rotations(30, "C2"),
        space_rotations(30)[:-24][::-1],
        space_rotations(30)[:-1],
        plane_rotations(5, 0, 115),
    ],
    ids=["reduced", "reversed", "cut", "arc"],
)
def test_other_sets_have_no_orbits(rotations):
    assert grid_orbits(rotations) is None
