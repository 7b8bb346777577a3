"""Curves: true to the numbers, the same bytes each time, no pyplot."""

import sys

import cv2
import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering import figure_to_png, figure_to_svg, score_histogram_figure, score_rank_figure
from scorefold.rendering.colour import ACCENT

COUNTS, EDGES = np.histogram(np.random.default_rng(0).normal(size=5000), bins=50)


def test_bars_hold_the_counts_and_those_above_the_threshold_stand_out():
    everything, above = score_histogram_figure(COUNTS, EDGES, threshold=1.0).axes[0].patches
    np.testing.assert_array_equal(everything.get_data().values, COUNTS)
    np.testing.assert_array_equal(above.get_data().values, np.where(EDGES[1:] > 1.0, COUNTS, 0))


@pytest.mark.parametrize("threshold", [-9.0, 0.5, 9.0])
def test_the_threshold_is_within_the_axes(threshold):
    figure = score_histogram_figure(COUNTS, EDGES, threshold)
    low, high = figure.axes[0].get_xlim()
    assert low <= threshold <= high
    picture = cv2.imdecode(np.frombuffer(figure_to_png(figure), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (picture == ACCENT).all(axis=2).any()


def test_scores_fall_with_rank():
    (line, threshold) = score_rank_figure([0.2, 0.9, 0.4], 0.3).axes[0].lines
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata().tolist() == [0.9, 0.4, 0.2]
    assert threshold.get_ydata()[0] == 0.3


def test_figures_alike_give_the_same_bytes():
    for write in (figure_to_png, lambda figure: figure_to_svg(figure, "a")):
        first, second = (write(score_histogram_figure(COUNTS, EDGES, 1.0)) for _ in range(2))
        assert first == second


def test_ids_of_two_figures_on_a_page_differ():
    drawings = [figure_to_svg(score_rank_figure([1.0, 2.0], 1.5), name) for name in ("one", "two")]
    ids = [{part.split('"')[0] for part in drawing.split('id="')[1:]} for drawing in drawings]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_pyplot_is_never_imported():
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(
    ("counts", "edges"), [([], [0.0]), ([1, 2], [0.0, 1.0]), ([1, 2], [0.0, 1.0, 1.0]), ([[1]], [0.0, 1.0])]
)
def test_bins_that_disagree_are_refused(counts, edges):
    with pytest.raises(InputError):
        score_histogram_figure(counts, edges, 0.5)
