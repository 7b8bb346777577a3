"""`scorefold render`: other picks and new pictures of a finished search, without computing scores again."""

from dataclasses import replace
from typing import Any

from scorefold.cli.execution import default_workers, work
from scorefold.cli.options import (
    Boundary,
    FalsePositives,
    MinDistance,
    Quiet,
    Run,
    Scheduler,
    Threshold,
    Top,
    Workers,
)
from scorefold.cluster import RunContext, change_picks
from scorefold.errors import InputError


def command(
    run: Run,
    threshold: Threshold = None,
    false_positives: FalsePositives = None,
    min_distance: MinDistance = None,
    boundary: Boundary = None,
    top: Top = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
) -> int:
    """Call the picks again with other options and draw everything anew."""
    processes = default_workers(workers, scheduler)
    opened = RunContext(str(run))
    given: dict[str, Any] = {
        "threshold": threshold,
        "false_positives": false_positives,
        "min_distance": min_distance,
        "boundary": boundary,
        "top": top,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if changes.get("threshold", "auto") != "auto":
        try:
            changes["threshold"] = float(changes["threshold"])
        except ValueError:
            raise InputError(f'threshold "{threshold}": give a number or auto.') from None
    changed = change_picks(opened, replace(opened.job.picks, **changes))
    return work(changed, scheduler=scheduler, workers=processes, render=True, quiet=quiet)
