"""Sheets: one range for all, pages of at most a hundred panels."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering.inspection import InspectedImage, draw_sheet, sheet_pages

RANGES = {"gray_range": (0.0, 1.0), "score_range": (0.0, 4.0), "panel": 32}


def item(
    number: int = 0, shape=(32, 32), threshold: float = 1.0, truth=None, hot: float = 0.0
) -> InspectedImage:
    scores = np.full(shape, hot, np.float32)
    return InspectedImage(
        f"{number}.png", np.zeros(shape), scores, scores > threshold, hot, threshold, "OK", truth=truth
    )


@pytest.mark.parametrize(
    ("images", "columns", "expected"),
    [(0, 4, 0), (1, 4, 1), (25, 4, 1), (26, 4, 2), (100, 1, 1), (101, 1, 2), (51, 2, 2)],
)
def test_a_page_has_at_most_a_hundred_panels(images, columns, expected):
    chosen = ["image", "heat", "mask", "contours"][:columns]
    pages = sheet_pages([item(i) for i in range(images)], "Worst", columns=chosen, **RANGES)
    assert len(pages) == expected


def test_an_image_with_more_panels_than_a_page_still_has_a_page():
    assert len(sheet_pages([item(), item(1)], "Worst", panels_per_page=1, **RANGES)) == 2


def test_one_page_of_many_is_as_it_would_be_alone_but_for_its_number():
    items = [item(i, hot=i % 4) for i in range(4)]
    first, second = sheet_pages(items, "Worst", panels_per_page=8, **RANGES)
    alone = draw_sheet(items[2:], "Worst", remark="page 2 of 2", **RANGES)
    np.testing.assert_array_equal(second, alone)
    assert first.shape == second.shape


def test_all_images_share_the_range_of_scores():
    ours = draw_sheet([item(hot=2.0)], "Worst", columns=["heat"], **RANGES)
    beside_hotter = draw_sheet([item(hot=2.0), item(hot=3.9)], "Worst", columns=["heat"], **RANGES)
    rows = ours.shape[0] - 40  # without the page's lower margin
    np.testing.assert_array_equal(ours[75:rows], beside_hotter[75:rows])  # beneath the number of images


def test_the_truth_has_a_column_on_all_pages_if_one_image_has_it():
    truth = np.ones((32, 32), bool)
    with_truth = sheet_pages([item(truth=truth), item(1)], "Worst", panels_per_page=5, **RANGES)
    without = sheet_pages([item(0), item(1)], "Worst", panels_per_page=4, **RANGES)
    assert len(with_truth) == len(without) == 2
    hatched = (with_truth[1] == 198).all(axis=2).sum()
    assert hatched > (without[1] == 198).all(axis=2).sum()


def test_images_of_several_shapes_fit_one_sheet():
    shapes = [(32, 32), (100, 20), (20, 100), (1, 1)]
    picture = draw_sheet([item(i, shape) for i, shape in enumerate(shapes)], "Worst", **RANGES)
    assert picture.dtype == np.uint8
    assert (picture[-1] == 255).all()  # the margin


def test_the_same_input_gives_the_same_bytes():
    first, second = (draw_sheet([item(hot=2.0)], "Worst", **RANGES) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_sheets_that_cannot_be_drawn_are_refused():
    with pytest.raises(InputError, match="no images"):
        draw_sheet([], "Worst", **RANGES)
    with pytest.raises(InputError, match="thresholds"):
        draw_sheet([item(), item(threshold=2.0)], "Worst", **RANGES)
    with pytest.raises(InputError, match="truth"):
        draw_sheet([item()], "Worst", columns=["truth"], **RANGES)
    with pytest.raises(InputError, match="per page"):
        sheet_pages([item()], "Worst", panels_per_page=0, **RANGES)
