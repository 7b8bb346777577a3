"""`scorefold status`: how far a run has got, who works on it, and how long it may take."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorefold.cli.console import (
    ProgressDisplay,
    plain_table,
    progress_line,
    say,
    say_failures,
    say_json,
    show,
)
from scorefold.cli.options import Json, Run
from scorefold.errors import resume_command
from scorefold.planning.node import STAGE_TITLES

if TYPE_CHECKING:
    from scorefold.cluster import Progress
    from scorefold.cluster import Run as AnyRun

EXAMPLES = "Examples:\n\nscorefold status found\n\nscorefold status s3://bucket/found --watch"

LOOK_SECONDS = 2.0
"""Between two looks at a run, at least."""

LOOKING = 10
"""So many times what a look takes is waited until the next one: of a large run it is a long list."""

EXIT_STOPPED = 1


def command(
    run: Run,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Follow it to its end; exit 1 if it stops before."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Show how much of a run is committed, and who works on it; from anywhere that sees the run's store."""
    from scorefold.cluster import open_run

    opened = open_run(run)
    if watch:
        return follow(opened, run, as_json=as_json)
    found = survey(opened, run)
    if as_json:
        say_json(found)
    else:
        _show(opened, run, found)
    return 0


def survey(opened: "AnyRun", location: str) -> dict[str, Any]:
    """Return what is known of a run, as programs read it."""
    from scorefold.cluster import run_progress
    from scorefold.store import driver_of, last_stop

    driver, stop = driver_of(opened.store), last_stop(opened.store)
    progress = run_progress(opened, render=True)
    rendered = progress.done == progress.total
    searched = progress if rendered else run_progress(opened, render=False)
    return {
        "run": location,
        "fingerprint": opened.store.fingerprint,
        "finished": rendered or searched.done == searched.total,
        "rendered": rendered,
        "driver": None if driver is None else {"host": driver.host, "process": driver.process},
        "left": None if progress.left is None else asdict(progress.left),
        "stopped": None if stop is None else stop.reason,
        "stages": {s: {"done": progress.done[s], "total": total} for s, total in progress.total.items()},
        "unreadable": opened.unreadable(),
    }


def _show(opened: "AnyRun", location: str, found: Mapping[str, Any]) -> None:
    say(f"{opened.title}:")
    table = plain_table()
    for column in ("stage", "done", "of"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, counts in found["stages"].items():
        if counts["total"]:
            table.add_row(STAGE_TITLES[stage], f"{counts['done']:,}", f"{counts['total']:,}")
    show(table)
    say_failures(found["unreadable"])
    if found["driver"] is not None:
        say(progress_line(_as_progress(found)))
    say(_state(location, found))


def _state(location: str, found: Mapping[str, Any]) -> str:
    """Return where a run stands, and what to do about it."""
    driver = found["driver"]
    if driver is not None:
        return f"process {driver['process']} on {driver['host']} is at work on it"
    if found["rendered"]:
        return "finished"
    if found["finished"]:
        return f"finished without pictures; draw them with: {resume_command(location)}"
    if found["stopped"]:
        how = "" if "scorefold resume" in found["stopped"] else f". Go on with: {resume_command(location)}"
        return f"stopped: {found['stopped']}{how}"
    return f"not finished; go on with: {resume_command(location)}"


def follow(opened: "AnyRun", location: str, *, as_json: bool = False, quiet: bool = False) -> int:
    """Show how a run gets on until nobody works on it any more; return 1 if it stopped before its end."""
    if not (as_json or quiet):
        say(f"{opened.title}:")
    from scorefold.store import EXPIRED_SECONDS

    seen = -EXPIRED_SECONDS
    with ProgressDisplay(quiet=as_json or quiet) as display:
        while True:
            began = time.monotonic()
            found = survey(opened, location)
            if as_json:
                say_json(found, indent=None)
            display.update(_as_progress(found))
            if found["driver"] is not None:
                seen = began
            # A driver whose worker was lost begins again on another one.
            elif found["finished"] or found["stopped"] or began - seen > EXPIRED_SECONDS:
                break
            time.sleep(max(LOOK_SECONDS, LOOKING * (time.monotonic() - began)))
    if not (as_json or quiet):
        say_failures(opened.failures())
    if not (as_json or (quiet and found["finished"])):
        say(_state(location, found), error=not found["finished"])
    return 0 if found["finished"] else EXIT_STOPPED


def _as_progress(found: Mapping[str, Any]) -> "Progress":
    from scorefold.cluster import Progress, TimeLeft

    done, total = (
        {stage: counts[name] for stage, counts in found["stages"].items()} for name in ("done", "total")
    )
    return Progress(done, total, left=TimeLeft.from_json(found["left"]))
