"""Starts the programs of a cluster without their seconds of imports: it imports once, and forks.

It reads commands as lines of JSON and answers each with one: ``{"start": [program, argument, ...], "log": path}`` with
a process number, ``{"poll": number}`` with the exit code of that process, negative for a signal, or null while it runs.
"""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module


def scheduler(arguments: list[str]) -> None:
    from distributed.cli.dask_scheduler import main

    main(arguments)


def worker(arguments: list[str]) -> None:
    from distributed.cli.dask_worker import main

    main(arguments)


def scorefold(arguments: list[str]) -> None:
    from scorefold.cli import main

    sys.argv[1:] = arguments
    main()


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "scheduler": scheduler,
    "worker": worker,
    "scorefold": scorefold,
}


def prepare() -> None:
    """Import what the programs need, and have leaves checkpoint so often that they are killed between."""
    for module in (
        "distributed.cli.dask_scheduler",
        "distributed.cli.dask_worker",
        "scorefold.cli.application",
    ):
        import_module(module)
    tasks = import_module("scorefold.cluster.tasks")
    for kind, stages in tasks._TASKS.items():
        for stage in stages:
            tasks.task_of(kind, stage)
    import_module("scorefold.cluster.graph")
    import_module("scorefold.cluster.match.search_tasks").CHECKPOINT_SECONDS = 0.02


def start(program: str, *arguments: str, log: str) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number, descriptor in enumerate((nothing, output, output)):
            os.dup2(descriptor, number)
        PROGRAMS[program](list(arguments))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - a child must never return from here
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def poll(process: int) -> int | None:
    ended, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def main() -> None:
    prepare()
    for line in sys.stdin:
        command = json.loads(line)
        begins = "start" in command
        answer = start(*command["start"], log=command["log"]) if begins else poll(command["poll"])
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
