"""`scorefold match`: search targets for a template."""

from functools import partial
from typing import Annotated, Any

import typer

from scorefold.cli.console import say
from scorefold.cli.execution import Workplace, check_output, with_workplace
from scorefold.cli.job_file import with_job_file
from scorefold.cli.options import (
    RESOURCES,
    SHOWN,
    Out,
    Quiet,
    Render,
    Targets,
    request_from,
    with_match_options,
)
from scorefold.cli.results import show_results
from scorefold.cli.wording import count, duration_text

EXAMPLES = (
    "Examples:\n\n"
    "scorefold match images/*.png -t part.png --mask disk --step 3 -o found\n\n"
    "scorefold match tomograms/ -t ribosome.mrc --mask sphere --step 10 -o found-3d"
)


@with_job_file("match")
@with_workplace
@with_match_options
def command(
    targets: Targets,
    options: dict[str, Any],
    place: Workplace,
    out: Out,
    render: Render = True,
    keep_states: Annotated[
        bool,
        typer.Option("--keep-states", help="Keep partials when they are merged.", rich_help_panel=RESOURCES),
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Search images or volumes for a template at every rotation and position."""
    from scorefold.cluster import create_run
    from scorefold.planning.prepare import prepare_match

    check_output(out)
    with place:
        prepared = prepare_match(request_from(targets, options, place.workers))
        if not quiet:
            cost = prepared.estimate
            say(
                f"{count(cost.targets, 'target')}, {count(cost.rotations, 'rotation')}, score "
                f"{prepared.job.search.description}: {duration_text(cost.seconds)} on {count(cost.workers, 'worker')}"
            )
        run = create_run(out, prepared, keep_states=keep_states)
        summary = partial(show_results, most=SHOWN, render=render)
        return place.work(run, render=render, quiet=quiet, summary=summary)
