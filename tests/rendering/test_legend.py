"""Legends: the threshold stands at its score, lengths are round and true."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.errors import InputError
from scorefold.rendering.colour import ACCENT, INK
from scorefold.rendering.legend import (
    bar_column,
    bar_columns,
    check_scale,
    colour_bar,
    counted,
    framed,
    round_length,
    scale_bar,
)
from scorefold.rendering.picture import blank


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(300, 1500), st.floats(0.0, 1.0), st.sampled_from([(0.0, 1.0), (-3.5, 12.0), (1e-6, 3e-6)]))
def test_the_threshold_is_marked_at_its_score(width, fraction, limits):
    threshold = limits[0] + fraction * (limits[1] - limits[0])
    picture = colour_bar(limits, threshold, width, 13)
    assert picture.shape[1] == width
    first, last = bar_columns(width, 13)
    columns = np.flatnonzero((picture[30] == ACCENT).all(axis=1))  # a row within the bar
    assert columns.mean() == pytest.approx(first + fraction * (last - first), abs=0.51)  # nearest pixel


def test_the_bar_runs_from_the_lowest_to_the_highest_colour():
    picture = colour_bar((0.0, 1.0), 0.5, 600, 13, opaque=True)
    first, last = bar_columns(600, 13)
    luminance = picture[30, first : last + 1].astype(float) @ (0.2126, 0.7152, 0.0722)
    mark = round(bar_column(0.5, (0.0, 1.0), 600, 13)) - first
    rising = np.delete(luminance, np.arange(mark - 4, mark + 5))
    assert (np.diff(rising) > -1.5).all()  # bytes are rounded
    assert rising[0] < 5
    assert rising[-1] > 230


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(1e-9, 1e9))
def test_scale_lengths_are_round_and_as_long_as_fits(longest):
    length = round_length(longest)
    assert longest / 2.5 * (1 - 1e-9) <= length <= longest
    mantissa = length / 10 ** np.floor(np.log10(length) + 1e-9)
    assert round(float(mantissa), 6) in {1.0, 2.0, 5.0}


def test_the_scale_bar_is_as_long_as_its_label_says():
    picture = scale_bar(1000, pixels_per_unit=1.7, unit="nm", text=13)  # at most 250 pixels: 100 nm
    row = (picture == INK).all(axis=2)[picture.shape[0] // 2]
    assert int(np.argmin(row)) == 170


@pytest.mark.parametrize(
    ("size", "unit"), [(0.0, "nm"), (-1.0, "nm"), (float("nan"), "nm"), (1.0, None), (1.0, "")]
)
def test_pixel_sizes_that_no_bar_can_show_are_refused(size, unit):
    with pytest.raises(InputError, match="pixel size"):
        check_scale(size, unit)
    check_scale(None, unit)


def test_a_page_is_its_body_with_margins_whatever_the_title():
    short = framed("a", "b", blank(40, 300), 13)
    long = framed("a very long title " * 20, "and\na remark " * 50, blank(40, 300), 13)
    assert short.shape == long.shape
    assert short.shape[1] == 300 + 4 * 13


def test_numbers_take_their_noun():
    assert [counted(n, "pick") for n in (0, 1, 1234567)] == ["0 picks", "1 pick", "1 234 567 picks"]
