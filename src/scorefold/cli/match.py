"""`scorefold match`: search targets for a template."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scorefold.cli.execution import default_workers, work
from scorefold.cli.options import Quiet, Scheduler, Targets, Workers, request_from, with_match_options
from scorefold.cluster import create_run
from scorefold.planning.prepare import prepare_match


@with_match_options
def command(
    targets: Targets,
    options: dict[str, Any],
    out: Annotated[str, typer.Option("--out", "-o", help="Directory (or URL) for the run; must be new.")],
    workers: Workers = None,
    scheduler: Scheduler = None,
    render: Annotated[
        bool, typer.Option("--render/--no-render", help="Make pictures and the report.")
    ] = True,
    quiet: Quiet = False,
) -> int:
    """Search images or volumes for a template at every rotation and position."""
    processes = default_workers(workers, scheduler)
    prepared = prepare_match(request_from(targets, options, processes or 1))
    run = create_run(str(Path(out)) if "://" not in out else out, prepared)
    return work(run, scheduler=scheduler, workers=processes, render=render, quiet=quiet)
