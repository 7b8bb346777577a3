"""`scorefold verify`: read everything back and compare it with the commit records."""

import shlex
from typing import Annotated

import typer

from scorefold.cli.console import say, say_json
from scorefold.cli.options import Json, Run
from scorefold.cli.wording import count
from scorefold.errors import resume_command

EXAMPLES = "Example: scorefold verify found"

EXIT_DAMAGED = 1


def command(
    run: Run,
    discard: Annotated[
        bool,
        typer.Option("--discard", help="Take damaged records out of service, so that resume works anew."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Check every byte that a run committed or was given against its record; exit 1 if some are damaged."""
    from scorefold.cluster import open_run
    from scorefold.store import verify

    opened = open_run(run)
    found = verify(opened.store)
    lost = opened.damaged_inputs()
    if discard:
        for key, reason in found.damaged.items():
            opened.store.discard(key, reason)
    records = count(found.checked + len(found.damaged), "record")
    if as_json:
        say_json({"checked": found.checked, "damaged": found.damaged, "lost": lost})
    elif not found.damaged:
        say(f"{records} checked: all agree with their bytes")
    else:
        say(f"{records} checked, {len(found.damaged):,} damaged")
        for key, reason in found.damaged.items():
            say(f"damaged  {key}: {reason}", error=True)
        first = "" if discard else f"scorefold verify --discard {shlex.quote(run)}, then "
        say(f"compute them again with: {first}{resume_command(run)}", error=True)
    if not as_json:
        for name, reason in lost.items():
            say(f"lost  {name}: {reason} It was given to the run and cannot be made again.", error=True)
    return EXIT_DAMAGED if found.damaged or lost else 0
