"""Labels and boxes: on copies, readable, within the picture, refused where they mean nothing."""

import cv2
import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.post_processing import add_anomalous_label, add_normal_label, draw_boxes

LABELS = [(add_normal_label, (225, 252, 134)), (add_anomalous_label, (255, 100, 100))]


@pytest.mark.parametrize(("add_label", "colour"), LABELS)
def test_a_label_is_a_patch_in_the_corner_of_a_copy(add_label, colour):
    image = np.full((200, 300, 3), 90, np.uint8)
    labelled = add_label(image, 0.9)
    assert (image == 90).all()
    assert tuple(labelled[0, 0]) == colour
    changed = (labelled != image).any(axis=2)
    patch_height, patch_width = changed.any(axis=1).sum(), changed.any(axis=0).sum()
    assert changed[:patch_height, :patch_width].all()
    assert patch_height < 40
    assert patch_width < 200
    assert labelled[:patch_height, :patch_width].min() < 60, "dark letters on the patch"


@pytest.mark.parametrize(("add_label", "_"), LABELS)
def test_the_confidence_is_part_of_the_label(add_label, _):
    image = np.zeros((120, 240, 3), np.uint8)
    pictures = [add_label(image, confidence) for confidence in (None, 0.0, 0.5, 1.0)]
    assert len({picture.tobytes() for picture in pictures}) == 4


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (64, 64), (2000, 3000)])
def test_labels_stay_within_images_of_any_size(shape):
    image = np.zeros(shape, np.uint8)
    labelled = add_anomalous_label(image, 1.0)
    assert labelled.shape == (*shape, 3)
    if min(shape) > 100:
        assert not labelled[:, -1].any()


@pytest.mark.parametrize("confidence", [-0.1, 1.1, 97, float("nan")])
def test_a_confidence_beyond_zero_to_one_is_refused(confidence):
    with pytest.raises(InputError, match="from 0 to 1"):
        add_normal_label(np.zeros((9, 9)), confidence)


def test_boxes_are_rectangles_on_a_copy():
    image = np.full((60, 80), 50, np.uint8)
    boxes = np.array([[5.2, 6.8, 30.0, 40.0], [70, 50, 40, 20]])
    expected = np.full((60, 80, 3), 50, np.uint8)
    cv2.rectangle(expected, (5, 7), (30, 40), (0, 200, 0), 1)
    cv2.rectangle(expected, (40, 20), (70, 50), (0, 200, 0), 1)
    np.testing.assert_array_equal(draw_boxes(image, boxes, color=(0, 200, 0)), expected)
    assert (image == 50).all()


@pytest.mark.parametrize("boxes", [[], np.empty((0, 4))])
def test_no_boxes_leave_a_copy(boxes):
    image = np.full((6, 8, 3), 50, np.uint8)
    picture = draw_boxes(image, boxes)
    np.testing.assert_array_equal(picture, image)
    assert not np.shares_memory(picture, image)


def test_boxes_beyond_the_image_show_what_lies_within():
    picture = draw_boxes(np.zeros((20, 30)), [[-1e12, 5, 1e12, 1e12]])
    assert (picture[5, :, 0] == 255).all()
    assert picture.any(axis=2).sum() == 30


def test_lines_grow_with_the_image_on_both_sides():
    picture = draw_boxes(np.zeros((1000, 1000)), [[100, 100, 900, 900]])
    line = np.flatnonzero(picture[500, :500, 0])
    assert 3 <= line.size <= 9
    assert line.mean() == 100


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], [[1, 2, 3]], [[1, 2, 3, np.nan]]])
def test_boxes_without_four_finite_coordinates_are_refused(boxes):
    with pytest.raises(InputError, match="x1, y1, x2, y2"):
        draw_boxes(np.zeros((9, 9)), boxes)
