"""The visualizer: any grid, true levels, files, figures and notebooks, and nothing left behind."""

import gc
import subprocess
import sys
import types
import weakref
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from scorefold.errors import InputError, ScorefoldWarning
from scorefold.post_processing import Visualizer


def panel_of(visualizer, image, **arguments):
    """Return what is drawn, within its frame, of an image in a visualizer of one panel."""
    visualizer.add_image(image, "", **arguments)
    picture = visualizer.generate()
    rows, columns = np.nonzero((picture != 255).any(axis=2))  # the frame is the outermost thing on the paper
    return picture[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()]


@pytest.fixture
def single():
    visualizer = Visualizer(1, 1, (3, 3))
    yield visualizer
    visualizer.close()


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (4, 1), (3, 2)])
def test_any_grid_is_filled_row_by_row(rows, columns):
    visualizer = Visualizer(rows, columns, (2 * columns, 2 * rows))
    levels = np.linspace(0, 250, rows * columns).astype(np.uint8)
    for level in levels:
        visualizer.add_image(np.full((8, 8), level), "")
    picture = visualizer.generate()
    assert picture.shape == (200 * rows, 200 * columns, 3)
    centres = picture[110::200, 100::200, 0]
    np.testing.assert_array_equal(centres.ravel(), levels)


def test_a_picture_has_the_size_of_the_figure():
    assert Visualizer(2, 3, (12, 7.5)).generate().shape == (750, 1200, 3)


@pytest.mark.parametrize("white", [np.uint8(255), True, 1.0, np.float32(1), np.uint16(65535)])
@pytest.mark.parametrize("color_map", [None, "gray"])
def test_white_stays_white_and_is_framed(single, white, color_map):
    panel = panel_of(single, np.full((30, 30), white), color_map=color_map)
    assert min(panel.shape[:2]) > 200, "the frame shows where the mask is"
    assert (panel == 255).all()


@pytest.mark.parametrize("black", [np.uint8(0), False, 0.0])
def test_black_stays_black(single, black):
    assert not panel_of(single, np.full((30, 30), black)).any()


def test_a_dark_image_is_not_brightened(single):
    image = np.random.default_rng(0).integers(0, 40, size=(50, 50, 3), dtype=np.uint8)
    assert panel_of(single, image).max() < 40


def test_an_image_of_the_size_of_its_panel_is_drawn_bit_for_bit(single):
    height, width = panel_of(single, np.zeros((2000, 2000))).shape[:2]
    image = np.random.default_rng(1).integers(0, 255, size=(height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(panel_of(single, image, index=0), image)


@pytest.mark.parametrize("shape", [(40, 80), (900, 300), (1000, 64), (333, 444), (5, 4)])
def test_the_aspect_is_kept(single, shape):
    height, width = panel_of(single, np.zeros((*shape, 3), np.uint8)).shape[:2]
    assert abs(height / shape[0] * shape[1] - width) <= height / shape[0] + 1  # half a pixel on either side


@pytest.mark.parametrize("size", [(1000, 1000), (701, 997), (300, 300)])
def test_a_large_image_is_averaged(single, size):
    pixels = np.random.default_rng(2).integers(0, 255, size=size, dtype=np.uint8)
    panel = panel_of(single, pixels)
    zoom = panel.shape[1] / size[1]
    assert abs(panel.mean() - pixels.mean()) < 1
    # The mean of n × n pixels of noise deviates by 1 / n; fractions of pixels and interpolation cost a little.
    assert panel.std() < 1.3 * zoom * pixels.std()


def test_a_colour_map_colours_gray_images(single):
    image = np.array([[0, 128, 255]], np.uint8)
    panel = panel_of(single, image, color_map="viridis")
    expected = np.rint(255 * mpl.colormaps["viridis"](image[0])[:, :3])
    third = panel.shape[1] // 3
    np.testing.assert_array_equal(panel[0, [third // 2, third + third // 2, -third // 2]], expected)


def test_pixels_that_are_not_finite_are_gray(single):
    panel = panel_of(single, np.array([[0.0, np.nan], [np.inf, 1.0]]), color_map="jet")
    assert panel[5, -5].tolist() == panel[-5, 5].tolist() == [128, 128, 128]
    assert panel[5, 5].tolist() == [0, 0, 128]


def test_a_panel_is_chosen_by_its_index_and_otherwise_the_first_free_one():
    visualizer = Visualizer(1, 3, (6, 2))
    for level, index in ((10, 0), (20, None), (30, None), (40, 1)):
        visualizer.add_image(np.full((8, 8), level, np.uint8), "", index=index)
    assert visualizer.generate()[110, 100::200, 0].tolist() == [10, 40, 30]


def test_titles_are_drawn_and_cut_to_their_panel():
    visualizer = Visualizer(1, 2, (4, 2))
    visualizer.add_image(np.zeros((8, 8)), "Predicted\nmask " * 10)
    picture = visualizer.generate()
    assert (picture[:30, 10:190] < 100).any()
    assert (picture[:, 200:] == 255).all()


@pytest.mark.parametrize("convert", [str, Path])
def test_a_file_holds_the_picture_and_its_folder_is_made(tmp_path, convert):
    visualizer = Visualizer(1, 2, (4, 2))
    visualizer.add_image(np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8), "Image")
    path = tmp_path / "figures" / "one.png"
    visualizer.save(convert(path))
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], visualizer.generate())


def test_compression_changes_the_size_alone(tmp_path):
    visualizer = Visualizer(1, 1, (4, 4))
    visualizer.add_image(np.zeros((8, 8)), "Mask")
    visualizer.save(tmp_path / "a.png")
    visualizer.save(tmp_path / "b.png", compression=6)
    assert (tmp_path / "b.png").stat().st_size < (tmp_path / "a.png").stat().st_size / 10
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png")), cv2.imread(str(tmp_path / "b.png")))


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".tif", ".webp"])
def test_other_formats_are_written(tmp_path, suffix):
    visualizer = Visualizer(1, 1, (2, 2))
    path = tmp_path / f"one{suffix}"
    visualizer.save(path)
    assert cv2.imread(str(path)).shape == (200, 200, 3)


