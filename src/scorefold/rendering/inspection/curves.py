"""Curves of an inspection: how image scores are distributed, and how well they separate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError
from scorefold.rendering.colour import ACCENT, FAINT_INK, INK
from scorefold.rendering.curves import BARS, empty_figure, hexadecimal, mark_threshold
from scorefold.rendering.ink import one_line
from scorefold.rendering.inspection.image import VERDICT_COLOURS
from scorefold.rendering.legend import check_threshold, counted
from scorefold.rendering.picture import Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CurveKind: TypeAlias = Literal["roc", "pr", "pro"]
Level: TypeAlias = Literal["images", "pixels"]

NORMAL_COLOUR: Colour = VERDICT_COLOURS["OK"]
ANOMALOUS_COLOUR: Colour = VERDICT_COLOURS["NG"]

_GROUP_COLOURS = {"normal": NORMAL_COLOUR, "anomalous": ANOMALOUS_COLOUR, "unlabelled": BARS}
_BINS = 60
_LONG_TAIL = 3.0
_POINTS_PER_AXIS = 500
_AXES = {
    "roc": ("false positive rate", "true positive rate", "ROC"),
    "pr": ("recall", "precision", "Precision and recall"),
    "pro": ("false positive rate", "per-region overlap", "PRO"),
}
_AREAS = {"roc": "AUROC", "pr": "average precision", "pro": "AUPRO"}


@dataclass(frozen=True, eq=False)
class EvaluationCurve:
    """A curve of an evaluation against a known truth.

    Parameters
    ----------
    kind : {"roc", "pr", "pro"}
        True over false positive rate; precision over recall; per-region overlap over false positive rate.
    level : {"images", "pixels"}
        What was counted.
    x, y : (n,) arrays
        Points in the order of the curve, 0 to 1.
    area : float
        What summarises it: AUROC, average precision, AUPRO.
    point : (float, float) or None
        Where the run's threshold lies on it.
    limit : float
        False positive rate up to which the area is taken; below 1 for PRO.

    Raises
    ------
    InputError
        If kind or level is unknown, or x and y are not 1D, alike and finite.
    """

    kind: CurveKind
    level: Level
    x: NDArray[Any]
    y: NDArray[Any]
    area: float
    point: tuple[float, float] | None = None
    limit: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(CurveKind) or self.level not in get_args(Level):
            raise InputError(
                f'curve "{self.kind}" of {self.level}: give one of {get_args(CurveKind)} '
                f"and one of {get_args(Level)}."
            )
        x, y = np.asarray(self.x), np.asarray(self.y)
        if x.ndim != 1 or x.size == 0 or x.shape != y.shape or not np.isfinite([x, y]).all():
            raise InputError(
                f"{self.kind} curve of shapes {x.shape} and {y.shape}: give finite points, as many x as y."
            )


def image_score_figure(groups: Mapping[str, ArrayLike], threshold: float) -> "Figure":
    """Draw how often each image score occurs, counts on a logarithmic scale, with the threshold marked.

    Parameters
    ----------
    groups : mapping of str to (n,) array_like
        Scores by what is known of the images, such as "normal", "anomalous", "unlabelled"; what is not
        finite is left out. A long tail is collected in the last bin, and the axis says so.
    threshold : float
        Images above it are anomalous. Bins end there: none holds scores of both sides.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot: nothing to close.

    Raises
    ------
    InputError
        If there is no finite score, or the threshold is not finite.

    Examples
    --------
    >>> figure = image_score_figure({"normal": [0.2, 0.4, 0.5], "anomalous": [1.5]}, threshold=1.0)
    >>> figure.axes[0].get_yscale()
    'log'
    """
    check_threshold(threshold)
    finite = {name: _finite(scores) for name, scores in groups.items()}
    finite = {name: scores for name, scores in finite.items() if scores.size}
    if not finite:
        raise InputError("no image has a finite score: there is nothing to draw.")
    edges, highest = _edges(np.concatenate(list(finite.values())), threshold)
    figure, axes = empty_figure("image score", "images")
    axes.set_yscale("log")
    tallest = 1
    for number, (name, scores) in enumerate(finite.items()):
        counts, _ = np.histogram(np.minimum(scores, np.nextafter(edges[-1], -np.inf)), edges)
        colour = hexadecimal(_GROUP_COLOURS.get(name, BARS))
        axes.stairs(counts, edges, baseline=0.5, fill=True, color=colour, alpha=0.45, zorder=1 + number / 10)
        axes.stairs(counts, edges, baseline=0.5, color=colour, linewidth=1.2, zorder=1 + number / 10)
        tallest = max(tallest, int(counts.max()))
    axes.set_ylim(0.5, 3 * tallest)
    axes.set_xlim(edges[0], edges[-1])
    mark_threshold(axes, threshold)
    if highest > edges[-1]:
        axes.set_xlabel(f"image score (the last bin reaches to {highest:.4g})", color=hexadecimal(INK))
    if len(finite) > 1 or set(finite) <= {"normal", "anomalous"}:
        _legend(axes, {name: _GROUP_COLOURS.get(name, BARS) for name in finite}, finite)
    return figure


def evaluation_figure(curves: Sequence[EvaluationCurve]) -> "Figure":
    """Draw the curves of one kind, of images and of pixels, with the point of the run's threshold.

    Parameters
    ----------
    curves : sequence of EvaluationCurve
        At least one, all of one kind. PRO curves end at their limit.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot: nothing to close.

    Raises
    ------
    InputError
        If there are no curves or several kinds.

    Examples
    --------
    >>> curve = EvaluationCurve("roc", "images", np.array([0, 0, 1]), np.array([0, 1, 1]), area=1.0)
    >>> evaluation_figure([curve]).axes[0].get_xlabel()
    'false positive rate'
    """
    from matplotlib.lines import Line2D

    kinds = {curve.kind for curve in curves}
    if len(kinds) != 1:
        raise InputError(f"curves of kinds {sorted(kinds)} in one figure: give one kind.")
    (kind,) = kinds
    horizontal, vertical, title = _AXES[kind]
    figure, axes = empty_figure(horizontal, vertical)
    axes.set_title(title, color=hexadecimal(INK), loc="left", fontweight="bold", fontsize=11)
    limit = max(curve.limit for curve in curves)
    if kind == "roc":
        axes.plot((0, 1), (0, 1), color=hexadecimal(BARS), linewidth=1, linestyle=":")
    for curve in curves:
        colour = hexadecimal(ACCENT if curve.level == "pixels" else INK)
        x, y = _thinned(curve)
        axes.plot(x, y, color=colour, linewidth=1.8, label=f"{curve.level}: {_AREAS[kind]} {curve.area:.4f}")
        if curve.point is not None:
            axes.plot(
                *curve.point, marker="o", markersize=7, color=colour, markerfacecolor="none", clip_on=False
            )
    axes.set_xlim(-0.01 * limit, 1.01 * limit)
    axes.set_ylim(-0.01, 1.02)
    lines, labels = axes.get_legend_handles_labels()
    if any(curve.point is not None for curve in curves):
        lines.append(
            Line2D([], [], linestyle="", marker="o", markerfacecolor="none", color=hexadecimal(FAINT_INK))
        )
        labels.append("at the threshold")
    corner: Literal["lower left", "lower right"] = "lower left" if kind == "pr" else "lower right"
    axes.legend(lines, labels, loc=corner, frameon=False, labelcolor=hexadecimal(INK))
    return figure


def _finite(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    return values[np.isfinite(values)]


def _edges(scores: NDArray[np.float64], threshold: float) -> tuple[NDArray[np.float64], float]:
    """Return edges of bins of one width, one of them just above the threshold, and the highest score."""
    low, highest = min(float(scores.min()), threshold), max(float(scores.max()), threshold)
    # A few hot images would squeeze all others into one bin.
    usual = max(float(np.percentile(scores, 99)), threshold)
    high = min(highest, low + _LONG_TAIL * (usual - low)) if usual > low else highest
    width = (high - low) / _BINS or 1.0
    below, over = int(np.ceil((threshold - low) / width)), int(np.ceil((high - threshold) / width))
    # Scores equal to the threshold are not above it: the edge is the next number.
    edge = np.nextafter(threshold, np.inf)
    return edge + width * np.arange(-below - 1, over + 2), highest


def _thinned(curve: EvaluationCurve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the curve's points that a figure can tell apart: a page should not carry 65 536."""
    points = np.column_stack([curve.x, curve.y]).astype(np.float64)
    cells = np.rint(points * _POINTS_PER_AXIS / np.array([curve.limit, 1.0]))
    moves = np.any(np.diff(cells, axis=0) != 0, axis=1)
    # A point before and after each move keeps corners square.
    kept = np.concatenate([[True], moves]) | np.concatenate([moves, [True]])
    return points[kept, 0], points[kept, 1]


def _printable(name: str) -> str:
    return one_line(name.encode("utf-8", "backslashreplace").decode("utf-8"))


def _legend(axes: "Axes", colours: Mapping[str, Colour], groups: Mapping[str, NDArray[np.float64]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    patches = [
        Line2D([], [], color=hexadecimal(colour), linewidth=7, alpha=0.6) for colour in colours.values()
    ]
    labels = [f"{_printable(name)}, {counted(scores.size, 'image')}" for name, scores in groups.items()]
    legend = axes.legend(patches, labels, loc="upper right", frameon=False, labelcolor=hexadecimal(INK))
    for entry in legend.get_texts():
        entry.set_parse_math(False)  # a dollar sign in a name is a dollar sign
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8))
