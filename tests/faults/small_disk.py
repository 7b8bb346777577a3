"""Uses scorefold on a disk of 40 MB that fills up; runs in a mount namespace of its own, so that nobody else sees it.

Called with a folder, the free bytes that a first command finds, and that command as JSON, in which DISK is the disk.
Prints as JSON how the command ended, how resuming ended while the disk was read-only, and after space was freed, and
the run's files.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

DISK_MEGABYTES = 40


def fill(disk: Path, free: int) -> None:
    """Leave only so many bytes free."""
    status = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        left = status.f_bavail * status.f_frsize - free
        while left > 0:
            left -= file.write(b"\0" * min(left, 2**20))


def run(*command: str) -> dict[str, object]:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return {"code": ended.returncode, "out": ended.stdout, "err": ended.stderr}


def main() -> None:
    disk, free, command = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    size = f"size={DISK_MEGABYTES}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=True)
    place = str(disk / "run")
    resume = (command[0], "resume", place, "--scheduler", "serial", "-q")
    fill(disk, free)
    found = {"full": run(*(place if word == "DISK" else word for word in command))}
    found["partials"] = len(list((disk / "run").glob("commits/*.json")))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    found["read only"] = run(*resume)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    (disk / "filler").unlink()
    found["freed"] = run(*resume)
    found["files"] = {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in ("results", "tables", "figures")
        for path in sorted(Path(place, part).rglob("*"))
        if path.is_file()
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
