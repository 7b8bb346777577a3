"""Panels: sizes, colours at known places, what is missing, the same bytes again."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.errors import InputError
from scorefold.rendering.inspection import COLUMNS, VERDICT_COLOURS, DrawnDefect, InspectedImage, draw_panels
from scorefold.rendering.inspection.panels import (
    BRIGHT_COLOUR,
    DARK_COLOUR,
    FOUND_COLOUR,
    GAP,
    MAXIMUM_BOXES,
    TRUTH_COLOUR,
)

RANGES = {"gray_range": (0.0, 200.0), "score_range": (0.0, 4.0)}
PANEL = 128


def inspected(**changes) -> InspectedImage:
    """A gray image with one square that is anomalous, whose truth reaches further to the right."""
    scores = np.zeros((PANEL, PANEL), np.float32)
    scores[40:60, 30:50] = -4
    truth = np.zeros(scores.shape, bool)
    truth[40:60, 30:70] = True
    whole = InspectedImage(
        name="a.png",
        image=np.full(scores.shape, 100, np.uint8),
        scores=scores,
        mask=scores < -1,
        score=4.0,
        threshold=1.0,
        verdict="NG",
        truth=truth,
        label="scratch",
        defects=[DrawnDefect((40, 30, 60, 50), 4.0, "dark")],
    )
    return replace(whole, **changes)


def panels(picture: np.ndarray, columns: int, height: int = PANEL, width: int = PANEL) -> list[np.ndarray]:
    """Cut the panels out of a row: without frames, from the bottom."""
    rows = slice(picture.shape[0] - 1 - height, picture.shape[0] - 1)
    lefts = [column * (width + 2 + GAP) + 1 for column in range(columns)]
    return [picture[rows, left : left + width] for left in lefts]


def draw(item: InspectedImage, *columns: str, **changes) -> list[np.ndarray]:
    picture = draw_panels(item, columns or COLUMNS, panel=PANEL, **(RANGES | changes))
    return panels(picture, len(columns or COLUMNS))


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(axis=2).any())


def test_each_column_shows_what_it_says():
    image, truth, heat, mask, contours = draw(inspected())
    assert (image == round(255 * 100 / 200)).all()
    np.testing.assert_array_equal(truth, 255 * inspected().truth[..., np.newaxis].repeat(3, axis=2))
    np.testing.assert_array_equal(mask, 255 * inspected().mask[..., np.newaxis].repeat(3, axis=2))
    assert len(np.unique(heat[~inspected().mask], axis=0)) == 1
    assert has(contours, TRUTH_COLOUR)
    assert has(contours, FOUND_COLOUR)
    assert has(contours, DARK_COLOUR)
    assert not has(contours, BRIGHT_COLOUR)


def test_the_heat_is_the_colour_map_blended_over_the_image():
    jet = cv2.applyColorMap(np.array([[255]], np.uint8), cv2.COLORMAP_JET)[0, 0, ::-1].astype(float)
    (heat,) = draw(inspected(), "heat")
    expected = 0.85 * jet + 0.15 * 128  # the greatest opacity, over the image's gray
    np.testing.assert_allclose(heat[50, 40], expected, atol=1.5)  # two roundings to bytes


def test_contours_leave_what_they_surround_as_it_is():
    item = inspected(defects=[], truth=None)
    (contours,) = draw(item, "contours")
    np.testing.assert_array_equal(contours[40:60, 30:50], 128)
    changed = np.argwhere((contours != 128).any(axis=2))
    assert changed.min(axis=0).tolist() == [39, 29]
    assert changed.max(axis=0).tolist() == [60, 50]


@pytest.mark.parametrize("verdict", ["OK", "NG", "NOT_FOUND", "ERROR"])
def test_the_verdict_is_on_its_colour_in_readable_letters(verdict):
    picture = draw_panels(inspected(verdict=verdict), panel=PANEL, **RANGES)
    assert picture[0, 0].tolist() == list(VERDICT_COLOURS[verdict])
    # WCAG 2.1: relative luminance and contrast ratio.
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in picture[0, 0] / 255]
    assert 1.05 / (np.dot(linear, (0.2126, 0.7152, 0.0722)) + 0.05) >= 4.5


def test_white_stays_white_and_black_stays_black():
    everything = np.ones((PANEL, PANEL), bool)
    item = inspected(image=np.full((PANEL, PANEL), 200, np.uint8), mask=everything, truth=~everything)
    image, truth, mask = draw(item, "image", "truth", "mask")
    assert (image == 255).all()
    assert (mask == 255).all()
    assert (truth == 0).all()


def test_pixels_that_were_not_inspected_are_hatched_in_gray_and_blank_nothing_else():
    scores = inspected().scores.copy()
    plain = draw(inspected(), "heat", "mask")
    scores[:10], scores[10:12], scores[12:14] = np.nan, np.inf, -np.inf
    for panel, without in zip(draw(inspected(scores=scores), "heat", "mask"), plain, strict=True):
        missing = panel[:14]
        assert (missing[..., 0] == missing[..., 1]).all()
        assert (missing[..., 0] == missing[..., 2]).all()
        assert set(np.unique(missing)) == {198, 226}
        np.testing.assert_array_equal(panel[14:], without[14:])


def test_pixels_of_the_image_that_are_not_finite_are_hatched():
    values = np.full((PANEL, PANEL), 100.0)
    values[:10, :64], values[:10, 64:] = np.nan, np.inf
    (image,) = draw(inspected(image=values), "image")
    assert set(np.unique(image[:10])) == {198, 226}
    assert (image[10:] == 128).all()


@pytest.mark.parametrize(
    ("polarity", "hot"), [("both", {10, 20}), ("bright", {10}), ("dark", {20}), ("unsigned", {10})]
)
def test_only_scores_of_the_polarity_are_hot(polarity, hot):
    scores = np.zeros((PANEL, PANEL), np.float16)
    scores[10], scores[20] = 3, -3
    (heat,) = draw(inspected(scores=scores, polarity=polarity), "heat")
    assert {row for row in (10, 20) if (heat[row] != heat[0]).any()} == hot


def test_the_truth_is_left_out_where_it_is_not_known():
    picture = draw_panels(inspected(truth=None), panel=PANEL, **RANGES)
    assert picture.shape[1] == 4 * (PANEL + 2) + 3 * GAP
    with pytest.raises(InputError, match="not known"):
        draw_panels(inspected(truth=None), ["truth"], **RANGES)


def test_an_image_without_scores_shows_the_image_and_says_what_is_missing():
    item = inspected(scores=None, mask=None, score=float("nan"), verdict="NOT_FOUND", defects=[])
    image, truth, heat, mask, contours = draw(item)
    assert (image == 128).all()
    assert truth.any()
    for panel in (heat, mask):
        assert (panel[..., 0] == panel[..., 2]).mean() > 0.9  # hatched, but for letters
        assert {198, 226} <= set(np.unique(panel))
    assert not has(contours, FOUND_COLOUR)


@settings(max_examples=25, deadline=None)  # a busy machine is no failure
@given(st.integers(1, 700), st.integers(1, 700), st.integers(32, 140))
def test_the_aspect_is_kept_and_the_longer_side_fills_the_panel(height, width, panel):
    zeros = np.zeros((height, width), np.float32)
    item = InspectedImage("a", zeros, zeros, zeros > 1, 0.0, 1.0, "OK")
    picture = draw_panels(item, ["image"], panel=panel, **RANGES)
    longest = max(height, width)
    shape = [max(1, round(length * panel / longest)) for length in (height, width)]
    (shown,) = panels(picture, 1, *shape)
    assert (shown == 0).all()
    above_it = picture[picture.shape[0] - shown.shape[0] - 2]
    assert (above_it[: shown.shape[1] + 2] == 212).all()  # the frame


@settings(max_examples=25, deadline=None)
@given(st.integers(100, 900), st.integers(100, 900), st.randoms(use_true_random=False))
def test_a_defect_of_one_pixel_is_seen_however_much_the_image_is_reduced(height, width, random):
    y, x = random.randrange(height), random.randrange(width)
    scores = np.zeros((height, width), np.float32)
    scores[y, x] = 4
    item = InspectedImage("a", np.zeros((height, width)), scores, scores > 1, 4.0, 1.0, "NG")
    picture = draw_panels(item, ["mask"], panel=64, **RANGES)
    longest = max(height, width)
    shape = [max(1, round(length * 64 / longest)) for length in (height, width)]
    (mask,) = panels(picture, 1, *shape)
    assert np.unique(mask[..., 0]).tolist() == [0, 255]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.uint64, np.float16, np.float64])
def test_images_of_any_real_type_are_drawn(dtype):
    values = np.zeros((PANEL, PANEL), dtype)
    values[:64] = 1
    (image,) = draw(inspected(image=values), "image", gray_range=(0, 1))
    assert (image[:64] == 255).all()
    assert (image[64:] == 0).all()


def test_values_beyond_the_ranges_clip():
    values = np.full((PANEL, PANEL), 1e30, np.float32)
    values[:64] = -1e30
    (image,) = draw(inspected(image=values), "image")
    assert (image[:64] == 0).all()
    assert (image[64:] == 255).all()
    hottest, hotter = (draw(inspected(scores=np.full((PANEL, PANEL), s)), "heat")[0] for s in (4.0, 1e30))
    np.testing.assert_array_equal(hottest, hotter)


def test_a_threshold_outside_the_range_of_scores_extends_it():
    scores = np.full((PANEL, PANEL), 4.0)
    (within,) = draw(inspected(scores=scores), "heat")
    (beyond,) = draw(inspected(scores=scores, threshold=8.0), "heat")
    assert (within != beyond).any()


def test_names_of_any_kind_are_drawn_within_the_picture():
    for name in ("", "a\nb\x00", "x" * 5000, "\udce9", "检查 <b>"):
        assert draw_panels(inspected(name=name), panel=PANEL, **RANGES).shape[1] == 5 * (PANEL + 2) + 4 * GAP


def test_the_same_input_gives_the_same_bytes_and_is_left_alone():
    item = inspected()
    before = [array.copy() for array in (item.image, item.scores, item.mask, item.truth)]
    first, second = (draw_panels(item, panel=PANEL, **RANGES) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for array, copy in zip((item.image, item.scores, item.mask, item.truth), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_of_many_defects_those_with_the_highest_peaks_have_boxes():
    corners = [(y, x) for y in range(0, 120, 4) for x in range(0, 120, 4)]
    boxes = [
        DrawnDefect((y, x, y + 2, x + 2), float(i), "bright") for i, (y, x) in enumerate(corners, start=1)
    ]
    (crowded,), (highest,) = (
        draw(inspected(defects=defects), "contours") for defects in (boxes, boxes[-MAXIMUM_BOXES:])
    )
    np.testing.assert_array_equal(crowded, highest)
    assert not has(crowded[:40], BRIGHT_COLOUR)  # the last boxes are at the bottom


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": np.zeros((3, 3, 3))}, "2D"),
        ({"image": np.zeros((0, 3))}, "2D"),
        ({"image": np.zeros((PANEL, PANEL), complex)}, "real numbers"),
        ({"mask": np.zeros((3, 3), bool)}, "mask"),
        ({"truth": np.zeros((3, 3), bool)}, "truth"),
        ({"mask": None}, "both"),
        ({"threshold": float("nan")}, "threshold"),
        ({"verdict": "GOOD"}, "GOOD"),
        ({"polarity": "up"}, "up"),
    ],
)
def test_what_is_no_inspected_image_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        inspected(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"columns": []}, "columns"),
        ({"columns": ["picture"]}, "picture"),
        ({"panel": 8}, "at least 32"),
        ({"gray_range": (1, 1)}, "gray range"),
        ({"score_range": (0, float("inf"))}, "score range"),
        ({"color_map": "rainbow"}, "rainbow"),
    ],
)
def test_panels_that_cannot_be_drawn_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        draw_panels(inspected(), **(RANGES | changes))
