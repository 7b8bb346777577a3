"""Rotating a template: exact where it can be, as SciPy interpolates elsewhere, inside a box that is always enough."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rotations import angle_to_matrix, plane_rotations
from scorefold.scoring.masks import template_mask
from scorefold.scoring.template import NEGLIGIBLE_WEIGHT, Template
from scorefold.scoring.tile import Tile

QUARTER = angle_to_matrix(90.0)


@st.composite
def rotation_sets(draw, ndim, max_size=4):
    """Draw sets of rotations; exact axis permutations and general ones."""
    seeds = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=max_size))
    axis_aligned = draw(st.booleans())
    if ndim == 2:
        angles = [90.0 * seed if axis_aligned else float(seed) / 7 for seed in seeds]
        return np.stack([angle_to_matrix(angle) for angle in angles])
    if axis_aligned:
        group = Rotation.create_group("O").as_matrix()
        return np.rint(group[[seed % len(group) for seed in seeds]])
    return Rotation.random(len(seeds), random_state=np.random.default_rng(seeds)).as_matrix()


@st.composite
def templates(draw):
    """Draw a template with a mask of any kind and its rotation set."""
    ndim = draw(st.sampled_from([2, 3]))
    shape = draw(st.tuples(*[st.integers(2, 9 if ndim == 2 else 5)] * ndim))
    kind = draw(st.sampled_from(["none", "box", "points", "soft", "gaussian"]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    if kind in ("none", "box"):
        mask = template_mask(kind, shape, soft_edge=0.0 if kind == "none" else draw(st.floats(0, 2)))
    elif kind == "gaussian":
        # Weights that fall below every threshold long before the box ends.
        centred = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij"))
        mask = np.exp(-(centred**2).sum(axis=0) / draw(st.floats(0.1, 4)))
    else:
        mask = rng.uniform(size=shape) < draw(st.floats(0.05, 0.9))
        mask = mask * (rng.uniform(size=shape) if kind == "soft" else 1.0)
    mask = np.array(mask, np.float64)
    mask[(0,) * ndim], mask[(-1,) * ndim] = max(mask[(0,) * ndim], 0.5), max(mask[(-1,) * ndim], 0.5)
    if kind == "gaussian":
        mask[(0,) * ndim] = mask[(-1,) * ndim] = 1e-9
        mask /= mask.max()
    values = rng.normal(size=shape)
    rotations = draw(rotation_sets(ndim))
    return Template(values, mask, rotations, order=1), mask, rotations


def padded(array, shape):
    """Zero-pad about the centre; parities agree."""
    return np.pad(array, [((want - have) // 2,) * 2 for have, want in zip(array.shape, shape, strict=True)])


@pytest.mark.parametrize("shape", [(5, 5), (4, 6), (5, 7), (6, 4), (8, 8)])
@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_of_equal_parity_are_rot90(shape, order, turns):
    values = np.random.default_rng(0).normal(size=shape)
    mask = np.random.default_rng(1).uniform(0.2, 1, size=shape)
    template = Template(values, mask, plane_rotations(90.0), order=order)
    rotated = template.rotated(plane_rotations(90.0)[turns])
    expected = padded(np.rot90(values, turns), template.box)
    # Cubic splines reproduce their knots to a few rounding errors of their prefilter.
    np.testing.assert_allclose(rotated.values, expected, atol=1e-13)
    np.testing.assert_allclose(rotated.weights, padded(np.rot90(mask, turns), template.box), atol=1e-14)


@pytest.mark.parametrize("order", [1, 3])
def test_the_24_axis_rotations_of_a_volume_permute_its_voxels(order):
    values = np.random.default_rng(0).normal(size=(3, 5, 7))
    group = np.rint(Rotation.create_group("O").as_matrix())
    template = Template(values, np.ones(values.shape), group, order=order)
    for rotation in group:
        moved = np.array(rotation, int)
        indices = np.stack(np.meshgrid(*[np.arange(n) - n // 2 for n in values.shape], indexing="ij"), -1)
        expected = np.zeros(template.box)
        expected[
            tuple(np.moveaxis(indices @ moved.T, -1, 0) + np.array(template.box)[:, None, None, None] // 2)
        ] = values
        np.testing.assert_allclose(template.rotated(rotation).values, expected, atol=1e-13)


@pytest.mark.parametrize("shape", [(5, 5), (4, 6), (5, 6), (7, 4), (4, 5, 6), (3, 3, 3), (2, 5, 4)])
@pytest.mark.parametrize("order", [1, 3])
def test_rotation_is_scipys_interpolation_at_the_turned_coordinates(shape, order):
    ndim = len(shape)
    rng = np.random.default_rng(2)
    values, mask = rng.normal(size=shape), rng.uniform(0.3, 1, size=shape)
    rotations = (
        plane_rotations(33.0)
        if ndim == 2
        else Rotation.random(4, random_state=np.random.default_rng(3)).as_matrix()
    )
    template = Template(values, mask, rotations, order=order)
    centre, box_centre = (np.array(shape) - 1) / 2, (np.array(template.box) - 1) / 2
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in template.box], indexing="ij")).reshape(ndim, -1)
    for rotation in rotations:
        # x_target = R (x_template - c) + t, hence x_template = R^-1 (x_target - t) + c.
        where = np.linalg.inv(rotation) @ (grid - box_centre[:, None]) + centre[:, None]
        weights = ndimage.map_coordinates(mask, where, order=1, mode="grid-constant").reshape(template.box)
        expected = ndimage.map_coordinates(values, where, order=order, mode="mirror").reshape(template.box)
        rotated = template.rotated(rotation)
        counts = rotated.weights > 0
        np.testing.assert_array_equal(counts, weights >= NEGLIGIBLE_WEIGHT * mask.max())
        np.testing.assert_allclose(rotated.weights[counts], weights[counts], atol=1e-12)
        np.testing.assert_allclose(rotated.values[counts], expected[counts], atol=1e-11)
        assert not rotated.values[~counts].any()


def assert_box_and_reach(template, mask, rotations):
    """Assert that no weight lies outside of the box and no position that some rotation fits outside of the reach."""
    target_shape = tuple(2 * n + 1 for n in template.box)
    tile = Tile((0,) * mask.ndim, target_shape, target_shape)
    for rotation in rotations:
        wide = tuple(n + 6 for n in template.box)
        centre, wide_centre = (np.array(mask.shape) - 1) / 2, (np.array(wide) - 1) / 2
        weights = ndimage.affine_transform(
            mask, rotation.T, centre - rotation.T @ wide_centre, wide, order=1, mode="grid-constant"
        )
        outside = np.ones(wide, bool)
        outside[tuple(slice(3, -3) for _ in wide)] = False
        assert weights[outside].max() <= 1e-9, "interpolated mask beyond the search box"
        window = tile.window(template.rotated(rotation).support, template.box)
        for (first, stop), (before, after), length in zip(window, template.reach, target_shape, strict=True):
            assert before <= first < stop <= length - after, "a position that fits is out of reach"


@given(templates())
@settings(deadline=None)
def test_box_and_reach_are_enough_for_any_mask_and_rotations(drawn):
    assert_box_and_reach(*drawn)


def corners(shape):
    """Return a mask of two opposite corners: nothing but extremes."""
    mask = np.zeros(shape)
    mask[(0,) * len(shape)] = mask[(-1,) * len(shape)] = 1
    return mask


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (4, 7), (6, 5), (9, 9), (2, 11)])
def test_box_and_reach_are_enough_at_every_angle(shape):
    values = np.random.default_rng(0).normal(size=shape)
    for angle in np.arange(0.0, 180.0, 3.0):
        rotation = angle_to_matrix(angle)[None]
        for mask in (corners(shape), corners(shape)[::-1], np.ones(shape)):
            assert_box_and_reach(Template(values, mask, rotation, order=1), mask, rotation)


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 4, 5), (5, 5, 5)])
def test_box_and_reach_are_enough_at_many_rotations_of_space(shape):
    values = np.random.default_rng(0).normal(size=shape)
    for rotation in Rotation.random(60, random_state=np.random.default_rng(1)).as_matrix():
        for mask in (corners(shape), corners(shape)[::-1]):
            assert_box_and_reach(Template(values, mask, rotation[None], order=1), mask, rotation[None])


@pytest.mark.parametrize("shape", [(31, 25), (13, 12, 11)])
def test_reach_is_that_of_what_counts_where_weights_fade(shape):
    """Of a Gaussian mask only the middle survives the interpolation's threshold."""
    centred = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij")
    mask = np.exp(-sum(axis**2 for axis in centred) / 3)
    rotations = plane_rotations(20.0)[1:]
    if len(shape) == 3:
        rotations = Rotation.random(8, random_state=np.random.default_rng(1)).as_matrix()
    template = Template(np.random.default_rng(0).normal(size=shape), mask, rotations, order=1)
    assert not template.invariant, "its tails reach into the corners"
    assert_box_and_reach(template, mask, rotations)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(2, 6)), elements=st.floats(-5, 5)),
    st.data(),
)
@settings(deadline=None)
def test_the_mask_turns_rigidly(values, data):
    """Its centre of weight goes where R (x - c) + t says, up to the interpolation."""
    if np.ptp(values) < 1e-3:
        return
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    mask = rng.uniform(0.1, 1, size=values.shape)
    rotation = data.draw(rotation_sets(2, max_size=1))[0]
    template = Template(values, mask, rotation[None])
    weights = template.rotated(rotation).weights
    wide = padded(mask, tuple(n + 2 * 3 for n in mask.shape))

    def centre_of(array):
        return np.array(ndimage.center_of_mass(array)) - (np.array(array.shape) - 1) / 2

    # Linear interpolation keeps the centre of weight but for sampling: a tenth of a voxel in small masks.
    np.testing.assert_allclose(centre_of(weights), rotation @ centre_of(wide), atol=0.15)


