"""Lines and letters: at the right place, never wider than asked, visible on any ground."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.rendering.colour import ACCENT, CASING
from scorefold.rendering.ink import draw_lines, draw_text, one_line, shortened, text_picture, text_size
from scorefold.rendering.picture import blank


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
def test_any_text_becomes_one_printable_line(text):
    assert one_line(text).isprintable()


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=60), st.integers(20, 200))
def test_shortened_text_fits_and_keeps_both_ends(text, width):
    short = shortened(text, width, 13)
    assert text_size(short, 13)[1] <= width
    if "…" in short and "…" not in text:
        head, tail = short.split("…")
        assert one_line(text).startswith(head)
        assert one_line(text).endswith(tail)


def test_shortening_cuts_no_more_than_needed():
    name = "grid_0007_square_0003_aligned_dose_weighted.mrc"
    short = shortened(name, 200, 13)
    assert 200 - text_size(short, 13)[1] < 2 * text_size("m", 13)[1]


@pytest.mark.parametrize("corner", [(-4, -6), (15, 25), (500, 500), (-500, 0)])
def test_text_beyond_the_border_is_cut_off(corner):
    whole, part = blank(200, 300), blank(20, 30)
    draw_text(whole, "peak", (corner[0] + 100, corner[1] + 100), 13, halo=2) if max(
        map(abs, corner)
    ) < 90 else None
    draw_text(part, "peak", corner, 13, halo=2)
    np.testing.assert_array_equal(part, whole[100:120, 100:130])


def test_text_pictures_are_as_wide_as_asked():
    assert text_picture("a very long name that does not fit", 13, 90).shape[1] == 90
    assert text_picture("", 13, 90).shape[1] == 90


@pytest.mark.parametrize("ground", [0, 255])
def test_lines_are_visible_on_dark_and_on_light_ground(ground):
    picture = np.full((21, 21, 3), ground, np.uint8)
    draw_lines(picture, [np.array([[10.0, 2.0], [10.0, 18.0]])], ACCENT, 1, casing=1)
    assert np.abs(picture[10, 10].astype(int) - ACCENT).max() < 32  # antialiased
    for beside in (picture[9, 10], picture[11, 10]):
        assert np.abs(beside.astype(int) - CASING).max() < 64  # antialiased
    assert (picture[3] == ground).all()
