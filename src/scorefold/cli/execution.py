"""Driving a run from the command line: cluster, progress, what is printed at the end, interrupts."""

import os
from pathlib import Path

from scorefold.cli.console import ProgressDisplay, console, error_console, picks_table
from scorefold.cluster import RunContext, drive, executor, failures
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
    """Drive a run to its end, showing progress; print what was found; return the exit code."""
    location = run.store.location
    try:
        with executor(scheduler=scheduler, workers=workers) as (working, dashboard):
            if dashboard and not quiet:
                console.print(f"dashboard  [link={dashboard}]{dashboard}[/link]", soft_wrap=True)
            with ProgressDisplay(quiet=quiet) as progress:
                drive(run, working, render=render, on_progress=progress.update)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; what is done is kept. Go on with: scorefold resume {location}") from None
    failed = failures(run)
    if not quiet:
        picks_table(run, shown)
        _files(location, render=render)
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
