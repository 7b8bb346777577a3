"""`scorefold submit`: hand a job to a cluster, and leave."""

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorefold.cli import status
from scorefold.cli.console import say
from scorefold.cli.execution import SCHEDULER_VARIABLE, Workplace, planning_only, read_cluster_config
from scorefold.cli.job_file import Job, read_job
from scorefold.cli.options import WORKPLACE_OPTIONS, Quiet, with_options
from scorefold.cli.usage import usage_message
from scorefold.errors import InputError, StoreError, cancel_command

if TYPE_CHECKING:
    from scorefold.cluster import PlannedRun, Run

EXAMPLES = (
    "Examples:\n\n"
    "scorefold match images/ -t part.png -o found --write-job job.yaml\n\n"
    "scorefold submit job.yaml --scheduler tls://host:8786"
)

LOOK_SECONDS = 0.2


@with_options(WORKPLACE_OPTIONS, dict.fromkeys(WORKPLACE_OPTIONS), keyword="place")
def command(
    job: Annotated[str, typer.Argument(help="Job file; see --write-job of match.", metavar="JOB")],
    place: dict[str, Any],
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run to its end; exit 1 if it stops before.")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Have a job done without staying: its driver runs on the cluster, or in the background of this machine.

    It returns when the run is planned, or says what is wrong with it; with --cluster, as soon as the driver is a job in
    the queue. Options given here go before those of the job.
    """
    given = read_job(job)
    if any(place[name] is not None for name in ("workers", "scheduler", "scheduler_file", "cluster")):
        given = given.with_values(dict.fromkeys(WORKPLACE_OPTIONS))
    given = given.with_values({name: value for name, value in place.items() if value is not None})
    if "cluster" in given.values:
        elsewhere = _as_batch_job(given)
    elif _has_scheduler(given):
        elsewhere = _on_scheduler(given, quiet=quiet)
    else:
        elsewhere = _in_background(given)
    if not quiet:
        say(f"submitted  {elsewhere}")
        location = shlex.quote(given.location)
        say(
            f"watch it with: scorefold status {location} --watch; stop it with: {cancel_command(given.location)}"
        )
    if not wait:
        return 0
    return status.follow(_begun(given.location), given.location, quiet=quiet)


def _begun(location: str) -> "Run":
    """Return a run as soon as it is planned and somebody has worked on it: a job may queue for hours."""
    from scorefold.cluster import open_run
    from scorefold.store import driver_of, why_stopped

    while True:
        with contextlib.suppress(StoreError):  # not there yet
            run = open_run(location)
            if driver_of(run.store) or run.store.committed() or why_stopped(run.store):
                return run
        time.sleep(LOOK_SECONDS)


def _has_scheduler(job: Job) -> bool:
    """Tell whether the job names a Dask scheduler, or the environment does for want of anything else."""
    if job.values.get("scheduler", "serial") != "serial" or "scheduler_file" in job.values:
        return True
    return not {"workers", "scheduler", "cluster"} & job.values.keys() and bool(
        os.environ.get(SCHEDULER_VARIABLE)
    )


def _on_scheduler(job: Job, *, quiet: bool) -> str:
    from scorefold.cluster import submit_run

    names = {name: job.values[name] for name in WORKPLACE_OPTIONS if name in job.values}
    with Workplace(**names) as place:
        planned_for = job.with_values({**dict.fromkeys(names), "workers": place.workers, "quiet": True})
        planned = submit_run(place.connect(), plan_here, planned_for.arguments())
        if not quiet:
            place.say_dashboard()
    return f"{planned.title}, driven by a task on the cluster"


def plan_here(arguments: Sequence[str]) -> "PlannedRun":
    """Make the run of a command ready, in a process of the cluster that will work on it.

    Parameters
    ----------
    arguments : sequence of str
        What would be typed.

    Raises
    ------
    InputError
        If it cannot be planned.
    """
    from scorefold.cli.application import application

    with planning_only() as planned:
        try:
            application(list(arguments), standalone_mode=False)
        except Exception as error:
            if hasattr(error, "format_message"):
                raise InputError(usage_message(error, arguments)) from None
            raise
    return planned[0]


def _as_batch_job(job: Job) -> str:
    from scorefold.cluster import submit_driver

    config = job.values.get("cluster_config")
    given = config if isinstance(config, dict) else read_cluster_config(config)
    log, kind = _log_of(job), job.values["cluster"]
    command = [sys.executable, "-m", "scorefold", *job.arguments()]
    number = submit_driver(kind, given, command, log.absolute())
    return f"{job.command}, driven by job {number} of {kind}; it tells in {log}"


def _log_of(job: Job) -> Path:
    """Return where a driver elsewhere writes what it says, beside its run, and make sure that it can."""
    whole = job.location.rstrip("/")
    log = Path(f"{whole.rsplit('/', 1)[-1] if '://' in whole else whole}.log")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
    except OSError as error:
        raise InputError(f'log "{log}": cannot be written ({error.strerror or error}).') from None
    return log


def _in_background(job: Job) -> str:
    """Start the command as a process that outlives this one, and wait until it is at work."""
    from scorefold.cluster import open_run
    from scorefold.store import driver_of

    log = _log_of(job)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "scorefold", *job.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    title = ""
    while process.poll() is None and not title:
        time.sleep(LOOK_SECONDS)
        try:
            run = open_run(job.location)
        except StoreError:  # not there yet
            continue
        driver = driver_of(run.store)
        title = run.title if driver is not None and driver.process == process.pid else ""
    if process.returncode:
        told = log.read_text(errors="replace").strip().rsplit("\n", 1)[-1].removeprefix("scorefold: ")
        raise StoreError(told or f'it ended with exit code {process.returncode}; see "{log}".')
    return f"{title or open_run(job.location).title}, driven by process {process.pid} here; it tells in {log}"
