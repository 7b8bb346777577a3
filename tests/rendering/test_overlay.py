"""The overlay of an image: deterministic, true to the coordinates, calm with any input."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering import DrawnPick, encode_png, mask_outline, overlay_image
from scorefold.rendering.colour import ACCENT

OUTLINE = mask_outline(np.ones((9, 9)))


def scene(shape=(120, 160), picks=5):
    generator = np.random.default_rng(2)
    image = generator.normal(size=shape)
    scores = np.abs(generator.normal(size=shape)) / 8
    found = []
    for rank in range(1, picks + 1):
        angle = generator.uniform(0, 2 * np.pi)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        position = generator.uniform(0, np.array(shape) - 1)
        found.append(DrawnPick(position, rotation, 1 - rank / 1000, rank, "scene"))
    return image, scores, found


def test_the_same_input_gives_the_same_bytes_and_is_left_alone():
    image, scores, picks = scene()
    before = image.copy(), scores.copy()
    first = overlay_image(
        image, scores, picks, OUTLINE, threshold=0.5, title="scene", pixel_size=1.2, unit="Å"
    )
    second = overlay_image(
        image, scores, picks[::-1], OUTLINE, threshold=0.5, title="scene", pixel_size=1.2, unit="Å"
    )
    assert encode_png(first) == encode_png(second)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(scores, before[1])


def test_an_image_reduced_beforehand_gives_the_same_picture_as_its_original():
    small_image, small_scores, _ = scene((300, 400), 0)
    picks = scene((1200, 1600), 6)[2]
    factor = 4
    large_image, large_scores = (
        array.repeat(factor, axis=0).repeat(factor, axis=1) for array in (small_image, small_scores)
    )
    outline = mask_outline(np.ones((81, 81)))
    # 300 × 400 pixels each: the large one is reduced by 4, the small one drawn as it is.
    arguments = {"threshold": 0.5, "title": "t", "maximum_pixels": 120_000, "pixel_size": 2.0, "unit": "nm"}
    large = overlay_image(large_image, large_scores, picks, outline, **arguments)
    small = overlay_image(small_image, small_scores, picks, outline, factor=factor, **arguments)
    np.testing.assert_array_equal(large, small)


def test_a_lonely_peak_of_a_huge_score_map_is_seen():
    scores = np.zeros((2500, 2500))
    scores[1234, 777] = 1.0
    dark = np.zeros_like(scores)
    picture = overlay_image(dark, scores, [], OUTLINE, threshold=0.5, title="", maximum_pixels=250_000)
    without = overlay_image(dark, 0 * scores, [], OUTLINE, threshold=0.5, title="", maximum_pixels=250_000)
    panel = picture[100:500, picture.shape[1] // 2 :]
    assert panel.shape[0] == 400
    bright = (panel[..., 0] > 200) & (panel[..., 2] < 200)  # the yellow end of the map
    assert bright.sum() == 1
    assert not (
        (without[100:500, picture.shape[1] // 2 :, 0] > 200)
        & (without[100:500, picture.shape[1] // 2 :, 2] < 200)
    ).any()


def test_wide_targets_have_their_panels_one_above_the_other():
    arguments = {"threshold": 0.5, "title": "t"}
    wide = overlay_image(np.zeros((100, 900)), np.zeros((100, 900)), [], OUTLINE, **arguments)
    tall = overlay_image(np.zeros((900, 100)), np.zeros((900, 100)), [], OUTLINE, **arguments)
    assert wide.shape[1] < 1000
    assert tall.shape[0] < 1200


def test_picks_are_drawn_and_their_absence_is_too():
    image, scores, picks = scene()
    accents = [
        int(
            (overlay_image(image, scores, found, OUTLINE, threshold=0.5, title="t") == ACCENT)
            .all(axis=2)
            .sum()
        )
        for found in ([], picks)
    ]
    assert accents[0] < 500  # the threshold on the colour bar
    assert accents[1] > accents[0] + 500


@pytest.mark.parametrize("value", [np.nan, 0.0, -np.inf])
def test_maps_without_a_score_are_drawn(value):
    image = np.zeros((20, 30))
    image[:5] = np.nan
    picture = overlay_image(image, np.full((20, 30), value), [], OUTLINE, threshold=0.5, title="empty")
    assert picture.ndim == 3


def test_hostile_titles_change_nothing_but_the_title():
    plain = overlay_image(np.eye(20), np.eye(20), [], OUTLINE, threshold=0.5, title="a")
    odd = overlay_image(
        np.eye(20), np.eye(20), [], OUTLINE, threshold=0.5, title="a\n\x00<script>\udce9" * 40
    )
    assert odd.shape == plain.shape
    np.testing.assert_array_equal(odd[60:], plain[60:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((3, 20, 20))}, "two 2D arrays"),
        ({"score_map": np.zeros((20, 21))}, "two 2D arrays"),
        ({"picks": [DrawnPick(np.zeros(3), np.eye(3), 1.0, 1, "v")]}, "3 coordinates"),
        ({"threshold": np.inf}, "finite score"),
        ({"pixel_size": 2.0}, "without a unit"),
        ({"pixel_size": -2.0, "unit": "nm"}, "positive"),
    ],
)
def test_input_that_cannot_be_drawn_is_refused(change, message):
    arguments = {
        "image": np.zeros((20, 20)),
        "score_map": np.zeros((20, 20)),
        "picks": [],
        "template_outline": OUTLINE,
    }
    arguments |= {"threshold": 0.5, "title": "t", **change}
    with pytest.raises(InputError, match=message):
        overlay_image(**arguments)
