"""`scorefold status`: how far a run has got."""

import json

from rich.table import Table

from scorefold.cli.console import STAGE_TITLES, console
from scorefold.cli.options import Json, Run
from scorefold.cluster import RunContext, run_progress, unreadable_targets


def command(run: Run, as_json: Json = False) -> int:
    """Show how much of a run is committed."""
    opened = RunContext(str(run))
    progress = run_progress(opened, render=True)
    finished = all(progress.done[stage] >= total for stage, total in progress.total.items())
    if as_json:
        value = {
            "run": str(run),
            "fingerprint": opened.store.fingerprint,
            "finished": finished,
            "stages": {s: {"done": progress.done[s], "total": total} for s, total in progress.total.items()},
            "unreadable": unreadable_targets(opened),
        }
        console.print_json(json.dumps(value))
        return 0
    table = Table(
        title=f"{opened.job.labels['template']} in {len(opened.job.targets)} targets", title_justify="left"
    )
    for column in ("stage", "done", "of"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, total in progress.total.items():
        table.add_row(STAGE_TITLES[stage], str(progress.done[stage]), str(total))
    console.print(table)
    console.print(
        "finished" if finished else f"not finished; go on with: scorefold resume {run}", soft_wrap=True
    )
    return 0
