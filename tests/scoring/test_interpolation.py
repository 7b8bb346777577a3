"""Turning templates: the compiled splines against SciPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from scorefold.rotations import angle_to_matrix
from scorefold.scoring.interpolation import extended, points_of, turned

SHAPES = [(9, 12), (7, 7), (2, 5), (6, 8, 7), (4, 4, 9)]


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(("mirror", "mode"), [(True, "mirror"), (False, "grid-constant")])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES))
def test_inside_of_the_array_it_equals_scipy(order, mirror, mode, seed, shape):
    rng = np.random.default_rng(seed)
    dimensions = len(shape)
    rotation = (
        angle_to_matrix(rng.uniform(0, 360)) if dimensions == 2 else Rotation.random(rng=rng).as_matrix()
    )
    coefficients = rng.normal(size=shape)
    box = tuple(n + 3 for n in shape)
    offset = (np.array(shape) - 1) / 2 - rotation.T @ ((np.array(box) - 1) / 2)
    where = np.tensordot(rotation.T, np.indices(box), 1) + offset.reshape(-1, *(1,) * dimensions)
    inside = np.all([(w > -0.999) & (w < n - 0.001) for w, n in zip(where, shape, strict=True)], axis=0)
    everywhere = points_of(np.ones(box))
    found = turned(extended(coefficients, mirror=mirror), rotation.T, offset, order, everywhere).reshape(box)
    expected = ndimage.affine_transform(
        coefficients, rotation.T, offset, box, order=order, mode=mode, prefilter=False
    )
    # Two evaluations in float64 of sums of up to 64 terms of order 1.
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-12)
    outside = np.any([(w < -1.001) | (w > n + 0.001) for w, n in zip(where, shape, strict=True)], axis=0)
    assert not found[outside].any()


@pytest.mark.parametrize("order", [1, 3])
def test_what_lies_outside_of_the_array_is_zero(order):
    source = extended(np.ones((4, 4)), mirror=False)
    found = turned(source, np.eye(2), np.array([-6.0, -6.0]), order, points_of(np.ones((16, 16)))).reshape(
        16, 16
    )
    assert found[6:10, 6:10].all()
    assert not found[:5].any()
    assert not found[11:].any()
    assert not found[:, :5].any()
    assert not found[:, 11:].any()


def test_only_voxels_with_a_weight_are_evaluated():
    weights = np.zeros((5, 5))
    weights[2, 3] = 0.5
    source = extended(np.arange(25.0).reshape(5, 5), mirror=True)
    points = points_of(weights)
    assert points.tolist() == [[0, 2, 3]]
    assert turned(source, np.eye(2), np.zeros(2), 1, points).tolist() == [13]
