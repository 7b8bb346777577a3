"""A particle to be searched for in a simulated volume, truth known."""

from pathlib import Path

import mrcfile
import numpy as np
from scipy.spatial.transform import Rotation

from scorefold.demo.scene import Scene
from scorefold.testing.planting import chain_density, plant, scattered

PARTICLE_SIZE = 24
VOLUME_SIZE = 64
PARTICLES = 5
NOISE = 0.35
"""Standard deviation of the volume's noise, where the density's maximum is 1."""


def particle_scene(folder: Path, seed: int = 11) -> Scene:
    """Write a simulated volume of noise with particles in it, and the particle, as MRC files.

    The particle is a simulated density (no experimental map comes with a package); noise is white and Gaussian.

    Parameters
    ----------
    folder : Path
        Where the files are written.
    seed : int
        Of particle, noise, positions and rotations.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    particle = chain_density(rng, PARTICLE_SIZE)
    positions = scattered(
        rng, (VOLUME_SIZE,) * 3, PARTICLES, distance=PARTICLE_SIZE, margin=PARTICLE_SIZE / 2 + 1
    )
    order = np.ix_([2, 1, 0], [2, 1, 0])
    rotations = np.stack([m[order] for m in Rotation.random(PARTICLES, random_state=seed).as_matrix()])
    volume = rng.normal(scale=NOISE, size=(VOLUME_SIZE,) * 3)
    plant(volume, particle, np.ones(particle.shape), positions, rotations, add=True)
    template, target = folder / "particle.mrc", folder / "tomogram.mrc"
    for path, values in ((template, particle), (target, volume)):
        with mrcfile.new(path, values.astype(np.float32), overwrite=True) as file:
            file.set_volume()
            file.voxel_size = 10.0
    return Scene([target], template, {"tomogram": (positions, rotations)})
