"""`scorefold cancel`: have whoever works on a run stop, wherever that is."""

import time

from scorefold.cli.console import say
from scorefold.cli.options import Run
from scorefold.cli.status import survey
from scorefold.errors import StoreError, resume_command

EXAMPLES = "Example: scorefold cancel s3://bucket/found"

LOOK_SECONDS = 0.5
MOST_SECONDS = 90.0
"""How long a driver may take to leave; it looks every few seconds, and then has its workers drop what has not begun."""


def command(run: Run) -> int:
    """Ask the driver of a run to stop, and wait until it has; what is done is kept.

    It reaches drivers on any machine, since it asks through the run's store.
    """
    from scorefold.cluster import open_run
    from scorefold.store import ask_to_stop, driver_of

    opened = open_run(run)
    store = opened.store
    if not ask_to_stop(store):
        say("nobody is at work on it")
        return 0
    deadline = time.monotonic() + MOST_SECONDS
    while (driver := driver_of(store)) is not None:
        if time.monotonic() > deadline:
            raise StoreError(
                f'run "{run}": process {driver.process} on {driver.host} was asked to stop, and has not yet. '
                "It may be busy; look again with scorefold status."
            )
        time.sleep(LOOK_SECONDS)
    if survey(opened, run)["finished"]:
        say("it has finished meanwhile")
    else:
        say(f"cancelled; what is done is kept. Go on with: {resume_command(run)}")
    return 0
