"""Other programs, in an environment of their own, as processes that are asked for one measurement at a time."""

import json
import os
import subprocess
import sys
import venv
from importlib.metadata import requires
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.measuring import THREADS

FOLDER = Path(__file__).parent
VARIABLE = "SCOREFOLD_PEERS"
"""Environment variable: the Python of an environment that has the peers already."""


def peers_python() -> str | None:
    """Return the Python of the environment that has the peers; None if it cannot be made."""
    given = os.environ.get(VARIABLE)
    if given:
        return given
    place = Path.home() / ".cache" / "scorefold" / "peers"
    python = place / "bin" / "python"
    ready = place / "ready"
    wanted = [text.split(";")[0] for text in requires("scorefold") or [] if "bench" in text.partition(";")[2]]
    if not ready.exists() or ready.read_text().split() != wanted:
        venv.create(place, with_pip=True, clear=True)
        made = subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=False)
        if made.returncode:
            print(f"peers: {', '.join(wanted)} cannot be installed; their rows are left out", file=sys.stderr)
            return None
        ready.write_text("\n".join(wanted))
    return str(python)


class Peer:
    """One program of a peer; it prepares once and then measures whenever it is asked.

    Parameters
    ----------
    python : str
        Of the peers' environment.
    script : str
        Name of a file beside this one.
    **options
        What to measure, as JSON.
    """

    def __init__(self, python: str, script: str, **options: Any) -> None:
        self._process = subprocess.Popen(
            [python, str(FOLDER / script), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **THREADS},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self) -> Any:
        """Return one more measurement."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("measure\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"the peer ended with {self._process.wait()}")

    def seconds(self) -> float:
        """Return the seconds of one more measurement."""
        return float(self.ask()["seconds"])
