"""`scorefold inspect maps`: thresholds, defects and verdicts for the anomaly maps of another tool."""

from functools import partial
from typing import Annotated, Any

import typer

from scorefold.cli.console import say
from scorefold.cli.execution import Workplace, check_output, with_workplace
from scorefold.cli.inspect.options import INSPECT_DEFAULTS, MAPS_OPTIONS, inspect_request
from scorefold.cli.job_file import with_job_file
from scorefold.cli.options import SHOWN, Out, Quiet, Render, with_options
from scorefold.cli.results import show_results
from scorefold.cli.wording import count

EXAMPLES = (
    "Examples:\n\n"
    "scorefold inspect maps maps/ --images images/ --threshold 0.5 -o found\n\n"
    "scorefold inspect maps maps.npz --labels labels.csv --threshold f1 -o found"
)


@with_job_file("inspect maps")
@with_workplace
@with_options(MAPS_OPTIONS, INSPECT_DEFAULTS)
def command(
    maps: Annotated[
        list[str],
        typer.Argument(
            help="Files, directories or globs of maps: npy, npz, TIFF, PNG, Zarr.", metavar="MAPS..."
        ),
    ],
    out: Out,
    options: dict[str, Any],
    place: Workplace,
    render: Render = True,
    quiet: Quiet = False,
) -> int:
    """Measure anomaly maps that another tool wrote; high scores are anomalous.

    Without labels or masks, give a score as --threshold.
    """
    from scorefold.cluster import create_inspection
    from scorefold.planning.prepare_inspect import prepare_inspect

    check_output(out)
    with place:
        images = options.pop("images") or ()
        prepared = prepare_inspect(inspect_request(options, place.workers, maps=maps, images=images))
        if not quiet:
            say(f"{count(prepared.job.image_count, 'map')}, on {count(place.workers, 'worker')}")
        inspection = create_inspection(out, prepared)
        summary = partial(show_results, most=SHOWN, render=render)
        return place.work(inspection, render=render, quiet=quiet, summary=summary)
