"""`scorefold verify`: read everything back and compare it with the commit records."""

import json

from scorefold.cli.console import console, error_console
from scorefold.cli.options import Json, Run
from scorefold.store import RunStore, verify


def command(run: Run, as_json: Json = False) -> int:
    """Check every committed byte of a run against its record."""
    found = verify(RunStore(str(run)))
    if as_json:
        console.print_json(json.dumps({"checked": found.checked, "damaged": found.damaged}))
    else:
        console.print(f"{found.checked} records agree with their bytes, {len(found.damaged)} are damaged")
        for key, reason in found.damaged.items():
            error_console.print(f"damaged  {key}: {reason}", soft_wrap=True, markup=False)
        if found.damaged:
            error_console.print(f"recompute them with: scorefold resume {run}", soft_wrap=True)
    return 1 if found.damaged else 0
