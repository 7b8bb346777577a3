"""`scorefold inspect train`: learn what good images look like, and how much they vary."""

from functools import partial
from typing import Annotated, Any

import typer

from scorefold.cli.console import say
from scorefold.cli.execution import Workplace, check_output, with_workplace
from scorefold.cli.inspect.options import TRAIN_OPTIONS, train_request
from scorefold.cli.job_file import with_job_file
from scorefold.cli.options import (
    SHOWN,
    TEXT_DEFAULTS,
    Out,
    Quiet,
    Render,
    defaults_of,
    with_options,
)
from scorefold.cli.results import show_results
from scorefold.cli.wording import count
from scorefold.planning.inspect_request import TrainRequest

EXAMPLES = (
    "Examples:\n\n"
    "scorefold inspect train good/ -o model\n\n"
    "scorefold inspect train good/ -t part.png --mask disk --gain-offset -o model\n\n"
    "scorefold inspect train more/ --add model -o larger-model"
)

DEFAULTS = defaults_of(TrainRequest) | TEXT_DEFAULTS | {"add": None}


@with_job_file("inspect train")
@with_workplace
@with_options(TRAIN_OPTIONS, DEFAULTS)
def command(
    out: Out,
    options: dict[str, Any],
    place: Workplace,
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Good images: files, directories or globs.", metavar="GOOD", show_default=False),
    ] = None,
    render: Render = True,
    quiet: Quiet = False,
) -> int:
    """Learn a model from good images; every one is then scored by the model of the others."""
    from scorefold.api.model import open_model
    from scorefold.cluster import create_training
    from scorefold.planning.prepare_inspect import prepare_train

    check_output(out)
    with place:
        added = [open_model(location) for location in options["add"] or ()]
        prepared = prepare_train(train_request(images or (), added, options, place.workers))
        if not quiet:
            also = f" beside {count(len(added), 'model')}" if added else ""
            say(
                f"{count(prepared.job.image_count, 'good image')}{also}, method {prepared.job.recipe.method}, "
                f"on {count(place.workers, 'worker')}"
            )
        training = create_training(out, prepared)
        summary = partial(show_results, most=SHOWN, render=render)
        return place.work(training, render=render, quiet=quiet, summary=summary)
