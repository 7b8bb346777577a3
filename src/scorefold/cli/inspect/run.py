"""`scorefold inspect run`: compare images with a model."""

from functools import partial
from typing import Annotated, Any

import typer

from scorefold.cli.console import say
from scorefold.cli.execution import Workplace, check_output, with_workplace
from scorefold.cli.inspect.options import INSPECT_DEFAULTS, RUN_OPTIONS, inspect_request
from scorefold.cli.job_file import with_job_file
from scorefold.cli.options import SHOWN, Out, Quiet, Render, with_options
from scorefold.cli.results import show_results
from scorefold.cli.wording import count

EXAMPLES = (
    "Examples:\n\n"
    "scorefold inspect run images/ --model model -o found\n\n"
    "scorefold inspect run 'lots/**/*.png' --model model --threshold fp:0.001 --export masks -o found"
)


@with_job_file("inspect run")
@with_workplace
@with_options(RUN_OPTIONS, INSPECT_DEFAULTS)
def command(
    images: Annotated[
        list[str],
        typer.Argument(help="Files, directories or globs of images to inspect.", metavar="IMAGES..."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="Directory (or URL) that inspect train has made.", metavar="MODEL"
        ),
    ],
    out: Out,
    options: dict[str, Any],
    place: Workplace,
    render: Render = True,
    quiet: Quiet = False,
) -> int:
    """Find what is wrong in images: score maps, defects and a verdict for each."""
    from scorefold.api.model import open_model
    from scorefold.cluster import create_inspection
    from scorefold.planning.prepare_inspect import prepare_inspect

    check_output(out)
    with place:
        learned = open_model(model)
        prepared = prepare_inspect(inspect_request(options, place.workers, images=images, model=learned))
        if not quiet:
            say(
                f"{count(prepared.job.image_count, 'image')}, {learned.recipe.method} model of "
                f"{count(learned.image_count, 'image')}, on {count(place.workers, 'worker')}"
            )
        inspection = create_inspection(out, prepared)
        summary = partial(show_results, most=SHOWN, render=render)
        return place.work(inspection, render=render, quiet=quiet, summary=summary)
