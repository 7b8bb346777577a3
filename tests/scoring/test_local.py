"""Exact scores at a few positions: those of the whole map; poses between what was searched."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scorefold.analyzer import MaxScoreOverRotations
from scorefold.rotations import angle_to_matrix, geodesic_angle, plane_rotations
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import ScipyProvider
from scorefold.scoring.local import LocalScores
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import TargetTile, get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile
from scorefold.testing.planting import chain_density, plant

RNG = np.random.default_rng(0)
SHAPE = (45, 52)
ROTATIONS = plane_rotations(24)


def in_image(name="FLC", mask="none", *, pad_edges=False):
    """Return template, score, a tile of the whole image and its pixels."""
    values = np.random.default_rng(1).normal(size=(11, 14))
    score = get_score(name)
    template = Template(score.template_values(values), template_mask(mask, values.shape), ROTATIONS)
    image = np.random.default_rng(2).normal(size=SHAPE)
    tile = Tile((0, 0), SHAPE, SHAPE)
    pixels = tile.read(
        lambda region: image[region], template.box, mean=0, std=1, margin=score.margin, pad_edges=pad_edges
    )
    return template, score, tile, pixels


@pytest.mark.parametrize(
    ("name", "mask"),
    [("FLC", "none"), ("FLCSphericalMask", "disk"), ("NCC", "ellipse"), ("LCC", "none"), ("MCC", "box")],
)
@pytest.mark.parametrize("pad_edges", [False, True])
def test_local_scores_are_those_of_the_whole_map(name, mask, pad_edges):
    template, score, tile, pixels = in_image(name, mask, pad_edges=pad_edges)
    fft_shape = tuple(n + b - 1 for n, b in zip(SHAPE, template.box, strict=True))
    engine = ExactEngine(template, ROTATIONS, score, ScipyProvider(), fft_shape, pad_edges=pad_edges)
    local = LocalScores(template, score, dtype="float32", pad_edges=pad_edges, reach=2)
    for rotation_id in (0, 4):
        analyzer = MaxScoreOverRotations(SHAPE, score_threshold=-np.inf, rotations=ROTATIONS)
        (state,) = engine.prepare([tile], [pixels], [analyzer]).fold(rotation_id, [analyzer.init_state()])
        whole = np.where(state.rotations < 0, np.nan, state.scores)
        for voxel in ((20, 30), (9, 8), (0, 0), (44, 51)):
            around = local.around(voxel, tile, pixels)
            place = tuple(slice(a, a + n) for a, n in zip(around.tile.start, around.tile.shape, strict=True))
            expected = whole[place]
            found = around.scores(ROTATIONS[rotation_id])
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
            scale = 1 if score.bounded else np.nanmax(np.abs(whole))
            np.testing.assert_allclose(found, expected, atol=2e-5 * scale)


def test_the_neighbourhood_of_a_corner_is_what_lies_inside():
    template, score, tile, pixels = in_image()
    local = LocalScores(template, score, dtype="float32", pad_edges=True)
    assert local.around((0, 51), tile, pixels).tile == Tile((0, 50), (2, 2), SHAPE)
    assert local.around((7, 9), tile, pixels).tile == Tile((6, 8), (3, 3), SHAPE)


@pytest.mark.parametrize("angle", [-7.0, 0.0, 3.3, 11.0])
def test_an_angle_is_refined_to_a_fraction_of_the_step(angle):
    """The copy is interpolated once more than the template, which costs a few tenths of a degree."""
    template_values = chain_density(RNG, 24).max(axis=0)
    score = get_score("FLCSphericalMask")
    template = Template(template_values, template_mask("disk", (24, 24)), ROTATIONS)
    image = np.random.default_rng(3).normal(scale=0.02, size=SHAPE)
    plant(
        image,
        template_values,
        np.ones((24, 24)),
        [[22.8, 26.3]],
        angle_to_matrix(np.array([48 + angle])),
        add=True,
    )
    tile = Tile((0, 0), SHAPE, SHAPE)
    pixels = tile.read(lambda region: image[region], template.box, mean=0, std=1)
    voxel = (22, 26)  # positions of even templates lie half a voxel further
    around = LocalScores(template, score, dtype="float32", pad_edges=False).around(voxel, tile, pixels)
    start = angle_to_matrix(np.array(48.0))
    pose = around.refined(start, 12)
    assert geodesic_angle(pose.rotation, angle_to_matrix(np.array(48 + angle))) < 0.5
    np.testing.assert_allclose(np.add(voxel, pose.offset) + 0.5, [22.8, 26.3], atol=0.15)
    assert pose.score >= float(np.nanmax(around.scores(start)))


def test_a_rotation_in_space_is_refined_about_all_axes():
    particle = chain_density(np.random.default_rng(5), 20)
    turn = Rotation.from_rotvec([0.05, -0.08, 0.06]).as_matrix()
    volume = np.random.default_rng(6).normal(scale=0.02, size=(32, 32, 32))
    plant(volume, particle, np.ones(particle.shape), [[15.5, 15.5, 15.5]], [turn], add=True)
    template = Template(particle, template_mask("sphere", particle.shape), np.eye(3)[np.newaxis])
    tile = Tile((0, 0, 0), volume.shape, volume.shape)
    pixels = tile.read(lambda region: volume[region], template.box, mean=0, std=1)
    local = LocalScores(template, get_score("FLCSphericalMask"), dtype="float32", pad_edges=False)
    pose = local.around((15, 15, 15), tile, pixels).refined(np.eye(3), 5)
    assert geodesic_angle(np.eye(3), turn) > 6
    assert geodesic_angle(pose.rotation, turn) < 0.7
    np.testing.assert_allclose(pose.offset, 0, atol=0.1)


def test_where_nothing_is_scored_a_rotation_stays():
    template, score, tile, pixels = in_image()
    local = LocalScores(template, score, dtype="float32", pad_edges=False)
    pose = local.around((0, 0), tile, pixels).refined(ROTATIONS[3], 5)
    np.testing.assert_array_equal(pose.rotation, ROTATIONS[3])
    assert pose.score == -np.inf


def test_where_a_turned_template_sticks_out_a_rotation_stays():
    template, score, tile, pixels = in_image()
    around = LocalScores(template, score, dtype="float32", pad_edges=False).around((5, 20), tile, pixels)
    pose = around.refined(np.eye(2), 5)
    np.testing.assert_array_equal(pose.rotation, np.eye(2))
    assert np.isfinite(pose.score)


def test_a_part_of_a_tile_keeps_its_weights():
    values, weights = np.arange(20.0).reshape(4, 5), np.arange(20.0).reshape(4, 5) / 20
    part = TargetTile(values, weights, 1.0, 2.0).cut((1, 2), (2, 3))
    np.testing.assert_array_equal(part.values, values[1:3, 2:5])
    np.testing.assert_array_equal(part.weights, weights[1:3, 2:5])
    assert (part.mean, part.std) == (1.0, 2.0)
    assert TargetTile(values, None, 0.0, 1.0).cut((0, 0), (1, 1)).weights is None
