"""`scorefold submit`: hand a job to a cluster, and leave."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from scorefold.cli import status
from scorefold.cli.console import say
from scorefold.cli.execution import (
    EXIT_SOME_FAILED,
    SCHEDULER_VARIABLE,
    Workplace,
    planning_only,
    read_cluster_config,
)
from scorefold.cli.interrupts import Interrupted
from scorefold.cli.job_file import Job, absolute_paths, keep_job, read_job
from scorefold.cli.options import WORKPLACE_OPTIONS, Quiet, with_options
from scorefold.cli.usage import usage_message
from scorefold.errors import InputError, StoreError, cancel_command, resume_command, status_command
from scorefold.object_stores import is_url

if TYPE_CHECKING:
    from scorefold.cluster import PlannedRun, Run
    from scorefold.store import Stop

EXAMPLES = (
    "Examples:\n\n"
    "scorefold match images/ -t part.png -o found --write-job job.yaml\n\n"
    "scorefold submit job.yaml --scheduler tls://host:8786"
)

LOOK_SECONDS = 0.3


@with_options(WORKPLACE_OPTIONS, dict.fromkeys(WORKPLACE_OPTIONS), keyword="place")
def command(
    job: Annotated[str, typer.Argument(help="Job file; see --write-job of match.", metavar="JOB")],
    place: dict[str, Any],
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run to its end; exit 1 if it stops before.")
    ] = False,
    here: Annotated[
        bool, typer.Option("--here", help="Carry the job out as if it had been typed, and stay.")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Have a job done without staying: its driver runs on the cluster, or in the background of this machine.

    It returns when somebody is at work on the run, or says what is wrong with it; with --cluster, as soon as the driver
    is a job in the queue. Options given here go before those of the job.
    """
    given = _with_place(read_job(job), place)
    if here:
        return _carry_out(given.arguments())
    before = _stop_of(given)
    if "cluster" in given.values:
        log = Log.of(given.location)
        told, check = _as_batch_job(given, log), lambda: _check_log(log)
    elif _has_scheduler(given):
        told, check = _on_scheduler(given, quiet=quiet), lambda: None
    else:
        log = Log.of(given.location)
        process = _in_background(given, log)
        told = f"driven by process {process.pid} of this machine; it tells in {log.path}"
        check = lambda: _check_process(process, log)  # noqa: E731
    with _left_to_itself(given.location):
        if wait or "cluster" not in given.values:
            run = _begun(given.location, before, check)
            told = f"{run.title}, {told}"
    if not quiet:
        say(f"submitted  {told}")
        say(
            f"watch it with: {status_command(given.location)}; stop it with: {cancel_command(given.location)}"
        )
    return status.follow(run, given.location, quiet=quiet) if wait else 0


def _with_place(job: Job, place: dict[str, Any]) -> Job:
    """Return a job that is done where the options of submit say; workers are a place, unless they are those of jobs."""
    elsewhere = ("scheduler", "scheduler_file", "cluster", *(() if "cluster" in job.values else ("workers",)))
    if any(place[name] is not None for name in elsewhere):
        job = job.with_values(dict.fromkeys(WORKPLACE_OPTIONS))
    return job.with_values(absolute_paths(job.command, place))


def _has_scheduler(job: Job) -> bool:
    """Tell whether the job names a Dask scheduler, or the environment does for want of anything else."""
    if job.values.get("scheduler", "serial") != "serial" or "scheduler_file" in job.values:
        return True
    given = {"workers", "scheduler"} & job.values.keys()
    return not given and bool(os.environ.get(SCHEDULER_VARIABLE))


def _carry_out(arguments: Sequence[str]) -> int:
    """Carry out a command in this process."""
    from scorefold.cli.application import application

    try:
        code: Any = application(list(arguments), standalone_mode=False)
    except Exception as error:
        if hasattr(error, "format_message"):
            raise InputError(usage_message(error, arguments)) from None
        raise
    return int(code or 0)


# On a Dask cluster.


