"""Windows without variance score exactly 0, and no target ever gives NaN or infinity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import sliding_window_view

from scorefold.analyzer import MaxScoreOverRotations
from scorefold.rotations import plane_rotations
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import provider
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

LOCAL = ("FLC", "FLCSphericalMask", "CAM", "MCC")
STEP = 9


def score_map(name, target, values, *, dtype="float32", rotations=None, pad_edges=False):
    """Return the map of the best scores, NaN where nothing was scored."""
    rotations = np.eye(2)[None] if rotations is None else rotations
    score = get_score(name)
    mask = template_mask("disk" if score.invariant_mask else "none", values.shape)
    template = Template(score.template_values(values), mask, rotations)
    tile = Tile((0, 0), target.shape, target.shape)
    fft_shape = tuple(n + b - 1 for n, b in zip(target.shape, template.box, strict=True))
    engine = ExactEngine(template, rotations, score, provider(), fft_shape, dtype=dtype, pad_edges=pad_edges)
    analyzer = MaxScoreOverRotations(tile.shape, rotations=rotations, dtype=dtype, score_threshold=-np.inf)
    pixels = tile.read(
        lambda region: target[region],
        template.box,
        mean=float(target.mean(dtype=float)),
        std=float(target.std(dtype=float)),
        margin=score.margin,
        pad_edges=pad_edges,
    )
    batch, states = engine.prepare([tile], [pixels], [analyzer]), [analyzer.init_state()]
    for rotation_id in range(len(rotations)):
        states = batch.fold(rotation_id, states)
    scores = analyzer.result(states[0]).scores
    return np.where(np.isneginf(scores), np.nan, scores)


def flat_positions(target, size):
    """Return the centres of windows in which all pixels are equal."""
    windows = sliding_window_view(target, (size, size))
    before = (size - 1) // 2
    flat = np.zeros(target.shape, bool)
    inner = np.ptp(windows.reshape(*windows.shape[:2], -1), axis=-1) == 0
    flat[before : before + inner.shape[0], before : before + inner.shape[1]] = inner
    return flat


def scene(kind):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (96, 80)).astype(np.uint8)
    if kind == "constant areas":
        target[10:40, 5:50], target[50:90, 30:60] = 17, 255
    elif kind == "bright beside contrast":
        target = np.where(target > 128, 255, 0).astype(np.uint8)
        target[20:70, 20:70] = 255
    elif kind == "one hot pixel":
        target = np.zeros((96, 80), np.float32)
        target[60, 40] = 1e6
        target[:30] = rng.normal(1000, 1, (30, 80))
    else:  # 16 bit, a large offset
        target = (60000 + rng.integers(0, 3000, (96, 80))).astype(np.uint16)
        target[30:80, 10:60] = 65535
    return target


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "kind", ["constant areas", "bright beside contrast", "one hot pixel", "large offset"]
)
def test_constant_areas_score_exactly_zero(name, dtype, kind):
    target = scene(kind)
    values = np.random.default_rng(1).normal(size=(STEP, STEP))
    scores = score_map(name, target, values, dtype=dtype)
    flat = flat_positions(target, STEP)
    assert flat.sum() > 100
    assert (scores[flat] == 0).all()
    assert np.nanmax(np.abs(scores)) <= 1 + 1e-5


def test_windows_of_low_contrast_are_not_taken_for_flat():
    """One grey level in one pixel of a window, in an image of ordinary contrast, is still seen."""
    rng = np.random.default_rng(2)
    target = rng.integers(0, 256, (90, 90)).astype(np.uint8)
    target[20:70, 20:70] = 100
    target[45, 45] = 101
    values = np.zeros((15, 15))
    values[7, 7] = 1.0
    scores = score_map("FLC", target, values)
    assert np.nanargmax(scores) == 45 * 90 + 45
    # The contrast is 1/1000 of the image's, so that single precision keeps three digits.
    assert scores[45, 45] == pytest.approx(1.0, abs=5e-3)


pixels = st.one_of(
    hnp.arrays(np.uint8, st.tuples(*[st.integers(9, 16)] * 2)),
    hnp.arrays(np.uint8, st.tuples(*[st.integers(9, 16)] * 2), elements=st.sampled_from([0, 255])),
    hnp.arrays(np.int16, st.tuples(*[st.integers(9, 16)] * 2)),
    hnp.arrays(
        np.float32,
        st.tuples(*[st.integers(9, 16)] * 2),
        elements=st.sampled_from([0.0, 1e-30, 1.0, np.float32(1 + 1e-6), -3.0, 1e5, 1e18]),
    ),
)


@given(
    target=pixels,
    values=hnp.arrays(np.float64, (5, 5), elements=st.floats(-100, 100)),
    name=st.sampled_from(["NCC", *LOCAL]),
    dtype=st.sampled_from(["float32", "float64"]),
    pad_edges=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_scores_are_always_finite_and_coefficients_within_one(target, values, name, dtype, pad_edges):
    values[2, 2] += 500.0  # never constant
    if np.ptp(target.astype(float)) == 0:
        return
    scores = score_map(
        name, target, values, dtype=dtype, rotations=plane_rotations(60.0), pad_edges=pad_edges
    )
    scored = scores[~np.isnan(scores)]
    assert np.isfinite(scored).all()
    if pad_edges or name == "MCC":
        assert scored.size == scores.size, "a score was NaN"
    if get_score(name).bounded:
        # Single precision divided by the smallest deviation that counts, 1e-4: see FLAT_VARIANCE.
        assert np.abs(scored).max(initial=0.0) <= 1 + (2e-2 if dtype == "float32" else 1e-9)
