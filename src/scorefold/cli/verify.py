"""`scorefold verify`: read everything back and compare it with the commit records."""

import shlex
from typing import Annotated

import typer

from scorefold.cli.console import say, say_json
from scorefold.cli.interrupts import resume_command
from scorefold.cli.options import Json, Run
from scorefold.cli.wording import count

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
    """Check every committed byte of a run against its record; exit 1 if some are damaged."""
    from scorefold.store import RunStore, verify

    opened = RunStore(run)
    found = verify(opened)
    if discard:
        for key, reason in found.damaged.items():
            opened.discard(key, reason)
    records = count(found.checked + len(found.damaged), "record")
    if as_json:
        say_json({"checked": found.checked, "damaged": found.damaged})
    elif not found.damaged:
        say(f"{records} checked: all agree with their bytes")
    else:
        say(f"{records} checked, {len(found.damaged):,} damaged")
        for key, reason in found.damaged.items():
            say(f"damaged  {key}: {reason}", error=True)
        first = "" if discard else f"scorefold verify --discard {shlex.quote(run)}, then "
        say(f"compute them again with: {first}{resume_command(run)}", error=True)
    return EXIT_DAMAGED if found.damaged else 0
