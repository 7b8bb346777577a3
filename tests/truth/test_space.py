"""Planted truth in space: turned copies of a particle in noise are found, at the rotation they have."""

import numpy as np
import pytest

from scorefold import match
from scorefold.rotations import covering_radius, relion_to_matrix
from scorefold.scoring.masks import template_mask
from scorefold.testing.planting import Recovery, chain_density, plant, recovery, scattered

BOX = 24


def search(size: int, step: float, copies: int, noise: float, **options) -> tuple[Recovery, float, float]:
    """Return the recovery, the covering radius of the rotation set, and the variance ratio in the mask."""
    rng = np.random.default_rng(1)
    particle = chain_density(rng, BOX)
    positions = scattered(rng, (size,) * 3, copies, BOX, BOX / 2 + 1)
    tilts = np.degrees(np.arccos(rng.uniform(-1, 1, copies)))
    turns = rng.uniform(-180, 180, (2, copies))
    rotations = relion_to_matrix(np.stack([turns[0], tilts, turns[1]], axis=1))
    volume = rng.normal(scale=noise, size=(size,) * 3)
    plant(volume, particle, np.ones(particle.shape), positions, rotations, add=True)

    found = match(volume, particle, mask="sphere", step=step, render=False, **options)
    picks = found.picks
    recovered = recovery(
        positions,
        rotations,
        picks[["z", "y", "x"]],
        found.pick_rotations,
        tolerance=3,
    )
    inside = template_mask("sphere", particle.shape) > 0.5
    return recovered, covering_radius(found.rotation_set), particle[inside].var() / noise**2


@pytest.mark.system
@pytest.mark.timeout(120)
def test_particles_are_found_in_a_small_volume():
    found, radius, ratio = search(56, 20, copies=3, noise=0.2)
    assert ratio < 1  # more noise than signal
    assert found.recall == 1
    assert found.precision == 1
    assert np.median(found.position_errors) < 0.6
    assert (found.angle_errors <= radius).all()


@pytest.mark.long
@pytest.mark.timeout(14400)
def test_particles_are_found_in_a_large_volume():
    found, radius, ratio = search(160, 10, copies=30, noise=0.16, workers=2, fft="auto")
    print(f"variance ratio {ratio:.2f}, covering radius {radius:.1f}, {found}")
    assert ratio < 1.2  # about as much noise as signal, as in the plane
    assert found.recall >= 0.97
    assert found.precision >= 0.97
    assert (found.angle_errors <= radius).mean() >= 0.95
