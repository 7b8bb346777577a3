"""Defect density: colours where defects lie, the image as it is where there are none."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering.inspection import draw_density


def counts() -> np.ndarray:
    density = np.zeros((64, 64), np.int64)
    density[10:20, 10:20] = 3
    density[40, 40] = 9
    return density


def test_places_without_defects_show_the_mean_image_and_others_colours():
    image = np.full((64, 64), 77, np.uint8)
    picture = draw_density(counts(), image, images=50, gray_range=(0, 255))
    gray = (picture == 77).all(axis=2)
    assert gray.sum() == 640 * 640 - (100 + 1) * 10 * 10  # enlarged tenfold
    colours = {tuple(c) for c in picture[~gray].tolist() if len(set(c)) > 1}
    assert len(colours) >= 2


def test_a_single_pixel_is_seen_on_a_reduced_picture():
    density = np.zeros((1000, 1000), np.int64)
    density[501, 333] = 1
    picture = draw_density(density, images=1, panel=100)
    lit = (picture.max(axis=2).astype(int) - picture.min(axis=2)) > 60
    quiet = draw_density(np.zeros_like(density), images=1, panel=100)
    assert lit.sum() > ((quiet.max(axis=2).astype(int) - quiet.min(axis=2)) > 60).sum()


def test_no_defects_at_all_are_drawn_without_colour():
    image = np.arange(4096).reshape(64, 64)
    picture = draw_density(np.zeros((64, 64), np.uint16), image, images=7)
    panel_rows = picture[100:600, 30:600]
    assert (panel_rows[..., 0] == panel_rows[..., 2]).all()


def test_the_same_input_gives_the_same_bytes():
    first, second = (draw_density(counts(), images=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4)), np.zeros(4, int), np.full((4, 4), -1), np.zeros((0, 4), int)]
)
def test_what_is_no_density_is_refused(wrong):
    with pytest.raises(InputError, match="density"):
        draw_density(wrong, images=1)


def test_a_mean_image_of_another_shape_is_refused():
    with pytest.raises(InputError, match="alike"):
        draw_density(counts(), np.zeros((3, 3)), images=1)
