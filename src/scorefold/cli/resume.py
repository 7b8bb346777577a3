"""`scorefold resume`: go on with a run that stopped."""

from typing import Annotated

import typer

from scorefold.cli.execution import default_workers, work
from scorefold.cli.options import Quiet, Run, Scheduler, Workers
from scorefold.cluster import RunContext


def command(
    run: Run,
    workers: Workers = None,
    scheduler: Scheduler = None,
    render: Annotated[
        bool, typer.Option("--render/--no-render", help="Make pictures and the report.")
    ] = True,
    quiet: Quiet = False,
) -> int:
    """Go on with a run from what is committed, here or on another cluster."""
    processes = default_workers(workers, scheduler)
    return work(RunContext(str(run)), scheduler=scheduler, workers=processes, render=render, quiet=quiet)
