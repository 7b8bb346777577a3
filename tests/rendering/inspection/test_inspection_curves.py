"""Curves: bins end at the threshold, long tails are collected, thinned lines stay where they were."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rendering import figure_to_svg
from scorefold.rendering.inspection import EvaluationCurve, evaluation_figure, image_score_figure


def bars(figure) -> list[tuple[np.ndarray, np.ndarray]]:
    """Counts and edges of each filled group."""
    filled = figure.axes[0].patches[::2]
    return [(np.asarray(patch.get_data().values), np.asarray(patch.get_data().edges)) for patch in filled]


def test_no_bin_holds_scores_of_both_sides_of_the_threshold():
    scores = np.random.default_rng(0).gamma(3, 0.3, 5000)
    scores[:100] = 1.0  # equal to the threshold: not above it
    ((counts, edges),) = bars(image_score_figure({"unlabelled": scores}, 1.0))
    assert counts.sum() == 5000
    above = edges[:-1] > 1.0
    assert counts[above].sum() == (scores > 1.0).sum()
    assert counts[~above].sum() == (scores <= 1.0).sum()


def test_each_group_is_drawn_and_counted():
    groups = {"normal": [0.1, 0.2, np.nan], "anomalous": [2.0], "unlabelled": [np.inf]}
    figure = image_score_figure(groups, 1.0)
    assert [counts.sum() for counts, _ in bars(figure)] == [2, 1]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "normal, 2 images",
        "anomalous, 1 image",
    ]


def test_a_long_tail_does_not_squeeze_the_rest_and_is_not_lost():
    scores = np.append(np.linspace(0, 1, 1000), 1e6)
    figure = image_score_figure({"unlabelled": scores}, 0.9)
    ((counts, edges),) = bars(figure)
    assert edges[-1] < 10
    assert counts.sum() == 1001
    assert counts[-1] == 1
    assert "1e+06" in figure.axes[0].get_xlabel()


@pytest.mark.parametrize("scores", [[0.5], [1.0, 1.0], [5.0], [-3.0, 1e-9]])
def test_few_or_equal_scores_are_drawn(scores):
    ((counts, edges),) = bars(image_score_figure({"unlabelled": scores}, 1.0))
    assert counts.sum() == len(scores)
    assert (np.diff(edges) > 0).all()


def test_scores_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="finite"):
        image_score_figure({"normal": [np.nan], "anomalous": []}, 1.0)
    with pytest.raises(InputError, match="threshold"):
        image_score_figure({"normal": [1.0]}, np.nan)


def test_a_long_curve_is_thinned_and_stays_where_it_was():
    x = np.linspace(0, 1, 65_536)
    y = np.sqrt(x)
    (line, _point) = (
        evaluation_figure([EvaluationCurve("pr", "pixels", x, y, 2 / 3, (0.25, 0.5))]).axes[0].lines
    )
    drawn_x, drawn_y = line.get_data()
    assert drawn_x.size < 3000
    np.testing.assert_allclose(np.interp(x, drawn_x, drawn_y), y, atol=2 / 500)  # a cell of the grid, twice


def test_corners_stay_square():
    x, y = np.repeat([0.0, 1.0], 1000), np.concatenate([np.linspace(0, 1, 1000), np.ones(1000)])
    diagonal, line = evaluation_figure([EvaluationCurve("roc", "images", x, y, 1.0)]).axes[0].lines
    points = np.column_stack(line.get_data()).tolist()
    assert [0.0, 1.0] in points
    assert list(diagonal.get_data()[0]) == [0, 1]


def test_images_and_pixels_share_a_figure_and_kinds_do_not():
    ends = np.array([0.0, 1.0])
    curves = [EvaluationCurve("roc", level, ends, ends, 0.5) for level in ("images", "pixels")]
    labels = [text.get_text() for text in evaluation_figure(curves).axes[0].get_legend().get_texts()]
    assert labels == ["images: AUROC 0.5000", "pixels: AUROC 0.5000"]
    with pytest.raises(InputError, match="one kind"):
        evaluation_figure([*curves, EvaluationCurve("pr", "images", ends, ends, 0.5)])
    with pytest.raises(InputError, match="one kind"):
        evaluation_figure([])


def test_a_pro_curve_ends_at_its_limit():
    curve = EvaluationCurve("pro", "pixels", np.array([0, 0.3]), np.array([0.5, 0.9]), 0.8, limit=0.3)
    assert evaluation_figure([curve]).axes[0].get_xlim()[1] == pytest.approx(0.303)


def test_figures_alike_give_the_same_bytes():
    first, second = (figure_to_svg(image_score_figure({"normal": [0.1, 0.5]}, 1.0), "a") for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "det"},
        {"level": "regions"},
        {"x": np.zeros(3)},
        {"x": np.array([0, np.nan])},
        {"x": np.zeros(0)},
    ],
)
def test_what_is_no_curve_is_refused(changes):
    with pytest.raises(InputError):
        EvaluationCurve(
            **({"kind": "roc", "level": "images", "x": np.zeros(2), "y": np.ones(2), "area": 1} | changes)
        )
