"""Curves of a job's scores: how they are distributed, and how they fall with rank."""

from collections.abc import Sequence
from io import BytesIO, StringIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from scorefold.errors import InputError
from scorefold.rendering.colour import ACCENT, FAINT_INK, INK
from scorefold.rendering.legend import check_threshold
from scorefold.rendering.picture import Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FIGURE_SIZE = (6.4, 3.4)
_INCH = 100
BARS: Colour = (120, 128, 138)


def hexadecimal(colour: Colour) -> str:
    """Return a colour as Matplotlib, SVG and CSS write it.

    Examples
    --------
    >>> hexadecimal((0, 92, 230))
    '#005ce6'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def score_histogram_figure(counts: ArrayLike, edges: ArrayLike, threshold: float) -> "Figure":
    """Draw how often each score occurs, counts on a logarithmic scale, with the threshold marked.

    Parameters
    ----------
    counts : (n,) array_like
        Positions (or picks) in each bin; at least 0.
    edges : (n + 1,) array_like
        Increasing edges of the bins.
    threshold : float
        Marked by a line; the bins above it are drawn in colour.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot: nothing to close.

    Raises
    ------
    InputError
        If there is no bin, lengths disagree, the edges do not increase, or the threshold is not finite.

    Examples
    --------
    >>> counts, edges = np.histogram(np.random.default_rng(0).normal(size=1000), bins=40)
    >>> score_histogram_figure(counts, edges, threshold=2.5).axes[0].get_yscale()
    'log'
    """
    check_threshold(threshold)
    heights, bounds = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if heights.ndim != 1 or heights.size == 0 or bounds.shape != (heights.size + 1,):
        raise InputError(
            f"counts {heights.shape} and edges {bounds.shape}: n bins need n counts and n + 1 edges."
        )
    if not (np.diff(bounds) > 0).all():
        raise InputError("histogram edges that do not increase: sort them and drop repeated ones.")
    figure, axes = empty_figure("score", "positions")
    axes.set_yscale("log")
    axes.stairs(heights, bounds, baseline=0.5, fill=True, color=hexadecimal(BARS), alpha=0.55)
    above = np.where(bounds[1:] > threshold, heights, 0.0)
    axes.stairs(above, bounds, baseline=0.5, fill=True, color=hexadecimal(ACCENT))
    axes.set_ylim(0.5, max(2.0, float(heights.max()) * 3))
    low, high = min(float(bounds[0]), threshold), max(float(bounds[-1]), threshold)
    axes.set_xlim(low, high + 0.02 * (high - low))
    mark_threshold(axes, threshold)
    return figure


def mark_threshold(axes: "Axes", threshold: float) -> None:
    """Mark a threshold on the horizontal axis, whose limits are set, by a labelled line."""
    rightwards = threshold < sum(axes.get_xlim()) / 2
    axes.axvline(threshold, color=hexadecimal(ACCENT), linewidth=1.5)
    axes.annotate(
        f"threshold {threshold:.4g}",
        xy=(threshold, 0.96),
        xycoords=("data", "axes fraction"),
        xytext=(6 if rightwards else -6, 0),
        textcoords="offset points",
        horizontalalignment="left" if rightwards else "right",
        verticalalignment="top",
        color=hexadecimal(ACCENT),
        fontweight="bold",
    )


def score_rank_figure(scores: Sequence[float] | ArrayLike, threshold: float) -> "Figure":
    """Draw the picks' scores from best to worst, with the threshold marked.

    A step in the curve separates two populations; a threshold that cuts a smooth slope deserves a look at
    the contact sheet.

    Parameters
    ----------
    scores : (n,) array_like
        Scores of the picks, in any order.
    threshold : float
        Marked by a line.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot: nothing to close.

    Raises
    ------
    InputError
        If the threshold is not finite.

    Examples
    --------
    >>> figure = score_rank_figure([0.3, 0.9, 0.5], threshold=0.4)
    >>> figure.axes[0].lines[0].get_ydata().tolist()
    [0.9, 0.5, 0.3]
    """
    from matplotlib.ticker import MaxNLocator

    check_threshold(threshold)
    falling = np.sort(np.asarray(scores, dtype=np.float64).ravel())[::-1]
    figure, axes = empty_figure("rank", "score")
    marker = "o" if falling.size <= 60 else ""
    axes.plot(
        np.arange(1, falling.size + 1),
        falling,
        color=hexadecimal(INK),
        linewidth=1.5,
        marker=marker,
        markersize=3,
    )
    axes.axhline(threshold, color=hexadecimal(ACCENT), linewidth=1.5)
    axes.annotate(
        f"threshold {threshold:.4g}",
        xy=(0.99, threshold),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        horizontalalignment="right",
        verticalalignment="bottom",
        color=hexadecimal(ACCENT),
        fontweight="bold",
    )
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    return figure


def figure_to_png(figure: "Figure", dots_per_inch: float = 150.0) -> bytes:
    """Return a figure as PNG; figures alike give the same bytes."""
    stream = BytesIO()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_figure(stream, dpi=dots_per_inch, metadata={"Software": None})
    return stream.getvalue()


def figure_to_svg(figure: "Figure", name: str) -> str:
    """Return a figure as an ``<svg>`` element for an HTML page; figures alike give the same string.

    Text stays text. `name` starts every id, so that several figures may share a page.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": "scorefold", "svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_figure(stream, metadata=metadata, format="svg")
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    for reference in ('id="', "url(#", 'href="#'):
        text = text.replace(reference, f"{reference}{name}-")
    return text


def empty_figure(horizontal: str, vertical: str) -> "tuple[Figure, Axes]":
    """Return an empty figure on a transparent ground, with labelled axes and no box."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_FIGURE_SIZE, dpi=_INCH, layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(hexadecimal(FAINT_INK))
    axes.tick_params(which="both", color=hexadecimal(FAINT_INK), labelcolor=hexadecimal(FAINT_INK))
    axes.set_xlabel(horizontal, color=hexadecimal(INK))
    axes.set_ylabel(vertical, color=hexadecimal(INK))
    return figure, axes
