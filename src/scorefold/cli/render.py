"""`scorefold render`: other picks and new pictures of a finished search, without computing scores again."""

from dataclasses import replace
from functools import partial
from typing import Any

from scorefold.cli.execution import Workplace
from scorefold.cli.options import (
    SHOWN,
    Boundary,
    FalsePositives,
    MinDistance,
    Quiet,
    Run,
    Scheduler,
    Subpixel,
    Threshold,
    Top,
    Workers,
    parse_threshold,
)
from scorefold.cli.results import show_results

EXAMPLES = "Example: scorefold render found --threshold 0.8 --top 10"


def command(
    run: Run,
    threshold: Threshold = None,
    false_positives: FalsePositives = None,
    min_distance: MinDistance = None,
    boundary: Boundary = None,
    top: Top = None,
    subpixel: Subpixel = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
) -> int:
    """Call the picks again with other options and draw everything anew; options not given stay as they were."""
    from scorefold.cluster import change_picks, open_match

    opened = open_match(run)
    given: dict[str, Any] = {
        "threshold": None if threshold is None else parse_threshold(threshold),
        "false_positives": false_positives,
        "min_distance": min_distance,
        "boundary": boundary,
        "top": top,
        "subpixel": subpixel,
    }
    picks = replace(opened.job.picks, **{name: value for name, value in given.items() if value is not None})
    with Workplace(workers, scheduler) as place:
        changed = change_picks(opened, picks)
        summary = partial(show_results, most=SHOWN, render=True)
        return place.work(changed, render=True, quiet=quiet, summary=summary)
