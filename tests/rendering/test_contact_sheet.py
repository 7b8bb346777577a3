"""Contact sheets: every pick on one page, best first, the template on all."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering import Cutout, DrawnPick, contact_sheet, contact_sheets, encode_png
from scorefold.rendering.colour import ACCENT

TEMPLATE = np.random.default_rng(0).normal(size=(12, 12))


def cutout(rank: int, score: float, pixels=TEMPLATE, target="a.tif") -> Cutout:
    axes = pixels.ndim
    return Cutout(DrawnPick(np.zeros(axes), np.eye(axes), score, rank, target), pixels)


@pytest.mark.parametrize(("picks", "pages"), [(0, 1), (1, 1), (99, 1), (100, 2), (198, 2), (199, 3)])
def test_pages_hold_the_template_and_ninety_nine_picks(picks, pages):
    assert len(contact_sheets([cutout(i, 0.5) for i in range(1, picks + 1)], TEMPLATE)) == pages


def test_every_page_starts_with_the_framed_template():
    for page in contact_sheets([cutout(i, 0.5) for i in range(1, 150)], TEMPLATE):
        rows, columns = np.nonzero((page == ACCENT).all(axis=2))
        assert columns.min() == 26  # the margin
        assert rows.min() < 100
        frame = (page[rows.min(), 26:] == ACCENT).all(axis=1)
        assert int(np.argmin(frame)) == 126  # 120 pixels and the frame


def test_picks_are_laid_out_by_falling_score_whatever_their_order(monkeypatch):
    drawn = []

    def record(pick, *_):
        drawn.append(pick.rank)
        return np.zeros((10, 10, 3), np.uint8)

    monkeypatch.setattr(contact_sheet, "_pick_panel", record)
    scores = [0.3, 0.9, 0.9, 0.1, 0.7]
    contact_sheets(
        [cutout(rank, score) for rank, score in enumerate(scores)][::-1], TEMPLATE, panels_per_page=3
    )
    assert drawn == [1, 2, 4, 0, 3]


def test_all_picks_of_all_pages_share_one_contrast(monkeypatch):
    limits = []
    original = contact_sheet.gray_picture
    monkeypatch.setattr(
        contact_sheet, "gray_picture", lambda v, given: limits.append(given) or original(v, given)
    )
    cutouts = [cutout(i, 1 - i / 10, TEMPLATE * i) for i in range(1, 6)]
    contact_sheets(cutouts, TEMPLATE * 1000, panels_per_page=3)
    template_limits, *pick_limits = limits
    assert len(set(pick_limits)) == 1
    assert len(pick_limits) == 5
    assert template_limits[1] > 100 * pick_limits[0][1]


def test_picks_of_8_and_16_bit_are_both_seen():
    pages = contact_sheets(
        [
            cutout(1, 0.9, 100 + 50 * TEMPLATE / TEMPLATE.max(), target="a.png"),
            cutout(1, 0.8, 30_000 + 9_000 * TEMPLATE / TEMPLATE.max(), target="b.tif"),
        ],
        TEMPLATE,
    )
    dark = (
        pages[0][110:300, 26 + 246 + 14 + 3 :][:, :240],
        pages[0][110:300, 26 + 2 * (246 + 14) + 3 :][:, :240],
    )
    for panel in dark:
        assert panel.max() - panel.min() > 200


def test_what_lies_outside_the_target_is_hatched():
    pixels = TEMPLATE.copy()
    pixels[:, 6:] = np.nan
    page = contact_sheets([cutout(1, 0.5, pixels)], TEMPLATE)[0]
    panel = page[110:300, 26 + 246 + 14 + 3 :][:, :240]  # the second panel, below its upper edge
    hatched = np.isin(panel[..., 0], (198, 226)).mean(axis=0)
    assert (hatched[120:] == 1).all()
    assert hatched[:119].mean() < 0.3


def test_volumes_show_three_central_slices():
    volume = np.zeros((8, 10, 12))
    views = contact_sheet._central_views(np.indices(volume.shape).sum(axis=0))
    assert [view.shape for view in views] == [(10, 12), (8, 12), (10, 8)]
    page = contact_sheets([cutout(1, 0.5, volume)], volume)[0]
    assert page.ndim == 3


def test_the_same_picks_give_the_same_bytes():
    cutouts = [cutout(i, 0.5, TEMPLATE + i, f"{i}.tif") for i in range(1, 30)]
    first, second = (contact_sheets(order, TEMPLATE) for order in (cutouts, cutouts[::-1]))
    assert [encode_png(page) for page in first] == [encode_png(page) for page in second]


@pytest.mark.parametrize(
    "template", [np.zeros((3, 200)), np.zeros((400, 300)), np.full((5, 5), np.nan), np.zeros((1, 1))]
)
def test_templates_of_any_size_fit(template):
    (page,) = contact_sheets([cutout(1, 0.5, template, "x" * 300)], template)
    assert page.shape[0] < 900
    assert page.shape[1] < 1500


@pytest.mark.parametrize(
    ("cutouts", "template", "arguments"),
    [
        ([], np.zeros(4), {}),
        ([], np.zeros((0, 4)), {}),
        ([cutout(1, 0.5)], np.zeros((4, 4)), {}),
        ([], TEMPLATE, {"panels_per_page": 1}),
    ],
)
def test_what_cannot_be_laid_out_is_refused(cutouts, template, arguments):
    with pytest.raises(InputError):
        contact_sheets(cutouts, template, **arguments)
