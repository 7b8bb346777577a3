"""Handing a whole run to a cluster: its driver is a task there, and goes on when whoever submitted it has left."""

# mypy: allow-untyped-calls

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scorefold.cluster.driver import drive
from scorefold.cluster.executor import Executor
from scorefold.cluster.kinds import open_run
from scorefold.cluster.tasks import with_errors_that_travel
from scorefold.errors import InputError
from scorefold.store import EXPIRED_SECONDS, RunStore, driver_of

FIRST = 1_000
"""Priority of drivers: one that waits for the work of others would keep its own workers waiting."""

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class PlannedRun:
    """A run that is ready to be worked on.

    Attributes
    ----------
    location : str
        Absolute directory, or URL.
    title : str
        What it is about.
    render : bool
        Whether pictures and the report are to be made.
    """

    location: str
    title: str
    render: bool


def submit_run(
    executor: Executor, plan: Callable[[Sequence[str]], PlannedRun], arguments: Sequence[str]
) -> PlannedRun:
    """Have a cluster plan and drive a run, and return as soon as it is planned.

    A worker that dies while it plans leaves a run behind that is not whole: the plan is refused when it is made again.

    Parameters
    ----------
    executor : Executor
        Of the cluster.
    plan : callable
        Makes a run from arguments; importable there.
    arguments : sequence of str
        Its arguments.

    Raises
    ------
    ScorefoldError
        If it cannot be planned, or there is no cluster.
    """
    from distributed import fire_and_forget  # noqa: PLC0415 - serial runs do without Dask

    from scorefold.cluster.graph import DaskExecutor  # noqa: PLC0415

    if not isinstance(executor, DaskExecutor):
        raise InputError("there is no cluster to submit to. Give a scheduler.")
    client = executor.client
    token = uuid.uuid4().hex
    planned = client.submit(
        with_errors_that_travel, plan, list(arguments), key=f"plan-{token}", pure=False, priority=FIRST
    )
    run: PlannedRun = planned.result()
    # It does not depend on the task before, which would be done again if the worker that has its result is lost.
    fire_and_forget(client.submit(drive_here, run, key=f"drive-{token}", pure=False, priority=FIRST))
    return run


def drive_here(planned: PlannedRun) -> None:
    """Drive a run from within a task of the cluster that works on it.

    Whatever ends it is told by the run's store. If the worker dies, the scheduler gives this task to another one, which
    goes on from what is committed.
    """
    from distributed import worker_client  # noqa: PLC0415

    from scorefold.cluster.graph import DaskExecutor  # noqa: PLC0415

    run = open_run(planned.location)
    _wait_for_lease(run.store)
    # Steps aside, so that this process works on the run like the others.
    with worker_client() as client:
        with_errors_that_travel(drive, run, DaskExecutor(client), render=planned.render)


def _wait_for_lease(store: RunStore) -> None:
    """Wait until an earlier driver, whose worker was lost, counts as gone."""
    deadline = time.monotonic() + 2 * EXPIRED_SECONDS
    while driver_of(store) is not None and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
