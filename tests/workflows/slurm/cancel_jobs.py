"""Runs the workflow, beside a SLURM, and cancels jobs of it when some of its work is committed.

Called with the folder of the run, how many of the running jobs to cancel, and the workflow's command. Prints as JSON
which jobs were cancelled, how much was committed and whether the run was finished then, how the command ended and what
it said.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path

PIECES = 4
"""As soon as so much is committed."""


def main() -> None:
    run, count, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    working = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pause = threading.Event()

    def committed() -> int:
        return len(list((run / "commits").glob("*.json")))

    def running() -> list[str]:
        words = ("squeue", "--noheader", "--states=running", "--format=%i")
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()

    while working.poll() is None and committed() < PIECES:
        pause.wait(0.02)
    cancelled = running()[:count]
    subprocess.run(["scancel", *cancelled], check=True)
    found = {"cancelled": cancelled, "committed": committed(), "finished": (run / "report.html").exists()}
    out, err = working.communicate()
    sys.stdout.write(json.dumps({**found, "code": working.returncode, "out": out, "err": err}))


if __name__ == "__main__":
    main()
