"""`scorefold gc`: remove what a finished run no longer needs."""

from scorefold.cli.console import console
from scorefold.cli.options import Run
from scorefold.cluster import RunContext, needed_keys
from scorefold.store import collect_garbage


def command(run: Run) -> int:
    """Remove partials that are part of a finished result, and leftovers of interrupted work."""
    opened = RunContext(str(run))
    removed = collect_garbage(opened.store, needed_keys(opened))
    console.print(f"removed {removed.records} partials, {removed.bytes / 2**20:.1f} MiB")
    return 0
