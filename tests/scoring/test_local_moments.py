"""Moments of FLC in single precision: taken where no digit that counts is lost, and nowhere else."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from scorefold.rotations import angle_to_matrix
from scorefold.scoring import scores as scores_module
from scorefold.scoring.correlator import Correlator
from scorefold.scoring.fft import available_providers, provider
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import TargetTile, get_score
from scorefold.scoring.template import Template

RNG = np.random.default_rng(5)
ROTATIONS = np.stack([angle_to_matrix(angle) for angle in (0.0, 31.0, 77.0)])
VALUES = RNG.normal(size=(21, 31))


def noise(shape):
    return RNG.normal(size=shape)


def smooth(shape):
    return ndimage.gaussian_filter(RNG.normal(size=shape), 1, mode="wrap")


def uneven(shape):
    return ndimage.gaussian_filter(RNG.normal(size=shape), 8, mode="wrap")


def with_beads(shape):
    target = RNG.normal(size=shape)
    target[20:23, 30:33] = 60.0
    return target


def with_flat_corner(shape):
    target = RNG.normal(size=shape)
    target[:60, :60] = 0.5
    return target


def with_faint_corner(shape):
    target = RNG.normal(size=shape)
    target[:60, :60] *= 1e-3
    return target


def tile_of(target):
    standardised = (target - target.mean()) / target.std()
    return TargetTile(standardised, None, float(target.mean()), float(target.std()))


def score_maps(target, fft="scipy", mask=None):
    """Return the precision of the moments, and FLC's maps at all rotations."""
    score = get_score("FLC")
    template = Template(VALUES, np.ones(VALUES.shape) if mask is None else mask, ROTATIONS)
    correlator = Correlator(provider(fft), target.shape, template.box, "float32")
    tile = score.prepare_tile(tile_of(target), template, correlator)
    maps = []
    for rotation in ROTATIONS:
        numerator, weight = score.terms(
            tile, score.prepare_rotation(template.rotated(rotation), correlator), correlator
        )
        maps.append(numerator * weight)
    return tile.precision, np.stack(maps)


@pytest.mark.parametrize("fft", available_providers())
@pytest.mark.parametrize(
    ("make", "precision"),
    [
        (noise, "working"),
        (smooth, "working"),
        (uneven, "double"),
        (with_beads, "double"),
        (with_flat_corner, "double"),
        (with_faint_corner, "double"),
    ],
)
def test_single_moments_are_taken_where_they_change_nothing_that_counts(make, precision, fft, monkeypatch):
    target = make((120, 140))
    chosen, maps = score_maps(target, fft)
    assert chosen == precision
    monkeypatch.setattr(scores_module, "_moments_may_be_single", lambda *_: False)
    always_double, expected = score_maps(target, fft)
    assert always_double == "double"
    # Numerators are the same; a score is off by no more than half of what a variance may lose.
    np.testing.assert_allclose(maps, expected, rtol=scores_module.LOST_OF_VARIANCE / 2, atol=0)


def test_where_single_moments_would_be_wrong_they_are_not_taken(monkeypatch):
    """The rule is needed: without it scores in a faint corner are off by more than it allows."""
    target = with_faint_corner((120, 140))
    _, expected = score_maps(target)
    monkeypatch.setattr(scores_module, "_moments_may_be_single", lambda *_: True)
    _, wrong = score_maps(target)
    assert np.abs(wrong - expected).max() > 100 * scores_module.LOST_OF_VARIANCE


def test_a_mask_without_a_core_has_double_moments():
    ring = np.zeros(VALUES.shape, np.float32)
    ring[[0, 1, -2, -1]] = ring[:, [0, 1, -2, -1]] = 1
    assert score_maps(noise((120, 140)), mask=ring)[0] == "double"


@pytest.mark.parametrize("kind", ["box", "ellipse", "soft", "part"])
@pytest.mark.parametrize("shape", [(21, 31), (20, 24), (15, 14, 17)])
def test_every_turned_mask_holds_the_core(shape, kind):
    mask = template_mask(
        kind if kind in ("box", "ellipse") else "ellipse", shape, soft_edge=3.0 if kind == "soft" else 0.0
    )
    if kind == "part":
        mask[: shape[0] // 3] = 0
    if len(shape) == 2:
        rotations = np.stack([angle_to_matrix(angle) for angle in np.arange(0, 360, 7.0)])
    else:
        rotations = Rotation.random(20, random_state=0).as_matrix()
    template = Template(RNG.normal(size=shape), mask, rotations)
    ball, weight = template.core
    assert ball.sum() > 4
    for rotation in rotations:
        heavy = template.rotated(rotation).weights >= weight - 1e-12
        assert ndimage.binary_erosion(heavy, ball > 0).any()