@pytest.mark.parametrize("name", ["figure", "figure.xyz", ".png"])
def test_a_file_without_a_format_is_refused_and_not_made(tmp_path, name):
    with pytest.raises(InputError, match="suffix"):
        Visualizer(1, 1, (2, 2)).save(tmp_path / "new" / name)
    assert list(tmp_path.iterdir()) == []


def test_the_figure_shows_the_picture_pixel_by_pixel():
    visualizer = Visualizer(1, 2, (5, 2.5))
    visualizer.add_image(np.random.default_rng(4).integers(0, 255, (99, 99, 3), np.uint8), "Image")
    figure = visualizer.figure
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    np.testing.assert_array_equal(drawn, visualizer.generate())


def test_the_figure_is_freed_with_its_last_reference():
    visualizer = Visualizer(1, 1, (2, 2))
    figure = visualizer.figure
    gone = weakref.ref(figure)
    del figure
    gc.collect()
    assert gone() is None


def test_pyplot_and_dask_are_not_imported():
    program = (
        "import sys, numpy as np; from scorefold.post_processing import Visualizer, anomaly_map_to_color_map;"
        "v = Visualizer(1, 1, (2, 2)); v.add_image(np.eye(9), 'a', 'jet'); v.figure;"
        "anomaly_map_to_color_map(np.eye(9));"
        "assert not {'matplotlib.pyplot', 'dask'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_images_are_not_kept_at_full_size():
    visualizer = Visualizer(1, 1, (2, 2))
    image = np.zeros((500, 500), np.uint8)
    gone = weakref.ref(image)
    visualizer.add_image(image, "")
    del image
    gc.collect()
    assert gone() is None


def test_closing_frees_the_panels_and_ends_the_use():
    visualizer = Visualizer(1, 1, (2, 2))
    visualizer.add_image(np.zeros((8, 8)), "")
    panel = weakref.ref(next(iter(visualizer._panels.values()))[1])
    visualizer.close()
    visualizer.close()
    gc.collect()
    assert panel() is None
    for use in (visualizer.generate, visualizer.show, lambda: visualizer.add_image(np.zeros((8, 8)), "")):
        with pytest.raises(InputError, match="closed visualizer"):
            use()


def test_show_outside_a_notebook_says_what_to_do():
    with pytest.warns(ScorefoldWarning, match="Use save"):
        Visualizer(1, 1, (2, 2)).show()


def test_show_in_a_notebook_displays_the_picture(monkeypatch):
    displayed = []
    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel="running")
    display.display = displayed.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    visualizer = Visualizer(1, 1, (2, 2))
    visualizer.show()
    assert displayed == [visualizer]
    png = np.frombuffer(displayed[0]._repr_png_(), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(png, cv2.IMREAD_COLOR)[..., ::-1], visualizer.generate())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, (2, 2)), "num_rows 0"),
        ((1, 1.5, (2, 2)), "num_cols 1.5"),
        ((1, 1, (0, 2)), "figure size"),
        ((1, 1, (float("nan"), 2)), "figure size"),
        ((1, 90, (12, 3)), "too small"),
    ],
)
def test_grids_without_room_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Visualizer(*arguments)


def test_what_cannot_be_shown_is_refused():
    visualizer = Visualizer(1, 2, (4, 2))
    image = np.zeros((8, 8))
    for index in (-1, 2):
        with pytest.raises(InputError, match="count from 0 to 1"):
            visualizer.add_image(image, "", index=index)
    with pytest.raises(InputError, match='colour map "rainbows"'):
        visualizer.add_image(image, "", color_map="rainbows")
    with pytest.raises(InputError, match="alpha channel"):
        visualizer.add_image(np.zeros((8, 8, 4)), "")
    with pytest.raises(InputError, match="compression 12"):
        visualizer.save("one.png", compression=12)
    visualizer.add_image(image, "")
    visualizer.add_image(image, "")
    with pytest.raises(InputError, match="all 2 panels are taken"):
        visualizer.add_image(image, "")
