"""Masks: shapes, radii, soft edges, invariance, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorefold.errors import InputError
from scorefold.scoring.masks import check_mask, is_rotation_invariant, radial_distance, template_mask

shapes = st.one_of(
    st.tuples(*[st.integers(3, 14)] * 2),
    st.tuples(*[st.integers(3, 8)] * 3),
)


@given(
    shape=shapes,
    kind=st.sampled_from(["none", "disk", "sphere", "ellipse", "box"]),
    edge=st.one_of(st.just(0.0), st.floats(0.01, 4)),
)
def test_weights_lie_between_zero_and_one_and_are_symmetric(shape, kind, edge):
    mask = template_mask(kind, shape, soft_edge=edge)
    assert mask.shape == shape
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert 0 < mask.max() <= 1
    for axis in range(len(shape)):
        np.testing.assert_array_equal(mask, np.flip(mask, axis))


@given(shape=shapes, radius=st.floats(0.9, 6))
def test_hard_masks_are_the_points_of_the_shape(shape, radius):
    centred = [(np.arange(n) - (n - 1) / 2) / radius for n in shape]
    grid = np.stack(np.meshgrid(*centred, indexing="ij"))
    ball = (grid**2).sum(axis=0) <= 1 + 1e-9
    cube = np.abs(grid).max(axis=0) <= 1 + 1e-9
    np.testing.assert_array_equal(template_mask("sphere", shape, radius=radius) == 1, ball)
    np.testing.assert_array_equal(template_mask("ellipse", shape, radius=radius) == 1, ball)
    np.testing.assert_array_equal(template_mask("box", shape, radius=radius) == 1, cube)


def test_an_ellipse_has_one_radius_per_axis():
    mask = template_mask("ellipse", (21, 21), radius=(8, 3))
    extents = [int(np.ptp(np.nonzero(mask)[axis])) + 1 for axis in (0, 1)]
    assert extents == [17, 7]


@given(shape=shapes, radius=st.floats(0.9, 4), edge=st.floats(0.1, 5))
def test_a_soft_edge_falls_from_one_to_zero_over_its_width(shape, radius, edge):
    mask = template_mask("sphere", shape, radius=radius, soft_edge=edge).ravel()
    distance = radial_distance(shape).ravel()
    ordered = mask[np.argsort(distance, kind="stable")]
    assert (np.diff(ordered) <= 1e-6).all(), "weights fall with the distance"
    assert (mask[distance <= radius] == 1).all()
    assert (mask[distance >= radius + edge + 1e-6] <= 1e-6).all()


def test_a_soft_edge_is_a_raised_cosine():
    mask = template_mask("sphere", (21, 21), radius=4, soft_edge=4)
    # Along the middle row: 1 at the radius, 1/2 half way, 0 at the end.
    np.testing.assert_allclose(mask[10, [14, 16, 18]], [1, 0.5, 0], atol=1e-6)


@given(shape=shapes)
def test_drawn_spheres_are_invariant_by_default(shape):
    assert is_rotation_invariant(template_mask("sphere", shape))


@given(shape=shapes)
def test_masks_that_fill_corners_are_not_invariant(shape):
    assert not is_rotation_invariant(template_mask("none", shape))


@pytest.mark.parametrize(
    "mask",
    [
        template_mask("ellipse", (15, 15), radius=(6, 4)),
        template_mask("box", (15, 15), radius=4),
        template_mask("disk", (15, 9), radius=6),  # cut off by the box
        np.roll(template_mask("disk", (15, 15), radius=3), 1, axis=0),  # off centre
    ],
)
def test_masks_that_a_rotation_changes_are_found_out(mask):
    assert not is_rotation_invariant(mask)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("disc", {}, r'mask "disc": no such shape'),
        ("disk", {"radius": 0.0}, "positive"),
        ("disk", {"radius": float("nan")}, "positive"),
        ("disk", {"radius": (3.0, 4.0)}, "one radius"),
        ("ellipse", {"radius": (3.0, 4.0, 5.0)}, "3 values for a template of 2 dimensions"),
        ("disk", {"soft_edge": -1.0}, "0 or more"),
        ("disk", {"radius": 0.5, "shape": (8, 8)}, r"no voxel of a template of shape \(8, 8\)"),
        ("sphere", {"shape": (2, 2, 2)}, "Give a larger mask radius"),
        ("disk", {"soft_edge": float("inf")}, "0 or more"),
    ],
)
def test_impossible_masks_are_refused_with_the_value(kind, options, message):
    with pytest.raises(InputError, match=message):
        template_mask(kind, **{"shape": (9, 9), **options})


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((3, 4)), r"shape \(3, 4\) differs from \(4, 4\)"),
        (np.full((4, 4), np.nan), "NaN or infinity"),
        (np.full((4, 4), 1.5), r"outside \[0, 1\]"),
        (-np.eye(4), r"outside \[0, 1\]"),
        (np.array(np.diag([1, 2, 3, 0])), r"outside \[0, 1\]"),
        (np.zeros((4, 4)), "zero everywhere"),
    ],
)
def test_arrays_that_are_no_mask_are_refused_with_the_reason(mask, message):
    with pytest.raises(InputError, match=rf'mask "m.tif": .*{message}'):
        check_mask(mask, (4, 4), "m.tif")


@pytest.mark.parametrize("top", [1, 7, 255])
def test_integer_masks_count_as_zero_and_one(top):
    given_mask = np.eye(4, dtype=np.uint8) * np.uint8(top)
    np.testing.assert_array_equal(check_mask(given_mask, (4, 4), "m"), np.eye(4, dtype=np.float32))
    np.testing.assert_array_equal(check_mask(np.eye(4, dtype=bool), (4, 4), "m"), np.eye(4, dtype=np.float32))
