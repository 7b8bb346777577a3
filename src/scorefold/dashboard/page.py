"""The page of the Dask dashboard that shows what runs of scorefold are doing."""

# mypy: allow-untyped-calls

import html
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, DataRange1d, LinearColorMapper, NumeralTickFormatter, Range1d
from bokeh.models.annotations import ColorBar
from bokeh.models.widgets.markups import Div
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from scorefold.dashboard.runs import Runs, RunView
from scorefold.dashboard.tables import BLUE, GREY, Columns, Table, bar, number, put
from scorefold.events import WORKING
from scorefold.planning.node import STAGE_TITLES

if TYPE_CHECKING:
    from bokeh.document import Document
    from distributed import Scheduler

PAGE = "scorefold"
TITLE = "Scorefold"
UPDATE_MILLISECONDS = 1000
BINS = 40
PREVIEW_PIXELS = 380
TEMPLATE = "simple.html"

RED = "#b2182b"
VERDICT_COLOURS = {"OK": "#2ca25f", "NG": RED, "NOT_FOUND": "#7570b3", "ERROR": "#666666"}


def add_page(runs: Runs, scheduler: "Scheduler") -> None:
    """Add the page to the dashboard of a scheduler, and to its navigation bar.

    Parameters
    ----------
    runs : Runs
        What is shown.
    scheduler : distributed.Scheduler
        The scheduler; nothing happens if it has no dashboard.
    """
    from bokeh.server.tornado import BokehTornado  # noqa: PLC0415 - a scheduler may have no dashboard
    from distributed.dashboard.core import BokehApplication  # noqa: PLC0415
    from distributed.dashboard.scheduler import template_variables  # noqa: PLC0415
    from tornado.ioloop import IOLoop  # noqa: PLC0415

    pages = [app for app in scheduler.http_application.applications if isinstance(app, BokehTornado)]
    if not pages:
        return
    variables = template_variables(scheduler)
    if PAGE not in variables["pages"]:
        variables["pages"].insert(1, PAGE)
    application = BokehApplication(
        {f"/{PAGE}": partial(_document, runs)},
        scheduler,
        prefix=pages[0].prefix,
        template_variables=variables,
    )
    scheduler.http_application.add_application(application)
    application.initialize(IOLoop.current())
    application.start()


def _document(runs: Runs, scheduler: "Scheduler", extra: dict[str, Any], doc: "Document") -> None:  # noqa: ARG001
    from distributed.dashboard.components.scheduler import BOKEH_THEME, env  # noqa: PLC0415

    page = Page(runs)
    page.update()
    doc.title = TITLE
    doc.add_root(page.root)
    doc.template = env.get_template(TEMPLATE)
    doc.template_variables.update(extra)
    doc.theme = BOKEH_THEME
    doc.add_periodic_callback(page.update, UPDATE_MILLISECONDS)


