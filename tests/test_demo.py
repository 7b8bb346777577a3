"""The demonstration's data: files as promised, truth that the pixels bear out, and a search that finds it."""

import mrcfile
import numpy as np
import pytest
from skimage.io import imread

from scorefold import match
from scorefold.demo import COIN_RADIUS, COINS_PER_SCENE, PARTICLES, Scene, coin_scene, particle_scene
from scorefold.rotations import matrix_to_angle
from scorefold.testing.planting import recovery


@pytest.fixture(scope="module")
def coins(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return coin_scene(tmp_path_factory.mktemp("coins"))


def test_the_coin_scene_is_four_gray_photographs_and_a_template(coins):
    assert [path.name for path in coins.targets] == [
        "coins-turned.png",
        "brick.png",
        "gravel.png",
        "grass.png",
    ]
    assert imread(coins.template).shape == (49, 49)
    for path in coins.targets:
        image = imread(path)
        assert image.dtype == np.uint8
        assert image.ndim == 2
        positions, rotations = coins.truth[path.stem]
        assert len(positions) == len(rotations) == (1 if path.stem == "coins-turned" else COINS_PER_SCENE)
        assert (positions > COIN_RADIUS).all()
        assert (positions < np.array(image.shape) - 1 - COIN_RADIUS).all()


def test_scenes_are_the_same_every_time(coins, tmp_path):
    again = coin_scene(tmp_path)
    assert [path.read_bytes() for path in again.targets] == [path.read_bytes() for path in coins.targets]


def test_a_search_of_few_angles_finds_the_coins(coins, tmp_path):
    positions, rotations = coins.truth["gravel"]
    angles = matrix_to_angle(rotations)
    assert np.ptp(angles) > 90  # the coins do lie at different angles
    found = match(
        coins.targets[2], coins.template, mask="disk", mask_radius=22.0, step=8.0, threshold=0.5, render=False,
        out=tmp_path / "run",
    )  # fmt: skip
    picks = found.picks
    result = recovery(positions, rotations, picks[["y", "x"]].to_numpy(), found.pick_rotations, 3.0)
    assert result.matched == COINS_PER_SCENE
    assert result.angle_errors.max() <= 8.0


def test_the_volume_holds_its_particles(tmp_path):
    scene = particle_scene(tmp_path)
    volume, particle = mrcfile.read(scene.targets[0]), mrcfile.read(scene.template)
    with mrcfile.open(scene.targets[0], header_only=True) as file:
        assert float(file.voxel_size.x) == 10.0
    positions, rotations = scene.truth["tomogram"]
    assert len(positions) == len(rotations) == PARTICLES
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)
    half = 4
    inside = [volume[tuple(slice(int(c) - half, int(c) + half + 1) for c in p)].mean() for p in positions]
    # The middle of a particle is denser than the noise, whose mean over 729 voxels is 0 ± 0.013.
    assert min(inside) > 0.05
    assert particle.max() == pytest.approx(1.0)
