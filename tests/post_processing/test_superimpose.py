"""Overlays: OpenCV's blend, for images of any type, refused where map and image do not fit."""

import cv2
import dask.array as da
import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.post_processing import anomaly_map_to_color_map, superimpose_anomaly_map


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_a_thousand_random_overlays_are_the_weighted_sum(rng):
    for index in range(1000):
        height, width = rng.integers(2, 20, size=2)
        anomaly_map = rng.random((height, width))
        image = rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        alpha, gamma = rng.random(), int(rng.integers(-20, 20))
        heat = anomaly_map_to_color_map(anomaly_map, normalize=bool(index % 2))
        overlay = superimpose_anomaly_map(anomaly_map, image, alpha, gamma, normalize=bool(index % 2))
        np.testing.assert_array_equal(overlay, cv2.addWeighted(heat, alpha, image, 1 - alpha, gamma))
        exact = np.clip(alpha * heat + (1 - alpha) * image + gamma, 0, 255)
        # Rounding half a level; OpenCV sums in float32, whose error is far below the rest.
        np.testing.assert_allclose(overlay, exact, rtol=0, atol=0.5 + 1e-4)


def test_alpha_weights_the_heat_map(rng):
    anomaly_map, image = rng.random((5, 6)), rng.integers(0, 256, size=(5, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(superimpose_anomaly_map(anomaly_map, image, alpha=0), image)
    heat = anomaly_map_to_color_map(anomaly_map, normalize=False)
    np.testing.assert_array_equal(superimpose_anomaly_map(anomaly_map, image, alpha=1), heat)


def test_gamma_saturates():
    white = np.full((2, 2, 3), 255, np.uint8)
    assert (superimpose_anomaly_map(np.zeros((2, 2)), white, alpha=0, gamma=100) == 255).all()
    assert (superimpose_anomaly_map(np.zeros((2, 2)), white, alpha=0, gamma=-300) == 0).all()


def test_gray_images_are_three_equal_channels(rng):
    anomaly_map, gray = rng.random((5, 6)), rng.integers(0, 256, size=(5, 6), dtype=np.uint8)
    expected = superimpose_anomaly_map(anomaly_map, np.repeat(gray[..., None], 3, axis=2))
    np.testing.assert_array_equal(superimpose_anomaly_map(anomaly_map, gray), expected)
    np.testing.assert_array_equal(superimpose_anomaly_map(anomaly_map, gray[..., None]), expected)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_one_image_in_any_type_gives_one_overlay(rng, channels):
    anomaly_map = rng.random((8, 8))
    image = rng.integers(0, 256, size=(8, 8, *channels), dtype=np.uint8)
    image.flat[:2] = 0, 255  # the whole range, to which other types are stretched
    expected = superimpose_anomaly_map(anomaly_map, image)
    others = {
        "float32": image.astype(np.float32) / 255,
        "float64": image / 255,
        "uint16": image.astype(np.uint16) * 257,
        "12 of 16 bit": image.astype(np.uint16) * 16 + 5,
        "int16": image.astype(np.int16) - 1000,
        "any unit": image * 0.37 - 12.5,
    }
    for name, other in others.items():
        np.testing.assert_array_equal(superimpose_anomaly_map(anomaly_map, other), expected, err_msg=name)


def test_values_within_zero_to_one_are_not_stretched():
    levels = superimpose_anomaly_map(np.zeros((1, 2)), np.array([[0.2, 0.6]]), alpha=0)[0, :, 0]
    assert levels.tolist() == [51, 153]


@pytest.mark.parametrize(
    ("value", "level"), [(True, 255), (1.0, 255), (0.0, 0), (np.uint16(65535), 255), (7.5, 255), (-2.0, 0)]
)
def test_a_constant_image_is_not_stretched(value, level):
    overlay = superimpose_anomaly_map(np.zeros((2, 3)), np.full((2, 3), value), alpha=0)
    assert np.unique(overlay).tolist() == [level]


def test_pixels_of_the_image_that_are_not_finite_are_gray_and_leave_the_others_alone():
    image = np.array([[0.0, 10.0, np.nan, np.inf, 20.0]])
    levels = superimpose_anomaly_map(np.zeros((1, 5)), image, alpha=0)[0, :, 0]
    assert levels.tolist() == [0, 128, 128, 128, 255]


def test_a_batch_is_blended_image_by_image(rng):
    maps, images = rng.random((3, 6, 7)), rng.normal(size=(3, 6, 7)) * np.array([1, 10, 100])[:, None, None]
    expected = np.stack(
        [superimpose_anomaly_map(one, image) for one, image in zip(maps, images, strict=True)]
    )
    np.testing.assert_array_equal(superimpose_anomaly_map(maps, images), expected)
    np.testing.assert_array_equal(superimpose_anomaly_map(maps[:, None], images[..., None]), expected)
    colour = np.repeat(images[..., None], 3, axis=3)
    np.testing.assert_array_equal(superimpose_anomaly_map(maps, colour), expected)


def test_a_batch_of_one_map_fits_a_single_image(rng):
    anomaly_map, image = rng.random((6, 7)), rng.random((6, 7, 3))
    expected = superimpose_anomaly_map(anomaly_map, image)
    np.testing.assert_array_equal(superimpose_anomaly_map(anomaly_map[None], image), expected)
    np.testing.assert_array_equal(superimpose_anomaly_map(anomaly_map[None], image[None]), expected[None])


@pytest.mark.parametrize("lazy_map", [True, False])
@pytest.mark.parametrize("lazy_image", [True, False])
@pytest.mark.parametrize("image_shape", [(11, 13), (11, 13, 3)])
def test_lazy_maps_and_images_give_the_same_overlay(rng, lazy_map, lazy_image, image_shape):
    anomaly_map, image = rng.normal(size=(11, 13)), 100 * rng.normal(size=image_shape)
    overlay = superimpose_anomaly_map(
        da.from_array(anomaly_map, chunks=(4, 5)) if lazy_map else anomaly_map,
        da.from_array(image, chunks=(3, 7, 2)[: image.ndim]) if lazy_image else image,
        normalize=True,
    )
    assert isinstance(overlay, da.Array) == (lazy_map or lazy_image)
    if lazy_map:
        assert overlay.chunks[:2] == ((4, 4, 3), (5, 5, 3))
    expected = superimpose_anomaly_map(anomaly_map, image, normalize=True)
    np.testing.assert_array_equal(np.asarray(overlay), expected)


def test_inputs_are_not_changed(rng):
    anomaly_map, image = rng.random((4, 5)), rng.integers(0, 256, size=(4, 5, 3), dtype=np.uint8)
    before = anomaly_map.copy(), image.copy()
    superimpose_anomaly_map(anomaly_map, image)
    np.testing.assert_array_equal(anomaly_map, before[0])
    np.testing.assert_array_equal(image, before[1])


def test_a_size_mismatch_names_both_sizes():
    with pytest.raises(InputError, match=r"\(4, 5\) and image of shape \(5, 4\)"):
        superimpose_anomaly_map(np.zeros((4, 5)), np.zeros((5, 4, 3)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 1.5}, "alpha 1.5"),
        ({"alpha": float("nan")}, "alpha nan"),
        ({"gamma": float("inf")}, "gamma inf"),
        ({"image": np.zeros((4, 5, 4), np.uint8)}, "without an alpha channel"),
        ({"image": np.array([["a"] * 5] * 4)}, "real numbers"),
    ],
)
def test_what_cannot_be_blended_is_refused(changes, message):
    arguments = {"anomaly_map": np.zeros((4, 5)), "image": np.zeros((4, 5)), **changes}
    with pytest.raises(InputError, match=message):
        superimpose_anomaly_map(**arguments)
