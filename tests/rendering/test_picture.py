"""Pictures: layout keeps every pixel, PNG keeps every byte."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scorefold.errors import InputError
from scorefold.rendering.picture import PAPER, above, beside, blank, encode_png, with_margin


@settings(deadline=None)  # a busy machine is no failure
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_png_holds_the_picture_exactly_and_the_same_bytes_each_time(rgb):
    encoded = encode_png(rgb)
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decoded, rgb)
    assert encode_png(rgb.copy()) == encoded


@pytest.mark.parametrize(
    "shape_dtype", [((4, 4), np.uint8), ((4, 4, 4), np.uint8), ((4, 4, 3), np.float64), ((0, 4, 3), np.uint8)]
)
def test_png_refuses_what_is_not_rgb_bytes(shape_dtype):
    shape, dtype = shape_dtype
    with pytest.raises(InputError, match="PNG needs"):
        encode_png(np.zeros(shape, dtype))


def test_rows_and_columns_put_pictures_where_they_belong_on_paper():
    red, blue = blank(2, 3, (255, 0, 0)), blank(4, 1, (0, 0, 255))
    row = beside([red, blue], gap=2)
    assert row.shape == (4, 6, 3)
    np.testing.assert_array_equal(row[:2, :3], red)
    np.testing.assert_array_equal(row[:, 5:], blue)
    assert (row[:, 3:5] == PAPER).all()
    assert (row[2:, :3] == PAPER).all()
    np.testing.assert_array_equal(
        above([red.transpose(1, 0, 2), blue.transpose(1, 0, 2)], 2), row.transpose(1, 0, 2)
    )


def test_centred_pictures_have_the_same_room_on_both_sides():
    column = above([blank(1, 9, (1, 1, 1)), blank(1, 3, (2, 2, 2))], align="centre")
    assert np.flatnonzero(column[1, :, 0] == 2).tolist() == [3, 4, 5]


def test_margin_surrounds_the_picture():
    framed = with_margin(blank(2, 3, (9, 9, 9)), 4)
    assert framed.shape == (10, 11, 3)
    assert (framed == 9).all(axis=2).sum() == 6
    assert (framed[4:6, 4:7] == 9).all()
