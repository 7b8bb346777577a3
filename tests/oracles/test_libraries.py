"""Scores against what SciPy, scikit-image and OpenCV compute."""

import cv2
import numpy as np
import pytest
from scipy import ndimage, signal
from skimage.feature import match_template
from skimage.registration._masked_phase_cross_correlation import cross_correlate_masked

from scorefold.scoring.masks import template_mask

SINGLE = 1e-5
"""Single precision over transforms of some hundred voxels: about 1e-7 times a norm ratio of at most 30."""

DOUBLE = 1e-10

SHAPES = [
    ((23, 31), (5, 5)),
    ((23, 31), (4, 6)),
    ((20, 21), (7, 2)),
    ((9, 12, 11), (3, 4, 5)),
    ((9, 9, 9), (2, 2, 2)),
]


def middle(shape):
    """Return where the top-left voxel of a template lies when its position is (0, ...): minus (n - 1)//2."""
    return tuple((n - 1) // 2 for n in shape)


def valid(score_map, shape):
    """Return the scores at which a whole box of `shape` lies inside, the first for the box at the origin."""
    before = middle(shape)
    return score_map[
        tuple(slice(b, s - n + 1 + b) for b, n, s in zip(before, shape, score_map.shape, strict=True))
    ]


@pytest.mark.parametrize(("target_shape", "shape"), SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", SINGLE), ("float64", DOUBLE)])
def test_flc_without_mask_is_match_template(score_maps, target_shape, shape, dtype, tolerance):
    rng = np.random.default_rng(1)
    target = rng.uniform(0, 255, target_shape)
    template = rng.uniform(0, 255, shape)
    maps, _ = score_maps("FLC", target, template, np.ones(shape), dtype=dtype)
    # match_template's own sliding sums are good to about 1e-12 of the squared pixels.
    np.testing.assert_allclose(
        valid(maps[0], shape), match_template(target, template), atol=max(tolerance, 1e-8)
    )
    outside = np.ones(target_shape, bool)
    valid(outside, shape)[...] = False
    assert np.isnan(maps[0][outside]).all(), "only positions with the whole template inside are scored"


@pytest.mark.parametrize("kind", ["none", "disk", "ellipse", "box"])
def test_flc_with_a_binary_mask_is_opencv_masked_ccoeff_normed(score_maps, kind):
    # OpenCV squares the mask in its sums, so that only binary masks mean the same.
    rng = np.random.default_rng(2)
    shape = (9, 11)
    target = rng.uniform(0, 1, (40, 50)).astype(np.float32)
    template = rng.uniform(0, 1, shape).astype(np.float32)
    radius = (3.0, 4.0) if kind in ("ellipse", "box") else None
    mask = template_mask(kind, shape, radius=radius)
    expected = cv2.matchTemplate(target, template, cv2.TM_CCOEFF_NORMED, mask=mask)
    maps, _ = score_maps("FLC", target, template, mask)
    # OpenCV works in single precision: 1e-4 as its own tests allow.
    np.testing.assert_allclose(valid(maps[0], shape), expected, atol=1e-4)


def test_a_template_cut_from_the_target_scores_one_where_it_was_cut(score_maps):
    target = np.random.default_rng(3).uniform(0, 255, (30, 30))
    template = target[7:14, 9:18]
    for name in ("FLC", "MCC"):
        maps, _ = score_maps(name, target, template, np.ones(template.shape), dtype="float32")
        position = np.unravel_index(np.nanargmax(maps[0]), target.shape)
        assert position == (7 + 3, 9 + 4), "a position is the template's centre"
        assert maps[0][position] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("with_target_mask", [False, True])
def test_mcc_is_scikit_images_masked_correlation(score_maps, ndim, with_target_mask):
    rng = np.random.default_rng(4)
    target_shape, shape = ((17, 19), (5, 6)) if ndim == 2 else ((7, 8, 9), (3, 4, 3))
    target, template = rng.uniform(1, 2, target_shape), rng.uniform(1, 2, shape)
    mask = (rng.uniform(size=shape) < 0.7).astype(np.float32)
    mask[(0,) * ndim] = mask[(-1,) * ndim] = 1  # keeps the box
    target_mask = (
        (rng.uniform(size=target_shape) < 0.6).astype(np.float32)
        if with_target_mask
        else np.ones(target_shape)
    )
    axes = tuple(range(ndim))
    full = cross_correlate_masked(
        target,
        template,
        target_mask.astype(bool),
        mask.astype(bool),
        mode="full",
        axes=axes,
        overlap_ratio=0.0,
    )
    overlap = signal.correlate(target_mask, mask, mode="full", method="direct")
    # Index 0 of the full correlation: the template's last voxel on the target's first.
    start = [n - 1 - (n - 1) // 2 for n in shape]
    here = tuple(slice(s, s + n) for s, n in zip(start, target_shape, strict=True))
    enough = overlap[here] >= 0.3 * mask.sum() - 1e-9  # ours is a ratio of the template mask
    expected = np.where(enough, full[here], 0.0)
    maps, _ = score_maps("MCC", target, template, mask, target_mask=target_mask if with_target_mask else None)
    assert not np.isnan(maps).any(), "MCC scores partial overlaps too"
    assert enough.any()
    assert not enough.all() or not with_target_mask
    # Below a handful of voxels scikit-image's variances are rounding errors.
    np.testing.assert_allclose(maps[0], np.clip(expected, -1, 1), atol=1e-6)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_cc_is_scipys_correlation_in_raw_units(score_maps, ndim, dtype, tolerance):
    rng = np.random.default_rng(5)
    target_shape, shape = ((21, 18), (4, 5)) if ndim == 2 else ((9, 8, 7), (3, 2, 4))
    target, template = rng.uniform(100, 140, target_shape), rng.uniform(-3, 5, shape)
    expected = signal.correlate(target, template, mode="valid", method="direct")
    maps, _ = score_maps("CC", target, template, np.ones(shape), dtype=dtype)
    np.testing.assert_allclose(valid(maps[0], shape), expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("ndim", [2, 3])
def test_lcc_is_the_correlation_of_laplacians(score_maps, ndim):
    rng = np.random.default_rng(6)
    target_shape, shape = ((21, 18), (4, 5)) if ndim == 2 else ((9, 8, 7), (3, 2, 4))
    target, template = rng.uniform(100, 140, target_shape), rng.uniform(-3, 5, shape)
    expected = signal.correlate(
        ndimage.laplace(target), ndimage.laplace(template), mode="valid", method="direct"
    )
    maps, _ = score_maps("LCC", target, template, np.ones(shape))
    np.testing.assert_allclose(valid(maps[0], shape), expected, atol=1e-10 * np.abs(expected).max())


def test_ncc_is_its_definition(score_maps):
    rng = np.random.default_rng(7)
    target, template = rng.uniform(0, 255, (30, 28)), rng.uniform(0, 9, (5, 6))
    standard = (template - template.mean()) / template.std()
    expected = signal.correlate((target - target.mean()) / target.std(), standard, "valid") / np.linalg.norm(
        standard
    )
    maps, _ = score_maps("NCC", target, template, np.ones(template.shape))
    np.testing.assert_allclose(valid(maps[0], template.shape), expected, atol=1e-10)


@pytest.mark.parametrize("kind", ["none", "disk"])
def test_ncc_has_unit_variance_on_white_noise(score_maps, kind):
    rng = np.random.default_rng(8)
    target, template = rng.normal(50, 12, (256, 256)), rng.normal(size=(9, 9))
    maps, _ = score_maps("NCC", target, template, template_mask(kind, (9, 9)), dtype="float32")
    scores = maps[0][~np.isnan(maps[0])]
    # About 65 536/81 independent windows: the standard error of a variance is sqrt(2/800) = 0.05.
    assert scores.var() == pytest.approx(1.0, abs=0.15)
    assert scores.mean() == pytest.approx(0.0, abs=0.15)


def test_cam_is_flc_with_a_spherical_mask(score_maps):
    rng = np.random.default_rng(9)
    target, template = rng.uniform(0, 255, (40, 30)), rng.uniform(5, 9, (9, 9))
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    for mask in (template_mask("disk", (9, 9)), template_mask("disk", (9, 9), radius=2.5, soft_edge=1.5)):
        maps = [
            score_maps(name, target, template, mask, [np.eye(2), turn])[0]
            for name in ("CAM", "FLCSphericalMask", "FLC")
        ]
        np.testing.assert_allclose(maps[0], maps[1], atol=1e-10)
        np.testing.assert_allclose(maps[2], maps[1], atol=1e-10)
