"""The panel's grid: peaks survive, means are means, coordinates land on the pixel that shows them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.rendering.grid import PanelGrid, fit_panel

sides = st.integers(1, 40)
factors = st.integers(1, 7)


@settings(deadline=None)  # a busy machine is no failure
@given(sides, sides, factors, st.data())
def test_the_highest_score_survives_reduction_at_its_place(height, width, reduction, data):
    peak = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    scores = np.where(np.indices((height, width)).sum(axis=0) % 3 == 0, np.nan, 0.25)
    scores[peak] = 1.0
    grid = PanelGrid(reduction=reduction)
    panel = grid.reduce_maximum(scores)
    assert panel.shape == (grid.length(height), grid.length(width))
    found = np.argwhere(panel == 1.0)
    assert found.tolist() == [np.rint(grid.to_panel(peak) - 1e-9).astype(int).tolist()]


@settings(deadline=None)  # a busy machine is no failure
@given(sides, sides, factors)
def test_enlarged_pixels_are_blocks_around_their_coordinate(height, width, enlargement):
    image = np.arange(height * width, dtype=float).reshape(height, width)
    grid = PanelGrid(enlargement=enlargement)
    panel = grid.reduce_mean(image)
    assert panel.shape == (height * enlargement, width * enlargement)
    row, column = height // 2, width // 3
    rows, columns = np.nonzero(panel == image[row, column])
    np.testing.assert_allclose(grid.to_panel((row, column)), (rows.mean(), columns.mean()))


def test_reduction_averages_blocks_and_repeats_the_border_to_fill_the_last():
    image = np.array([[0.0, 2.0, 4.0], [2.0, 4.0, 4.0]])
    np.testing.assert_array_equal(PanelGrid(reduction=2).reduce_mean(image), [[2.0, 4.0]])


def test_a_reduction_by_the_caller_is_part_of_the_scale():
    assert PanelGrid(enlargement=3, factor=6).pixels_per_voxel == 0.5
    np.testing.assert_allclose(PanelGrid(factor=4).to_panel(1.5), 0.0)  # centre of voxels 0 to 3


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(10_000, 4_000_000))
def test_panels_stay_below_their_largest_area_and_side(height, width, maximum_pixels):
    grid = fit_panel((height, width), maximum_pixels)
    assert 1 in (grid.reduction, grid.enlargement)
    rows, columns = grid.length(height), grid.length(width)
    # Rounding up to whole blocks adds at most one row and one column.
    assert (rows - 1) * (columns - 1) <= maximum_pixels
    assert max(rows, columns) - 1 <= 4 * maximum_pixels**0.5
