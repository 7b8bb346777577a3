"""The terminal: progress while a run works, plain lines where there is no terminal, tables, failures."""

import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from scorefold.cli.wording import count, duration_text, one_line
from scorefold.credentials import without_credentials
from scorefold.planning.node import STAGE_TITLES

if TYPE_CHECKING:
    from scorefold.cluster import Progress

PLAIN_SECONDS = 10.0
"""How often a line is printed where progress bars cannot be drawn."""

MOST_FAILURES = 20
"""Failed targets that are listed; the table of images has all of them."""


def say(text: str, *, error: bool = False) -> None:
    """Print one line as it is: no markup, no wrapping, control characters escaped."""
    Console(stderr=error, highlight=False).print(Text(one_line(without_credentials(text))), soft_wrap=True)


def say_json(value: object, *, indent: int | None = 2) -> None:
    """Print a report for programs, on several lines or on one."""
    Console(highlight=False).out(json.dumps(value, indent=indent), highlight=False)


def show(table: Table) -> None:
    """Print a table."""
    Console(highlight=False).print(table)


def plain_table() -> Table:
    """Return an empty table that looks the same in a terminal, a log file and an e-mail."""
    return Table(box=None, pad_edge=False)


def say_failures(failed: Mapping[str, str]) -> None:
    """List targets that cannot be searched on standard error."""
    for name, reason in list(failed.items())[:MOST_FAILURES]:
        say(f"failed  {name}: {reason}", error=True)
    if len(failed) > MOST_FAILURES:
        say(f"… and {len(failed) - MOST_FAILURES:,} more failed", error=True)


class ProgressDisplay:
    """One live bar per stage on a terminal; elsewhere a line every few seconds, none for short jobs.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    clock : callable
        Returns seconds.
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        console = Console(highlight=False)
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
        self._clock = clock
        self._printed = clock()

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bars.stop()

    def update(self, progress: "Progress") -> None:
        """Show where a run stands."""
        if self._live:
            self._draw(progress)
        elif not self._quiet and self._clock() - self._printed >= PLAIN_SECONDS:
            self._printed = self._clock()
            say(progress_line(progress))

    def _draw(self, progress: "Progress") -> None:
        for stage, total in progress.total.items():
            if not total:
                continue
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(STAGE_TITLES[stage], total=total)
            self._bars.update(self._tasks[stage], completed=min(progress.done[stage], total))


def progress_line(progress: "Progress") -> str:
    """Return the stages that are under way, in one line."""
    under_way = [
        f"{STAGE_TITLES[stage]} {progress.done[stage]:,} of {total:,}"
        for stage, total in progress.total.items()
        if 0 < progress.done[stage] < total
    ]
    done, total = sum(progress.done.values()), sum(progress.total.values())
    text = ", ".join(under_way) if under_way else f"{count(done, 'task')} of {total:,} done"
    left = progress.left
    return text if left is None else f"{text}; {STAGE_TITLES[left.stage]} {duration_text(left.seconds)} more"