def _on_scheduler(job: Job, *, quiet: bool) -> str:
    from scorefold.cluster import submit_run

    names = {name: job.values[name] for name in WORKPLACE_OPTIONS if name in job.values}
    with Workplace(**names) as place, _left_to_itself(job.location):
        planned_for = job.with_values({**dict.fromkeys(names), "workers": place.workers, "quiet": True})
        submit_run(place.connect(), plan_here, planned_for.arguments())
        if not quiet:
            place.say_dashboard()
    return "driven by a task on the cluster"


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
    with planning_only() as planned:
        _carry_out(arguments)
    if not planned:
        raise InputError(f"{arguments[0]}: there is nothing to be done.")
    return planned[0]


# As a process, or a job, that carries out a job file.


@dataclass(frozen=True)
class Log:
    """Where a driver elsewhere writes what it says: beside its run, or else here, behind what others have said.

    Attributes
    ----------
    path : Path
        The file.
    start : int
        Where its words begin.
    """

    path: Path
    start: int

    @classmethod
    def of(cls, location: str) -> Self:
        """Return the log of a driver that is about to begin.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        whole = location.rstrip("/")
        path = Path(f"{whole.rsplit('/', 1)[-1] if is_url(whole) else whole}.log")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                return cls(path, file.tell())
        except OSError as error:
            raise InputError(f'log "{path}": cannot be written ({error.strerror or error}).') from None

    def error(self) -> str:
        """Return the error that the driver has ended with, if it has."""
        said = self.path.read_bytes()[self.start :].decode(errors="replace")
        last = said.rstrip("\n").rpartition("\n")[2]
        return last.removeprefix("scorefold: ") if last.startswith("scorefold: ") else ""


def _as_batch_job(job: Job, log: Log) -> str:
    from scorefold.cluster import submit_driver

    config, kind = job.values.get("cluster_config"), job.values["cluster"]
    given = config if isinstance(config, dict) else read_cluster_config(config)
    number, take_back = submit_driver(kind, given, _carrying_out(job, log), log.path.absolute())
    return f'driven by job {number} of {kind} ("{take_back}" while it queues); it tells in {log.path}'


def _in_background(job: Job, log: Log) -> "subprocess.Popen[bytes]":
    with log.path.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - ourselves
            _carrying_out(job, log),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _carrying_out(job: Job, log: Log) -> list[str]:
    """Return a command that does a job: by a file, since command lines are limited, and seen by everybody."""
    kept = log.path.with_suffix(".submitted.yaml").absolute()
    keep_job(job, kept)
    return [sys.executable, "-m", "scorefold", "submit", "--here", str(kept)]


def _check_process(process: "subprocess.Popen[bytes]", log: Log) -> None:
    """Raise what a process said that ended before it began to work."""
    if process.poll() not in (None, 0, EXIT_SOME_FAILED):
        raise StoreError(log.error() or f'it ended with exit code {process.returncode}; see "{log.path}".')


def _check_log(log: Log) -> None:
    """Raise what a job said that ended before it began to work."""
    error = log.error()
    if error:
        raise StoreError(error)


# Until somebody is at work.


def _stop_of(job: Job) -> "Stop | None":
    """Return what stopped the run of a job before it was submitted; a run that the job makes must not be there."""
    from scorefold.cluster import open_run
    from scorefold.store import last_stop

    try:
        run = open_run(job.location)
    except StoreError:
        return None
    if "out" in job.values:
        raise InputError(
            f'output "{job.location}": something is there already. Give a new one, or go on with it: '
            f"{resume_command(job.location)}"
        )
    return last_stop(run.store)


def _begun(location: str, before: "Stop | None", check: Callable[[], None]) -> "Run":
    """Return a run as soon as somebody is at work on it, or has been."""
    from scorefold.cluster import open_run
    from scorefold.store import driver_of, last_stop

    while True:
        with contextlib.suppress(StoreError):  # not there yet
            run = open_run(location)
            ended = last_stop(run.store) not in (None, before)
            if ended or driver_of(run.store) or status.survey(run, location)["finished"]:
                return run
        check()
        time.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def _left_to_itself(location: str) -> Iterator[None]:
    """Say of an interrupt that what was submitted goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; what was submitted goes on. Watch it with: {status_command(location)}; stop it with: "
            f"{cancel_command(location)}"
        ) from None
