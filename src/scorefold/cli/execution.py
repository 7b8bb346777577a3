"""Driving a run from the command line: cluster, progress, what is printed at the end, interrupts."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from scorefold.cli.console import ProgressDisplay, console, error_console, picks_table
from scorefold.cluster import Executor, RunContext, drive, executor, failures
from scorefold.errors import InputError

EXIT_SOME_FAILED = 1


class Interrupted(Exception):  # noqa: N818 - not an error
    """The user or the machine asked to stop; the message says how to go on."""


def default_workers(workers: int | None, scheduler: str | None) -> int | None:
    """Return the number of embedded workers: as asked for, else one per core; None with a scheduler.

    Raises
    ------
    InputError
        If both are given, or the number is not positive.
    """
    if scheduler is not None:
        if workers is not None:
            raise InputError("workers and scheduler: give one of them.")
        return None
    if workers is not None and workers < 1:
        raise InputError(f"workers {workers}: give a number of processes, 1 or more.")
    return workers or len(os.sched_getaffinity(0))


def work(
    run: RunContext, *, scheduler: str | None, workers: int | None, render: bool, quiet: bool, shown: int = 20
) -> int:
    """Drive a run to its end on a cluster of its own; see `work_on`."""
    with starting(run), executor(scheduler=scheduler, workers=workers) as (working, dashboard):
        show_dashboard(dashboard, quiet=quiet)
        return work_on(working, run, render=render, quiet=quiet, shown=shown)


@contextlib.contextmanager
def starting(run: RunContext) -> Iterator[None]:
    """Turn an interrupt into a message that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        command = f"scorefold resume {run.store.location}"
        raise Interrupted(f"interrupted; what is done is kept. Go on with: {command}") from None


def show_dashboard(address: str | None, *, quiet: bool) -> None:
    """Print where the Dask dashboard is."""
    if address and not quiet:
        console.print(f"dashboard  [link={address}]{address}[/link]", soft_wrap=True)


def work_on(working: Executor, run: RunContext, *, render: bool, quiet: bool, shown: int = 20) -> int:
    """Drive a run to its end, showing progress; print what was found; return the exit code."""
    with ProgressDisplay(quiet=quiet) as progress:
        drive(run, working, render=render, on_progress=progress.update)
    failed = failures(run)
    if not quiet:
        picks_table(run, shown)
        _files(run.store.location, render=render)
    for name, reason in failed.items():
        error_console.print(f"failed  {name}: {reason}", soft_wrap=True, markup=False, highlight=False)
    return EXIT_SOME_FAILED if failed else 0


def _files(location: str, *, render: bool) -> None:
    if "://" in location:
        console.print(f"run  {location}", soft_wrap=True)
        return
    shown = ["tables/picks.csv", *(["figures", "report.html"] if render else [])]
    for name in shown:
        console.print(f"wrote  {Path(location) / name}", soft_wrap=True, markup=False, highlight=False)
