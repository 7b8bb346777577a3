"""The page of the Dask dashboard that shows what runs of scorefold are doing."""

# mypy: allow-untyped-calls

import html
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, LinearColorMapper, NumeralTickFormatter, Range1d
from bokeh.models.annotations import ColorBar
from bokeh.models.widgets.markups import Div
from bokeh.models.widgets.tables import DataTable, HTMLTemplateFormatter, NumberFormatter, TableColumn
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from scorefold.dashboard.runs import Runs, RunView
from scorefold.events import PREVIEW_CELLS, WORKING
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

BLUE, GREY, RED = "#3182bd", "#e0e0e0", "#b2182b"
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
    from distributed.dashboard.core import BokehApplication  # noqa: PLC0415 - a scheduler may have none
    from distributed.dashboard.scheduler import template_variables  # noqa: PLC0415
    from tornado.ioloop import IOLoop  # noqa: PLC0415

    if "dashboard" not in scheduler.services and not hasattr(scheduler, "http_application"):
        return
    variables = template_variables(scheduler)
    if PAGE not in variables["pages"]:
        variables["pages"].insert(1, PAGE)
    application = BokehApplication(
        {f"/{PAGE}": partial(_document, runs)}, scheduler, template_variables=variables
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
        self._run = ""
        self._target = ""
        self.list = ColumnDataSource({name: [] for name in _RUN_COLUMNS})
        self.stages = ColumnDataSource({"stage": [], "part": [], "text": []})
        self.targets = ColumnDataSource({"target": [], "searched": [], "state": [], "best": []})
        self.preview = ColumnDataSource({"image": [], "dw": [], "dh": []})
        self.bins = ColumnDataSource({"left": [], "right": [], "count": []})
        self.verdicts = ColumnDataSource({"verdict": [], "count": [], "colour": []})
        self.worst = ColumnDataSource({"image": [], "score": []})
        self.failures = ColumnDataSource({"input": [], "reason": []})
        self.heading = Div(sizing_mode="stretch_width")
        self._colours = LinearColorMapper(palette=list(Viridis256), nan_color="#f4f4f4")
        self.list.selected.on_change("indices", self._pick_run)
        self.targets.selected.on_change("indices", self._pick_target)
        self._build()

    def _build(self) -> None:
        table = _table(self.list, _RUN_COLUMNS, height=120, selectable=True)
        self._stage_plot = _plot("Work by stage", height=230, y_range=[], x_range=(0, 1))
        self._stage_plot.hbar(y="stage", right=1, height=0.7, color=GREY, source=self.stages)
        self._stage_plot.hbar(y="stage", right="part", height=0.7, color=BLUE, source=self.stages)
        self._stage_plot.text(
            x=0.01,
            y="stage",
            text="text",
            source=self.stages,
            text_baseline="middle",
            text_font_size="11px",
        )
        self._stage_plot.xaxis.formatter = NumeralTickFormatter(format="0%")
        self._image_plot = figure(
            title="Best scores so far",
            toolbar_location=None,
            tools="",
            frame_width=PREVIEW_PIXELS,
            frame_height=PREVIEW_PIXELS,
            x_range=Range1d(start=0, end=1),
            y_range=Range1d(start=1, end=0),
        )
        self._image_plot.image(
            image="image", x=0, y=0, dw="dw", dh="dh", source=self.preview, color_mapper=self._colours
        )
        self._image_plot.axis.visible = False
        self._image_plot.grid.visible = False
        self._image_plot.add_layout(ColorBar(color_mapper=self._colours, width=10), "right")
        self._histogram = _plot("Scores", height=230)
        self._histogram.quad(
            left="left",
            right="right",
            bottom=0,
            top="count",
            color=BLUE,
            source=self.bins,
            line_color="white",
        )
        self._verdict_plot = _plot("Images by verdict", height=180, y_range=list(VERDICT_COLOURS)[::-1])
        self._verdict_plot.hbar(y="verdict", right="count", color="colour", height=0.7, source=self.verdicts)
        targets = _table(self.targets, _TARGET_COLUMNS, height=380, selectable=True)
        worst = _table(self.worst, _WORST_COLUMNS, height=200)
        failures = _table(self.failures, _FAILURE_COLUMNS, height=130)
        self._of_match = row(targets, self._image_plot, sizing_mode="stretch_width")
        self._of_images = row(self._verdict_plot, worst, sizing_mode="stretch_width")
        self._of_failures = column(
            Div(text="<b>Failed</b>"), failures, sizing_mode="stretch_width", visible=False
        )
        self.root = column(
            table,
            self.heading,
            row(self._stage_plot, self._histogram, sizing_mode="stretch_width"),
            self._of_match,
            self._of_images,
            self._of_failures,
            sizing_mode="stretch_width",
        )

    def update(self) -> None:
        """Show what is known by now."""
        views = self._runs.views()
        now = self._runs.clock()
        _put(self.list, _run_rows(views, now))
        view = self._runs.get(self._run) or next(iter(views), None)
        if view is None:
            self.heading.text = "<p>No run has told of itself yet. Start one, and it appears here.</p>"
            self._of_match.visible = self._of_images.visible = False
            return
        self.heading.text = _heading(view, now)
        shown = (self._runs.version, view.location, self._target)
        if shown == self._shown:
            return
        self._shown = shown
        self._show(view)

    def _show(self, view: RunView) -> None:
        self._of_match.visible = view.driver.kind == "match"
        self._of_images.visible = view.driver.kind == "inspect"
        stages = [stage for stage, total in view.driver.total.items() if total]
        names = [STAGE_TITLES.get(stage, stage) for stage in stages]
        if self._stage_plot.y_range.factors != names[::-1]:
            self._stage_plot.y_range.factors = names[::-1]
        done, total = view.driver.done, view.driver.total
        _put(
            self.stages,
            {
                "stage": names,
                "part": [min(1.0, done.get(stage, 0) / total[stage]) for stage in stages],
                "text": [f"{done.get(stage, 0):,} of {total[stage]:,}" for stage in stages],
            },
        )
        _put(self.targets, _target_rows(view))
        self._show_preview(view)
        _put(self.verdicts, _verdict_rows(view))
        _put(self.worst, {"image": [name for name, _ in view.worst], "score": [s for _, s in view.worst]})
        _put(self.failures, {"input": list(view.failures), "reason": list(view.failures.values())})
        self._of_failures.visible = bool(view.failures)

    def _show_preview(self, view: RunView) -> None:
        """Show the target that is picked, or the one with the best score, and the histogram of what is shown."""
        best = max(view.targets, key=lambda name: view.targets[name].best, default="")
        name = self._target if self._target in view.targets else best
        target = view.targets.get(name)
        if target is None:
            _put(self.preview, {"image": [], "dw": [], "dh": []})
            values = np.array(view.scores)
            self._histogram.title.text = f"Scores of the {len(values):,} images heard of last"
        else:
            height, width = target.cells.shape
            _put(self.preview, {"image": [target.cells.copy()], "dw": [width], "dh": [height]})
            self._image_plot.x_range.end, self._image_plot.y_range.start = width, height
            scale = PREVIEW_PIXELS / max(height, width)
            self._image_plot.frame_width, self._image_plot.frame_height = (
                round(width * scale),
                round(height * scale),
            )
            self._image_plot.title.text = f"Best scores so far: {name}"
            values = target.cells[np.isfinite(target.cells)]
            self._histogram.title.text = (
                f"Best scores of {name}, a value for each of up to {PREVIEW_CELLS}² cells"
            )
            if values.size:
                self._colours.low, self._colours.high = float(values.min()), float(values.max())
        counts, edges = np.histogram(values, BINS) if values.size else (np.array([]), np.array([0.0]))
        _put(self.bins, {"left": edges[:-1].tolist(), "right": edges[1:].tolist(), "count": counts.tolist()})

    def _pick_run(self, _name: str, _old: list[int], new: list[int]) -> None:
        if new:
            self._run = self.list.data["run"][new[0]]
            self._target = ""
            self.update()

    def _pick_target(self, _name: str, _old: list[int], new: list[int]) -> None:
        if new:
            self._target = self.targets.data["target"][new[0]]
            self.update()


def _bar() -> HTMLTemplateFormatter:
    template = f"""<div style="background:{GREY};height:14px;margin-top:2px"><div style="background:{BLUE};height:14px;
    width:<%= Math.min(100, 100 * value).toFixed(1) %>%"></div></div>"""
    return HTMLTemplateFormatter(template=template)


def _number() -> NumberFormatter:
    return NumberFormatter(format="0.000", text_align="right", nan_format="")


def _count() -> NumberFormatter:
    return NumberFormatter(format="0,0", text_align="right")


Columns = dict[str, tuple[str, int, Callable[[], Any] | None]]
"""Heading, width and what makes the formatter, which belongs to one document, by field."""

_RUN_COLUMNS: Columns = {
    "run": ("run", 300, None),
    "title": ("what", 260, None),
    "state": ("state", 70, None),
    "fraction": ("done", 120, _bar),
    "rate": ("rotations/s", 80, _count),
    "left": ("time left", 80, None),
    "best": ("best score", 70, _number),
    "failures": ("failed", 50, _count),
}
_TARGET_COLUMNS: Columns = {
    "target": ("target", 180, None),
    "searched": ("searched", 110, _bar),
    "state": ("state", 70, None),
    "best": ("best score", 70, _number),
}
_WORST_COLUMNS: Columns = {
    "image": ("most anomalous images so far", 300, None),
    "score": ("score", 80, _number),
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
        "rate": [view.rate(now) if view.state(now) == WORKING else 0.0 for view in views],
        "left": [_time_left(view, now) for view in views],
        "best": [float("nan") if view.best is None else view.best for view in views],
        "failures": [len(view.failures) for view in views],
    }


def _target_rows(view: RunView) -> dict[str, list[Any]]:
    best = [
        view.targets[name].best if name in view.targets else float("nan") for name, *_ in view.driver.targets
    ]
    return {
        "target": [name for name, *_ in view.driver.targets],
        "searched": [searched for _, searched, _ in view.driver.targets],
        "state": [state for *_, state in view.driver.targets],
        "best": best,
    }


def _verdict_rows(view: RunView) -> dict[str, list[Any]]:
    return {
        "verdict": list(VERDICT_COLOURS),
        "count": [view.verdicts[verdict] for verdict in VERDICT_COLOURS],
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
    seconds = max(0.0, seconds - (now - view.heard))
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _plot(title: str, **options: Any) -> Any:
    return figure(title=title, toolbar_location=None, tools="", sizing_mode="stretch_width", **options)


def _table(
    source: ColumnDataSource,
    columns: dict[str, tuple[str, int, Any]],
    *,
    height: int,
    selectable: bool = False,
) -> DataTable:
    shown = [
        TableColumn(field=name, title=title, width=width, **({"formatter": form()} if form else {}))
        for name, (title, width, form) in columns.items()
    ]
    return DataTable(
        source=source,
        columns=shown,
        height=height,
        index_position=None,
        selectable=selectable,
        sortable=False,
        sizing_mode="stretch_width",
    )


def _put(source: ColumnDataSource, data: dict[str, list[Any]]) -> None:
    """Give a source other data, unless they are the same: a browser is sent what changes."""
    if not _same(source.data, data):
        source.data = data


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return all(
        len(old[name]) == len(values)
        and all(a is b or _equal(a, b) for a, b in zip(old[name], values, strict=True))
        for name, values in new.items()
    )


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    return bool(a == b or (a != a and b != b))  # noqa: PLR0124 - NaN equals nothing