class Page:
    """One browser's view of the runs: all of them in a table, and the one that is picked below.

    Parameters
    ----------
    runs : Runs
        What is shown.

    Attributes
    ----------
    root : bokeh model
        The whole page.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._shown: tuple[int, str, str] | None = None
        self._run = self._target = ""
        self.runs = Table(_RUN_COLUMNS, height=150, on_pick=self._pick_run)
        self.targets = Table(_TARGET_COLUMNS, height=PREVIEW_PIXELS + 30, on_pick=self._pick_target)
        self.worst = Table(_WORST_COLUMNS, height=220)
        self.failures = Table(_FAILURE_COLUMNS, height=130)
        self.stages = ColumnDataSource({"stage": [], "part": [], "text": []})
        self.preview = ColumnDataSource({"image": [], "dw": [], "dh": []})
        self.bins = ColumnDataSource({"left": [], "right": [], "count": []})
        self.verdicts = ColumnDataSource({"verdict": [], "count": [], "text": [], "colour": []})
        self.heading = Div(sizing_mode="stretch_width")
        self._colours = LinearColorMapper(palette=list(Viridis256), low=0, high=1, nan_color="#f4f4f4")
        self._stage_plot = self._stages_drawn()
        self._preview_plot = self._preview_drawn()
        self._histogram = _plot("", height=230, y_range=DataRange1d(start=0))
        self._histogram.quad(
            left="left",
            right="right",
            bottom=0,
            top="count",
            color=BLUE,
            source=self.bins,
            line_color="white",
        )
        self._of_run = row(self._stage_plot, self._histogram, sizing_mode="stretch_width")
        self._of_match = row(self.targets.model, self._preview_plot, sizing_mode="stretch_width")
        self._of_images = row(self._verdicts_drawn(), self.worst.model, sizing_mode="stretch_width")
        failed = Div(text="<b>Failed</b>")
        self._of_failures = column(failed, self.failures.model, sizing_mode="stretch_width")
        self.root = column(
            self.runs.model,
            self.heading,
            self._of_run,
            self._of_match,
            self._of_images,
            self._of_failures,
            sizing_mode="stretch_width",
        )

    def _stages_drawn(self) -> Any:
        plot = _plot("Work by stage", height=230, y_range=[], x_range=(0, 1))
        plot.hbar(y="stage", right=1, height=0.7, color=GREY, source=self.stages)
        plot.hbar(y="stage", right="part", height=0.7, color=BLUE, source=self.stages)
        style = {"text_baseline": "middle", "text_font_size": "11px"}
        plot.text(x=0.01, y="stage", text="text", source=self.stages, **style)
        plot.xaxis.formatter = NumeralTickFormatter(format="0%")
        return plot

    def _preview_drawn(self) -> Any:
        plot: Any = figure(
            title="",
            toolbar_location=None,
            tools="",
            css_classes=["preview"],
            width_policy="min",
            height_policy="min",
            frame_width=PREVIEW_PIXELS,
            frame_height=PREVIEW_PIXELS,
            x_range=Range1d(start=0, end=1),
            y_range=Range1d(start=1, end=0),
        )
        plot.image(image="image", x=0, y=0, dw="dw", dh="dh", source=self.preview, color_mapper=self._colours)
        plot.axis.visible = plot.grid.visible = False
        plot.add_layout(ColorBar(color_mapper=self._colours, width=10, background_fill_alpha=0), "right")
        return plot

    def _verdicts_drawn(self) -> Any:
        counts = DataRange1d(start=0, range_padding=0.2)
        plot = _plot("Images by verdict", height=220, y_range=list(VERDICT_COLOURS)[::-1], x_range=counts)
        plot.hbar(y="verdict", right="count", color="colour", height=0.7, source=self.verdicts)
        style = {"text_baseline": "middle", "text_font_size": "11px", "x_offset": 4}
        plot.text(x="count", y="verdict", text="text", source=self.verdicts, **style)
        return plot

    def update(self) -> None:
        """Show what is known by now."""
        views = self._runs.views()
        now = self._runs.clock()
        view = self._runs.get(self._run) or next(iter(views), None)
        self.runs.show(_run_rows(views, now), "" if view is None else view.location)
        if view is None:
            self.heading.text = "<p>No run has told of itself yet. Start one, and it appears here.</p>"
            for part in (self._of_run, self._of_match, self._of_images, self._of_failures):
                part.visible = False
            return
        self.heading.text = _heading(view, now)
        shown = (self._runs.version, view.location, self._target)
        if shown != self._shown:
            self._shown = shown
            self._show(view)

    def _show(self, view: RunView) -> None:
        self._of_run.visible = True
        self._of_match.visible = view.driver.kind == "match"
        self._of_images.visible = view.driver.kind == "inspect"
        self._of_failures.visible = bool(view.failures)
        self._show_stages(view)
        best = max(view.targets, key=lambda name: view.targets[name].best, default="")
        target = self._target if self._target in view.targets else best
        self.targets.show(_target_rows(view), target)
        self._show_scores(view, target)
        put(self.verdicts, _verdict_rows(view))
        names, scores = [name for name, _ in view.worst], [score for _, score in view.worst]
        self.worst.show({"image": names, "score": scores})
        self.failures.show({"input": list(view.failures), "reason": list(view.failures.values())})

    def _show_stages(self, view: RunView) -> None:
        """Show the stages; those that are called the same, as merges are, together."""
        done: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for stage, count in view.driver.total.items():
            if count:
                total[STAGE_TITLES.get(stage, stage)] += count
                done[STAGE_TITLES.get(stage, stage)] += view.driver.done.get(stage, 0)
        names = list(total)
        if self._stage_plot.y_range.factors != names[::-1]:
            self._stage_plot.y_range.factors = names[::-1]
        parts = [min(1.0, done[name] / total[name]) for name in names]
        texts = [f"{done[name]:,} of {total[name]:,}" for name in names]
        put(self.stages, {"stage": names, "part": parts, "text": texts})

    def _show_scores(self, view: RunView, name: str) -> None:
        """Show the preview of a target, and the histogram of what is shown; without a target that of images."""
        target = view.targets.get(name)
        if target is None:
            put(self.preview, {"image": [], "dw": [], "dh": []})
            values = np.array(view.scores)
            self._histogram.title.text = f"Scores of the {len(values):,} images heard of last"
        else:
            height, width = target.cells.shape
            put(self.preview, {"image": [target.cells.copy()], "dw": [width], "dh": [height]})
            plot = self._preview_plot
            plot.x_range.end, plot.y_range.start = width, height
            scale = PREVIEW_PIXELS / max(height, width)
            plot.frame_width, plot.frame_height = round(width * scale), round(height * scale)
            plot.title.text = f"Best scores so far: {name}"
            values = target.cells[np.isfinite(target.cells)].astype(np.float64)
            self._histogram.title.text = f"Best scores of the cells below: {name}"
            if values.size:
                self._colours.low, self._colours.high = float(values.min()), float(values.max())
        self._preview_plot.visible = target is not None
        self._histogram.visible = bool(values.size)
        counts, edges = np.histogram(values, BINS) if values.size else (np.array([]), np.array([0.0]))
        put(self.bins, {"left": edges[:-1].tolist(), "right": edges[1:].tolist(), "count": counts.tolist()})

    def _pick_run(self, location: str) -> None:
        self._run, self._target = location, ""
        self.update()

    def _pick_target(self, name: str) -> None:
        self._run, self._target = self.runs.marked, name  # who looks at a target is not taken to a new run
        self.update()


_RUN_COLUMNS: Columns = {
    "run": ("run", 300, None),
    "title": ("what", 260, None),
    "state": ("state", 70, None),
    "fraction": ("done", 120, bar),
    "rate": ("rotations/s", 80, partial(number, 1)),
    "left": ("time left", 80, None),
    "best": ("best score", 70, partial(number, 3)),
    "failures": ("failed", 50, partial(number, 0)),
}
_TARGET_COLUMNS: Columns = {
    "target": ("target", 180, None),
    "searched": ("searched", 110, bar),
    "state": ("state", 70, None),
    "best": ("best score", 70, partial(number, 3)),
}
_WORST_COLUMNS: Columns = {
    "image": ("most anomalous images so far", 300, None),
    "score": ("score", 80, partial(number, 3)),
}
_FAILURE_COLUMNS: Columns = {
    "input": ("input", 200, None),
    "reason": ("reason", 600, None),
}


def _run_rows(views: list[RunView], now: float) -> dict[str, list[Any]]:
    return {
        "run": [view.location for view in views],
        "title": [view.driver.title for view in views],
        "state": [view.state(now) for view in views],
        "fraction": [view.fraction for view in views],
        "rate": [
            view.rate(now) if view.rotations and view.state(now) == WORKING else np.nan for view in views
        ],
        "left": [_time_left(view, now) for view in views],
        "best": [view.best for view in views],
        "failures": [len(view.failures) for view in views],
    }


def _target_rows(view: RunView) -> dict[str, list[Any]]:
    names = [name for name, *_ in view.driver.targets]
    return {
        "target": names,
        "searched": [searched for _, searched, _ in view.driver.targets],
        "state": [state for *_, state in view.driver.targets],
        "best": [view.targets[name].best if name in view.targets else np.nan for name in names],
    }


def _verdict_rows(view: RunView) -> dict[str, list[Any]]:
    return {
        "verdict": list(VERDICT_COLOURS),
        "count": [view.verdicts[verdict] for verdict in VERDICT_COLOURS],
        "text": [f"{view.verdicts[verdict]:,}" for verdict in VERDICT_COLOURS],
        "colour": list(VERDICT_COLOURS.values()),
    }


def _heading(view: RunView, now: float) -> str:
    """Return what is said of a run, safe to be shown: locations, names and reasons are somebody else's text."""
    driver = view.driver
    said = [f"<b>{html.escape(driver.title or view.location)}</b>", html.escape(view.location)]
    states = ", ".join(
        f"{count:,} {html.escape(state)}" for state, count in sorted(driver.target_states.items())
    )
    if states:
        said.append(f"targets: {states}")
    if driver.reason:
        said.append(f'<span style="color:{RED}">{html.escape(driver.reason)}</span>')
    left = _time_left(view, now)
    if left:
        said.append(f"about {left} left")
    said.append("<i>a live estimate; the run's store is the truth</i>")
    return " · ".join(said)


def _time_left(view: RunView, now: float) -> str:
    seconds = view.driver.seconds_left
    if seconds is None or view.state(now) != WORKING:
        return ""
    seconds -= now - view.heard
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else ""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _plot(title: str, **options: Any) -> Any:
    return figure(title=title, toolbar_location=None, tools="", sizing_mode="stretch_width", **options)
