"""`scorefold status`: how far a run has got."""

from scorefold.cli.console import STAGE_TITLES, plain_table, say, say_failures, say_json, show
from scorefold.cli.options import Json, Run
from scorefold.errors import resume_command

EXAMPLES = "Example: watch scorefold status found"


def command(run: Run, as_json: Json = False) -> int:
    """Show how much of a run is committed; safe while it is being worked on."""
    from scorefold.cluster import open_run, run_progress

    opened = open_run(run)
    progress = run_progress(opened, render=True)
    rendered = progress.done == progress.total
    searched = run_progress(opened, render=False)
    finished = rendered or searched.done == searched.total
    unreadable = opened.unreadable()
    if as_json:
        value = {
            "run": run,
            "fingerprint": opened.store.fingerprint,
            "finished": finished,
            "rendered": rendered,
            "stages": {s: {"done": progress.done[s], "total": total} for s, total in progress.total.items()},
            "unreadable": unreadable,
        }
        say_json(value)
        return 0
    say(f"{opened.title}:")
    table = plain_table()
    for column in ("stage", "done", "of"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, total in progress.total.items():
        if total:
            table.add_row(STAGE_TITLES[stage], f"{progress.done[stage]:,}", f"{total:,}")
    show(table)
    say_failures(unreadable)
    if rendered:
        say("finished")
    elif finished:
        say(f"finished without pictures; draw them with: {resume_command(run)}")
    else:
        say(f"not finished; go on with: {resume_command(run)}")
    return 0
