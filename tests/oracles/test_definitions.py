"""Scores against their definitions, evaluated in double precision position by position."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scorefold.rotations import plane_rotations
from scorefold.scoring.masks import template_mask
from scorefold.scoring.scores import MINIMUM_OVERLAP

FLAT = 1e-8
"""Variance, in units of the target's, below which a window counts as constant (documented)."""


def windows(target, box):
    """Yield every position with the region of the box inside the target, and that region within the box."""
    for position in itertools.product(*(range(n) for n in target.shape)):
        origin = [p - (b - 1) // 2 for p, b in zip(position, box, strict=True)]
        inside = tuple(
            slice(max(o, 0), min(o + b, n)) for o, b, n in zip(origin, box, target.shape, strict=True)
        )
        within = tuple(slice(s.start - o, s.stop - o) for s, o in zip(inside, origin, strict=True))
        yield position, inside, within


def correlation(f, g, weights):
    """Return the weighted correlation coefficient, its weighted variances, and 0 where either is flat."""
    total = weights.sum()
    f, g = f - (f * weights).sum() / total, g - (g * weights).sum() / total
    variances = (f * f * weights).sum() / total, (g * g * weights).sum() / total
    if min(variances) <= FLAT:
        return 0.0
    return (f * g * weights).sum() / total / np.sqrt(variances[0] * variances[1])


def direct_flc(target, rotated):
    f = (target - target.mean()) / target.std()
    scores = np.full(target.shape, np.nan)
    for position, inside, within in windows(target, rotated.weights.shape):
        if np.count_nonzero(rotated.weights[within]) < np.count_nonzero(rotated.weights):
            continue  # the mask sticks out
        scores[position] = correlation(f[inside], rotated.values[within], rotated.weights[within])
    return scores


def direct_mcc(target, target_mask, rotated):
    f = (target - target.mean()) / target.std()
    mean = np.average(rotated.values, weights=rotated.weights)
    g = (rotated.values - mean) / np.sqrt(np.average((rotated.values - mean) ** 2, weights=rotated.weights))
    scores = np.zeros(target.shape)
    for position, inside, within in windows(target, rotated.weights.shape):
        weights = rotated.weights[within] * target_mask[inside]
        if weights.sum() >= MINIMUM_OVERLAP * rotated.weights.sum() * (1 - 1e-9):
            scores[position] = np.clip(correlation(f[inside], g[within], weights), -1, 1)
    return scores


def masks(shape):
    """Return masks of every kind: binary and soft, invariant and not, with and without empty margins."""
    radii = tuple(0.8 * (n - 1) / 2 for n in shape)
    rng = np.random.default_rng(0)
    ragged = rng.uniform(size=shape).astype(np.float32) * (rng.uniform(size=shape) < 0.6)
    return {
        "none": template_mask("none", shape),
        "sphere": template_mask("sphere", shape),
        "soft sphere": template_mask("sphere", shape, soft_edge=0.7),
        "ellipse": template_mask("ellipse", shape, radius=radii),
        "soft box": template_mask("box", shape, radius=tuple(0.5 * r for r in radii), soft_edge=1.0),
        "ragged": ragged,
    }


PLANE = plane_rotations(37.0)[[0, 1, 4]]
SPACE = np.concatenate(
    [np.eye(3)[None], Rotation.random(2, random_state=np.random.default_rng(1)).as_matrix()]
)
CASES = {
    "2D odd": ((17, 15), (5, 7), PLANE),
    "2D even": ((16, 17), (6, 4), PLANE),
    "2D mixed": ((15, 18), (4, 5), PLANE),
    "3D mixed": ((9, 8, 10), (5, 4, 6), SPACE),
}


@pytest.fixture(params=CASES)
def case(request):
    target_shape, shape, rotations = CASES[request.param]
    rng = np.random.default_rng(2)
    return rng.gamma(2.0, 30.0, target_shape), rng.gamma(2.0, 30.0, shape), rotations


@pytest.mark.parametrize("kind", masks((4, 4)))
@pytest.mark.parametrize("order", [1, 3])
def test_flc_is_its_definition_at_every_rotation_and_mask(score_maps, case, kind, order):
    target, values, rotations = case
    mask = masks(values.shape)[kind]
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-10)):
        maps, template = score_maps("FLC", target, values, mask, rotations, dtype=dtype, order=order)
        for scores, rotation in zip(maps, rotations, strict=True):
            np.testing.assert_allclose(scores, direct_flc(target, template.rotated(rotation)), atol=tolerance)


@pytest.mark.parametrize("kind", ["sphere", "soft sphere"])
def test_flc_spherical_mask_is_its_definition(score_maps, case, kind):
    target, values, rotations = case
    mask = masks(values.shape)[kind]
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-10)):
        maps, template = score_maps("FLCSphericalMask", target, values, mask, rotations, dtype=dtype)
        for scores, rotation in zip(maps, rotations, strict=True):
            np.testing.assert_allclose(scores, direct_flc(target, template.rotated(rotation)), atol=tolerance)


@pytest.mark.parametrize("kind", masks((4, 4)))
@pytest.mark.parametrize("target_mask", ["whole", "holes", "soft"])
def test_mcc_is_its_definition(score_maps, case, kind, target_mask):
    target, values, rotations = case
    rng = np.random.default_rng(3)
    weights = {
        "whole": np.ones(target.shape),
        "holes": (rng.uniform(size=target.shape) < 0.5).astype(float),
        "soft": rng.uniform(size=target.shape),
    }[target_mask]
    given = None if target_mask == "whole" else weights
    maps, template = score_maps(
        "MCC", target, values, masks(values.shape)[kind], rotations, target_mask=given
    )
    for scores, rotation in zip(maps, rotations, strict=True):
        # Overlaps of a few voxels have variances near the flat bound, where rounding is amplified.
        np.testing.assert_allclose(scores, direct_mcc(target, weights, template.rotated(rotation)), atol=1e-7)


def test_pad_edges_scores_every_position_against_the_mirrored_target(score_maps, case):
    target, values, rotations = case
    mask = masks(values.shape)["soft box"]
    maps, template = score_maps("FLC", target, values, mask, rotations, pad_edges=True)
    assert not np.isnan(maps).any()
    width = max(template.box) // 2 + 1
    mirrored = np.pad(target, width, mode="symmetric")
    whole = tuple(slice(width, -width) for _ in target.shape)
    for scores, rotation in zip(maps, rotations, strict=True):
        expected = direct_flc(mirrored, template.rotated(rotation))[whole]
        np.testing.assert_allclose(scores, expected, atol=1e-9)
