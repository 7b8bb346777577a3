"""`scorefold resume`: go on with a run that stopped."""

from functools import partial

from scorefold.cli.execution import Workplace, with_workplace
from scorefold.cli.job_file import with_job_file
from scorefold.cli.options import SHOWN, Quiet, Render, Run
from scorefold.cli.results import show_results

EXAMPLES = "Example: scorefold resume found --scheduler tcp://host:8786"


@with_job_file("resume")
@with_workplace
def command(
    run: Run,
    place: Workplace,
    render: Render = True,
    quiet: Quiet = False,
) -> int:
    """Go on with a run from what is committed, here or on another cluster; targets that failed are tried again."""
    from scorefold.cluster import open_run

    opened = open_run(run)
    with place:
        opened = opened.retry_failed()
        summary = partial(show_results, most=SHOWN, render=render)
        return place.work(opened, render=render, quiet=quiet, summary=summary)
