"""Marks of picks: outlines where they belong, labels that cover neither one another nor the border."""

import numpy as np
from scipy.ndimage import center_of_mass

from scorefold.rendering.colour import ACCENT
from scorefold.rendering.grid import PanelGrid
from scorefold.rendering.ink import text_size
from scorefold.rendering.marks import Mark, draw_marks, draw_rings, pick_label, plane_mark
from scorefold.rendering.outline import mask_outline
from scorefold.rendering.pick import DrawnPick
from scorefold.rendering.picture import Picture, blank

QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


def accent(picture: Picture) -> np.ndarray:
    return (np.abs(picture.astype(int) - ACCENT) < 40).all(axis=2)


def pick_at(position, rotation, score=0.9, rank=1) -> DrawnPick:
    return DrawnPick(np.array(position, dtype=float), rotation, score, rank, "a.tif")


def test_the_outline_is_drawn_at_the_turned_border_of_the_mask():
    mark = plane_mark(
        pick_at((100, 120), QUARTER_TURN), mask_outline(np.ones((21, 61))), PanelGrid(enlargement=2)
    )
    panel = blank(400, 400, (0, 0, 0))
    draw_marks(panel, [mark], 13, labels=0)
    drawn = accent(panel)
    # Turned by 90° the box is 61 high and 21 wide; a voxel is two pixels, its centre at 2 x + 0.5.
    for y, x in ((100 - 30.5, 120), (100 + 30.5, 120), (100, 120 - 10.5), (100, 120 + 10.5)):
        row, column = round(2 * y + 0.5), round(2 * x + 0.5)
        assert drawn[row - 1 : row + 2, column - 1 : column + 2].any()
    rows, columns = np.nonzero(drawn)
    # The line is two pixels wide and antialiased: up to four pixels more than its middle.
    assert 122 <= np.ptp(rows) <= 126
    assert 42 <= np.ptp(columns) <= 46


def test_an_arrow_turned_by_a_quarter_points_left_on_screen():
    mask = np.zeros((61, 61))
    for row in range(2, 28):  # a triangle with its tip up, in the upper half
        mask[row, 30 - row // 2 : 31 + row // 2] = 1
    upright, turned = blank(200, 200, (0, 0, 0)), blank(200, 200, (0, 0, 0))
    for panel, rotation in ((upright, np.eye(2)), (turned, QUARTER_TURN)):
        draw_marks(
            panel, [plane_mark(pick_at((100, 100), rotation), mask_outline(mask), PanelGrid())], 13, labels=0
        )
    up_row, up_column = center_of_mass(upright.any(axis=2))
    row, column = center_of_mass(turned.any(axis=2))
    assert up_row < 93
    assert abs(up_column - 100) < 1
    np.testing.assert_allclose(
        (row, column), (up_column, up_row), atol=0.5
    )  # the square of pixels is symmetric


def test_the_pointer_shows_the_rotation_of_a_disk():
    rows = np.arange(61) - 30
    disk = (np.hypot(rows[:, np.newaxis], rows) < 28).astype(float)
    mark = plane_mark(pick_at((50, 50), QUARTER_TURN), mask_outline(disk), PanelGrid())
    panel = blank(101, 101, (0, 0, 0))
    draw_marks(panel, [mark], 13, labels=0)
    assert accent(panel)[50, 35:50].all()
    assert not accent(panel)[50, 55:70].any()
    assert not accent(panel)[30:45, 50].any()


def test_a_pick_too_small_for_its_shape_is_a_ring():
    mark = plane_mark(pick_at((50, 50), np.eye(2)), mask_outline(np.ones((3, 3))), PanelGrid())
    panel = blank(101, 101, (0, 0, 0))
    draw_marks(panel, [mark], 13, labels=0)
    distance = np.hypot(*(np.argwhere(accent(panel)) - 50).T)
    assert distance.min() > 4
    assert distance.max() < 9


def test_labels_of_a_crowd_never_touch_and_never_leave_the_panel(monkeypatch):
    placed = []

    def record(picture, text, corner, size, **_):
        placed.append((*corner, *text_size(text, size, bold=True)))

    monkeypatch.setattr("scorefold.rendering.marks.draw_text", record)
    generator = np.random.default_rng(5)
    picks = [pick_at(generator.uniform(0, 400, 2), np.eye(2), 1 - i / 500, i + 1) for i in range(300)]
    marks = [plane_mark(pick, mask_outline(np.ones((9, 9))), PanelGrid()) for pick in picks]
    labelled = draw_marks(blank(400, 400), marks, 13)
    assert 10 < labelled == len(placed) <= 60
    boxes = np.array([(top, left, top + height, left + width) for top, left, height, width in placed])
    assert (boxes[:, :2] >= -1).all()
    assert (boxes[:, 2:] <= 401).all()  # corners are rounded to pixels
    for i, box in enumerate(boxes):
        others = np.delete(boxes, i, axis=0)
        overlap = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
        assert (overlap.min(axis=1) <= 1).all()  # corners are rounded to pixels


def test_the_best_pick_is_always_labelled(monkeypatch):
    texts = []
    monkeypatch.setattr(
        "scorefold.rendering.marks.draw_text", lambda _picture, text, *_, **__: texts.append(text)
    )
    marks = [Mark(np.array([50.0, 50.0]), (), f"pick {i}") for i in range(200)]
    draw_marks(blank(100, 200), marks, 13)
    assert texts[0] == "pick 0"
    assert len(texts) <= 4  # right, left, below, above


def test_rings_leave_the_peak_visible():
    panel = blank(61, 61, (10, 20, 30))
    draw_rings(panel, [np.array([30.0, 30.0])], extent=30.0)
    assert (panel[26:35, 26:35] == (10, 20, 30)).all()
    assert (panel[30, 15:26] != (10, 20, 30)).any()


def test_labels_give_rank_and_three_digits():
    assert pick_label(pick_at((0, 0), np.eye(2), 0.9, 12)) == "#12 0.900"
