"""`scorefold gc`: remove what a finished run no longer needs."""

from scorefold.cli.console import say
from scorefold.cli.options import Run
from scorefold.cli.wording import bytes_text, count

EXAMPLES = "Example: scorefold gc found"


def command(run: Run) -> int:
    """Remove partials that are part of a finished result, and leftovers of interrupted work.

    Nothing else may be at work on the run. Results, tables and pictures stay.
    """
    from scorefold.cluster import open_run
    from scorefold.store import collect_garbage

    opened = open_run(run)
    removed = collect_garbage(opened.store, opened.needed())
    if removed.bytes > 0:
        say(f"removed {count(removed.records, 'partial')}, {bytes_text(removed.bytes)}")
    else:
        say("nothing to remove")
    return 0
