"""What the terminal shows: progress per stage, tables of picks, plain lines where there is no terminal."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.table import Table

from scorefold.cluster import Progress, RunContext
from scorefold.cluster.render_tasks import drawn_picks

console = Console(highlight=False)
error_console = Console(stderr=True, highlight=False)

STAGE_TITLES = {
    "score_leaf": "score",
    "merge": "merge",
    "write_result": "write maps",
    "call_picks": "call picks",
    "render": "render",
    "report": "report",
}

PLAIN_SECONDS = 10.0
"""How often a line is printed where progress bars cannot be drawn."""


class ProgressDisplay:
    """One live bar per stage on a terminal; else a line at every change of stage and every few seconds.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = console.is_terminal and not quiet
        self._bars = Bars(
            TextColumn("{task.description:>10}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._printed = 0.0
        self._finished: set[str] = set()

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bars.stop()

    def update(self, progress: Progress) -> None:
        """Show where a run stands."""
        if self._quiet:
            return
        if self._live:
            self._draw(progress)
        else:
            self._print(progress)

    def _draw(self, progress: Progress) -> None:
        for stage, total in progress.total.items():
            if not total:
                continue
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(STAGE_TITLES[stage], total=total)
            self._bars.update(self._tasks[stage], completed=min(progress.done[stage], total))

    def _print(self, progress: Progress) -> None:
        finished = {s for s, total in progress.total.items() if total and progress.done[s] >= total}
        now = time.monotonic()
        if finished == self._finished and now - self._printed < PLAIN_SECONDS:
            return
        self._finished, self._printed = finished, now
        parts = [
            f"{STAGE_TITLES[s]} {progress.done[s]}/{total}" for s, total in progress.total.items() if total
        ]
        console.print("  ".join(parts), soft_wrap=True)


def picks_table(run: RunContext, most: int) -> None:
    """Print the best picks of a run, and how many there are."""
    found = [(index, pick) for index in range(len(run.job.targets)) for pick in drawn_picks(run, index)]
    found.sort(key=lambda item: (-item[1].score, item[0], item[1].rank))
    if not found:
        console.print("no picks: no score reached the threshold")
        best = [_best_score(run, index) for index in range(len(run.job.targets))]
        lines = [
            f"{name}: best score {score:.4g}, threshold {threshold:.4g}"
            for name, score, threshold in best
            if score is not None
        ]
        for line in lines[:most]:
            console.print(line, markup=False)
        if lines:
            console.print(
                f"lower it without a new search: scorefold render {run.store.location} --threshold VALUE",
                soft_wrap=True,
            )
        return
    dimensions = len(run.job.template_shape)
    table = Table(title=f"{len(found)} picks in {len(run.job.targets)} targets", title_justify="left")
    angles = ["angle"] if dimensions == 2 else ["rot", "tilt", "psi"]
    table.add_column("target", overflow="fold")
    for column in ("rank", "score", *("z", "y", "x")[-dimensions:], *angles):
        table.add_column(column, justify="right", no_wrap=True)
    for _, pick in found[:most]:
        numbers = [
            f"{pick.score:.3f}",
            *(f"{c:.1f}" for c in pick.position),
            *(f"{a:.1f}" for a in pick.angles),
        ]
        table.add_row(pick.target, str(pick.rank), *numbers)
    console.print(table)
    if len(found) > most:
        console.print(f"… and {len(found) - most} more in the tables")


def _best_score(run: RunContext, index: int) -> tuple[str, float | None, float]:
    record = run.store.read_commit(run.plan.pick_node(index, run.job.picks.digest).key)
    name = run.job.targets[index].name
    if record is None or "failure" in record.summary:
        return name, None, 0.0
    return name, record.summary["best"], record.summary["threshold"]
