"""Finishes a run on two workers in two network namespaces, between which the network is away for a while.

Called, in a network namespace of its own, with the run, the pieces of work after which the link is cut, and for how
many seconds. Prints as JSON how the driver ended, and how many pieces were committed when the link was cut and when it
was back. What the programs say is kept beside the run.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path

HERE, THERE = "192.0.2.1", "192.0.2.2"
PORT = 18786
TICK = 0.05

started: list[subprocess.Popen[str]] = []


def start(name: str, *command: str) -> subprocess.Popen[str]:
    with Path(sys.argv[1]).with_name(f"{name}.log").open("w") as log:
        started.append(subprocess.Popen(command, stdout=log, stderr=log, text=True))
    return started[-1]


def network(process: object) -> Path:
    return Path(f"/proc/{process}/ns/net").readlink()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def dask(tool: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"distributed.cli.dask_{tool}", "--no-dashboard", *options)


def wait_until(condition) -> None:
    pause = threading.Event()
    while not condition():
        pause.wait(TICK)


def main() -> None:
    run, pieces, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    away = start("away", "unshare", "--net", "sleep", "600")
    wait_until(lambda: network(away.pid) != network("self"))
    there = ("nsenter", "--net", f"--target={away.pid}")
    ip("link", "set", "lo", "up")
    ip("link", "add", "name", "east", "type", "veth", "peer", "name", "west")
    ip("link", "set", "west", "netns", str(away.pid))
    ip("addr", "add", f"{HERE}/24", "dev", "east")
    ip("link", "set", "east", "up")
    for words in (("link", "set", "lo", "up"), ("addr", "add", f"{THERE}/24", "dev", "west")):
        subprocess.run([*there, "ip", *words], check=True)
    subprocess.run([*there, "ip", "link", "set", "west", "up"], check=True)

    address = f"tcp://{HERE}:{PORT}"
    slow = str(Path(__file__).with_name("slow_tasks.py"))
    worker = dask("worker", address, "--nthreads", "1", "--memory-limit", "0", "--preload", slow)
    start("scheduler", *dask("scheduler", "--host", HERE, "--port", str(PORT)))
    start("worker-here", *worker, "--host", HERE)
    start("worker-there", *there, *worker, "--host", THERE)
    driver = start(
        "driver",
        sys.executable,
        "-m",
        "scorefold",
        "resume",
        str(run),
        "--scheduler",
        address,
        "-q",
        "--no-render",
    )

    def committed() -> int:
        return len(list((run / "commits").glob("*.json")))

    wait_until(lambda: committed() >= pieces or driver.poll() is not None)
    at_cut = committed()
    subprocess.run([*there, "ip", "link", "set", "west", "down"], check=True)
    threading.Event().wait(seconds)
    at_return = committed()
    subprocess.run([*there, "ip", "link", "set", "west", "up"], check=True)
    code = driver.wait()
    sys.stdout.write(json.dumps({"code": code, "at cut": at_cut, "at return": at_return}))


if __name__ == "__main__":
    try:
        main()
    finally:
        for process in started:
            process.kill()
