"""Cutting out: what was planted turned comes back upright, and only what is needed is read."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rendering import cut_out


def blobs(points: np.ndarray) -> np.ndarray:
    """A smooth asymmetric density, evaluated at points (d, ...) from the rotation centre."""
    axes = len(points)
    centres = np.array([[-4.0, 0.0, 0.0], [3.0, 4.0, 0.0], [2.0, -3.0, 3.0]])[:, :axes]
    weights = (1.0, 0.7, 0.4)
    squares = [((points.T - centre) ** 2).sum(axis=-1).T for centre in centres]
    return sum(w * np.exp(-s / (2 * 2.0**2)) for w, s in zip(weights, squares, strict=True))


def planted(shape, rotation, position) -> np.ndarray:
    """The density turned and moved, without interpolation."""
    away = np.indices(shape, dtype=float) - np.reshape(position, (-1, *[1] * len(shape)))
    return blobs(np.tensordot(rotation.T, away, axes=1))


def upright(shape) -> np.ndarray:
    return blobs(np.indices(shape) - (np.reshape(shape, (-1, *[1] * len(shape))) - 1) / 2)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.floats(0.0, 2 * np.pi),
    st.floats(22.0, 28.0),
    st.floats(22.0, 28.0),
    st.sampled_from([(21, 25), (20, 24)]),
)
def test_a_planted_template_comes_back_upright_from_an_image(angle, y, x, shape):
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = planted((50, 50), rotation, (y, x))
    found = cut_out(target.__getitem__, (y, x), rotation, shape, order=3)
    # Cubic splines of a Gaussian of σ = 2 pixels: errors below 0.2 % of its height.
    np.testing.assert_allclose(found, upright(shape), atol=2e-3)
    linear = cut_out(target.__getitem__, (y, x), rotation, shape)
    # Linear: at most h²/8 · |f''| ≈ 1/8 · 2/σ² of the height.
    np.testing.assert_allclose(linear, upright(shape), atol=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_template_comes_back_upright_from_a_volume(seed):
    rotation = Rotation.random(random_state=seed).as_matrix()
    position = np.array([19.3, 21.0, 20.6])
    target = planted((40, 42, 41), rotation, position)
    found = cut_out(target.__getitem__, position, rotation, (15, 16, 17), order=3)
    np.testing.assert_allclose(found, upright((15, 16, 17)), atol=2e-3)


def test_the_inverse_rotation_does_not_bring_it_back():
    rotation = Rotation.random(random_state=1).as_matrix()
    target = planted((40, 40, 40), rotation, (20, 20, 20))
    wrong = cut_out(target.__getitem__, (20, 20, 20), rotation.T, (15, 15, 15))
    assert np.abs(wrong - upright((15, 15, 15))).max() > 0.3


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(-6, 40), st.integers(-6, 40), st.integers(0, 3))
def test_whole_pixels_and_quarter_turns_are_copied_exactly_and_outside_is_nan(y, x, turns):
    target = np.random.default_rng(0).normal(size=(35, 31)).astype(np.float32)
    rotation = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), turns)
    padded = np.pad(target, 20, constant_values=np.nan)
    around = padded[y + 20 - 4 : y + 20 + 5, x + 20 - 4 : x + 20 + 5]
    found = cut_out(target.__getitem__, (y, x), rotation, (9, 9))
    np.testing.assert_allclose(found, np.rot90(around, -turns), rtol=1e-6)  # rounding of float32


def test_only_the_region_is_read_once_from_any_array():
    target = np.random.default_rng(0).normal(size=(300, 300))
    stored = zarr.create_array({}, shape=target.shape, chunks=(64, 64), dtype=target.dtype)
    stored[...] = target
    regions = []

    def read(region):
        regions.append(region)
        return stored[region]

    rotation = np.array([[0.8, -0.6], [0.6, 0.8]])
    found = cut_out(read, (290.0, 12.0), rotation, (25, 25))
    np.testing.assert_array_equal(found, cut_out(target.__getitem__, (290.0, 12.0), rotation, (25, 25)))
    ((rows, columns),) = regions
    assert rows.start >= 0
    assert columns.start >= 0
    assert rows.stop - rows.start <= 25 * 1.4 + 5
    assert columns.stop - columns.start <= 25 * 1.4 + 5


def test_a_pick_outside_the_target_is_all_nan():
    assert np.isnan(cut_out(np.zeros((9, 9)).__getitem__, (500, 500), np.eye(2), (5, 5))).all()
    assert np.isnan(cut_out(np.zeros((9, 9)).__getitem__, (-500, 4), np.eye(2), (5, 5))).all()


@pytest.mark.parametrize(
    ("position", "rotation", "shape", "order"),
    [
        ((1, 2, 3), np.eye(2), (5, 5), 1),
        ((1, 2), np.eye(3), (5, 5), 1),
        ((1, np.nan), np.eye(2), (5, 5), 1),
        ((1, 2), np.eye(2), (5, 5), 6),
    ],
)
def test_what_cannot_be_cut_out_is_refused(position, rotation, shape, order):
    with pytest.raises(InputError):
        cut_out(np.zeros((9, 9)).__getitem__, position, rotation, shape, order)