def test_a_sphere_keeps_its_mask_and_its_small_box():
    mask = template_mask("sphere", (11, 11, 11), radius=3)
    template = Template(
        np.random.default_rng(0).normal(size=mask.shape), mask, np.stack([np.eye(3), -np.eye(3)[::-1]])
    )
    assert template.invariant
    assert template.box == (7, 7, 7)
    assert template.reach == ((3, 3),) * 3
    np.testing.assert_array_equal(template.fixed_mask, mask[2:-2, 2:-2, 2:-2])


def test_a_mask_that_changes_has_no_fixed_one():
    template = Template(np.eye(4), np.ones((4, 4)), QUARTER[None])
    with pytest.raises(InputError, match="changes when it is rotated"):
        _ = template.fixed_mask


def test_any_mask_is_invariant_if_nothing_is_rotated():
    template = Template(np.eye(4), np.ones((4, 4)), np.eye(2)[None])
    assert template.invariant
    assert template.box == (4, 4)
    assert template.reach == ((1, 2), (1, 2))


@pytest.mark.parametrize(
    ("values", "mask", "order", "message"),
    [
        (np.eye(4), np.ones((4, 4)), 2, "interpolation order 2"),
        (np.full((4, 4), np.inf), np.ones((4, 4)), 1, "NaN or infinity"),
        (np.full((4, 4), 3.0), np.ones((4, 4)), 1, "constant under its mask"),
        (np.eye(4), np.eye(4), 1, "constant under its mask"),
        (np.eye(4), np.diag([1.0, 0, 0, 0]), 1, "constant under its mask"),
    ],
)
def test_templates_that_cannot_be_searched_for_are_refused(values, mask, order, message):
    with pytest.raises(InputError, match=message):
        Template(values, mask, np.eye(2)[None], order=order)
