"""Rotation sets of space cover all rotations, as evenly as documented, with and without symmetry."""

import functools

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rotations import (
    check_rotations,
    covering_radius,
    geodesic_angle,
    space_rotations,
    symmetry_group,
)

AXIAL = ["C2", "C3", "C4", "C5", "C6", "C7", "C13", "D1", "D2", "D3", "D4", "D7", "D12"]
SYMMETRIES = [*AXIAL, "T", "O", "I", "I2"]

# The climb's last steps are 0.7**20 of the radius long; over random sets it stays within 0.1 % of the top.
CLIMB = 2e-3


def closure(rotations, symmetry):
    return (rotations[:, None] @ symmetry_group(symmetry)).reshape(-1, 3, 3)


def exact_covering_radius(rotations):
    """From the convex hull of ±q in four dimensions: its facets are the empty caps of the unit sphere."""
    quaternions = Rotation.from_matrix(rotations).as_quat()
    hull = ConvexHull(np.concatenate([quaternions, -quaternions]))
    return 2 * np.degrees(np.arccos(-hull.equations[:, -1].max()))


def super_fibonacci(count):
    """Alexa (2022): the spiral that the documentation compares with."""
    s = np.arange(count) + 0.5
    r, big = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * np.pi * s / np.sqrt(2), 2 * np.pi * s / 1.533751168755204288118041
    quaternions = np.stack(
        [r * np.sin(alpha), r * np.cos(alpha), big * np.sin(beta), big * np.cos(beta)], axis=1
    )
    return Rotation.from_quat(quaternions).as_matrix()


@functools.cache
def radius(step, symmetry="C1"):
    return covering_radius(space_rotations(step, symmetry), symmetry, samples=20_000)


@pytest.mark.parametrize("step", [90, 60, 30, 20])
def test_measured_covering_radius_is_the_exact_one(step):
    rotations = space_rotations(step)
    assert covering_radius(rotations, samples=20_000) == pytest.approx(
        exact_covering_radius(rotations), rel=CLIMB
    )


def test_measured_covering_radius_is_exact_for_any_set():
    rotations = Rotation.random(300, rng=np.random.default_rng(5)).as_matrix()
    assert covering_radius(rotations, samples=20_000) == pytest.approx(
        exact_covering_radius(rotations), rel=CLIMB
    )


def test_measured_covering_radius_counts_symmetry():
    rotations = Rotation.random(40, rng=np.random.default_rng(5)).as_matrix()
    expected = exact_covering_radius(closure(rotations, "D3"))
    assert covering_radius(rotations, "D3", samples=20_000) == pytest.approx(expected, rel=CLIMB)


def test_covering_radius_of_one_rotation_is_half_a_turn():
    # Close to 180° the distance is flat: the climb stops within a hundredth of a degree.
    assert covering_radius(np.eye(3)[None], samples=1000) == pytest.approx(180, abs=0.1)


def test_covering_radius_is_reproducible():
    rotations = space_rotations(40)
    assert covering_radius(rotations, samples=500, seed=1) == covering_radius(rotations, samples=500, seed=1)


@pytest.mark.parametrize(
    ("step", "count", "degrees"), [(30, 648, 22.6), (20, 1848, 16.3), (15, 4176, 12.6), (10, 14904, 8.3)]
)
def test_documented_table_holds(step, count, degrees):
    rotations = space_rotations(step)
    assert len(rotations) == count
    # Documented to one decimal; the last bits of sines on another machine do not reach the second.
    assert radius(step) == pytest.approx(degrees, abs=0.06)


def test_set_covers_better_than_the_spiral_of_the_same_size():
    for step in (30, 15):
        count = len(space_rotations(step))
        assert radius(step) < 0.97 * covering_radius(super_fibonacci(count), samples=20_000)


@pytest.mark.parametrize(
    ("step", "symmetry"),
    [*((30, name) for name in SYMMETRIES), *((15, name) for name in ("C4", "C7", "C13", "D2", "O", "I"))],
)
def test_reduced_set_covers_nearly_as_well_as_the_whole_with_a_fair_share_of_rotations(step, symmetry):
    assert radius(step, symmetry) <= 0.95 * step
    # One more orbit of views than a fraction asks for, in every part, and the views on the axes.
    whole, order = 8 * np.pi**2 / np.radians(step) ** 3, len(symmetry_group(symmetry))
    spare = 2 * 360 / step
    assert whole / order * 0.85 <= len(space_rotations(step, symmetry)) <= whole / order * 1.02 + spare


@pytest.mark.parametrize("symmetry", ["C1", *SYMMETRIES])
def test_no_two_rotations_show_the_same(symmetry):
    rotations = space_rotations(20, symmetry)
    group = symmetry_group(symmetry)
    nearest = np.full(len(rotations), np.inf)
    for element in group:
        apart = np.concatenate(
            [geodesic_angle(chunk[:, None], rotations @ element) for chunk in np.array_split(rotations, 20)]
        )
        np.fill_diagonal(apart, np.inf)
        nearest = np.minimum(nearest, apart.min(axis=1))
    # Neighbours are about a step apart; half of it would be a near duplicate.
    assert nearest.min() > 0.5 * 20


@pytest.mark.parametrize("symmetry", ["C1", "C48", "D24", "I"])
@pytest.mark.parametrize("step", [90, 47.3, 12])
def test_any_step_and_group_give_a_checked_set_that_begins_with_the_identity(step, symmetry):
    rotations = check_rotations(space_rotations(step, symmetry), 3)
    np.testing.assert_array_equal(rotations[0], np.eye(3))
    assert covering_radius(rotations, symmetry, samples=2000) < step


def test_same_arguments_give_the_same_bytes():
    assert space_rotations(25, "D3").tobytes() == space_rotations(25, "d3").tobytes()


def test_rotations_are_spread_without_preferred_directions():
    # A uniform set maps any vector to a mean of zero and any tensor to its isotropic part.
    turned = space_rotations(15) @ np.array([0.36, 0.48, 0.8])
    np.testing.assert_allclose(turned.mean(axis=0), 0, atol=2e-3)
    np.testing.assert_allclose(turned.T @ turned / len(turned), np.eye(3) / 3, atol=2e-3)


@pytest.mark.parametrize("step", [0, -5, 91, np.nan, np.inf])
def test_a_step_out_of_range_is_refused(step):
    with pytest.raises(InputError, match=f"step {step}"):
        space_rotations(step)


def test_a_set_that_would_not_fit_is_refused():
    with pytest.raises(InputError, match=r"step 0\.1: about 1\.5e\+10 rotations"):
        space_rotations(0.1)


def test_unusable_arguments_of_the_measurement_are_refused():
    with pytest.raises(InputError, match="samples 0"):
        covering_radius(np.eye(3)[None], samples=0)
    with pytest.raises(InputError, match="symmetry 'X'"):
        covering_radius(np.eye(3)[None], "X")
