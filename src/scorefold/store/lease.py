"""The lease of a run: who drives it at the moment, so that a second driver is told instead of working beside the first.

Two drivers would do no harm, since work is committed under attempts of its own and its bytes are the same. But they
would do everything twice, and might collect or change what the other one needs.
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import psutil

from scorefold.errors import StoreError, in_one_line
from scorefold.store.run_store import RunStore

LEASE = "driver.json"

RENEW_SECONDS = 10.0
"""How often a driver says that it is still there."""

EXPIRED_SECONDS = 60.0
"""After how long a silent driver on another machine counts as gone. One on this machine is looked for."""


@contextlib.contextmanager
def driver_lease(store: RunStore) -> Iterator[None]:
    """Hold the lease of a run; it is renewed by a thread, and given back at the end.

    Parameters
    ----------
    store : RunStore
        The run.

    Raises
    ------
    StoreError
        If another driver holds it.
    """
    check_free(store)
    holder = {**this_process(), "token": uuid.uuid4().hex}
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW_SECONDS):
            # A store that is away for a while is what the tasks complain about.
            with contextlib.suppress(Exception):
                _write(store, holder)

    _write(store, holder)
    thread = threading.Thread(target=renew, name="scorefold-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError):
            if _holder(store).get("token") == holder["token"]:
                store.blobs.delete(LEASE)


def check_free(store: RunStore) -> None:
    """Raise `StoreError` if another driver is at work on a run."""
    held = _holder(store)
    if held and _alive(held):
        raise StoreError(
            f'run "{store.location}": process {held["process"]} on {in_one_line(held["host"], 60)} is at work on it. '
            "Wait until it ends, or stop it."
        )


def _write(store: RunStore, holder: dict[str, Any]) -> None:
    store.blobs.put(LEASE, json.dumps({**holder, "renewed": time.time()}).encode())


def _holder(store: RunStore) -> dict[str, Any]:
    try:
        held: Any = json.loads(store.blobs.get(LEASE) or b"{}")
    except (ValueError, RecursionError):  # damaged: whoever wrote it will write it again
        return {}
    kinds = {"host": str, "process": int, "renewed": float}
    whole = isinstance(held, dict) and all(isinstance(held.get(name), kind) for name, kind in kinds.items())
    return held if whole else {}


def _alive(held: dict[str, Any]) -> bool:
    if held["host"] != platform.node():
        return bool(time.time() - held["renewed"] < EXPIRED_SECONDS)
    if held["process"] == os.getpid():
        return False  # an earlier run of this process
    started = _start_of(held["process"])
    return started is not None and started == held.get("started")


def this_process() -> dict[str, Any]:
    """Return by what a process is known wherever it runs."""
    return {"host": platform.node(), "process": os.getpid(), "started": _start_of(os.getpid())}


def is_running(process: Mapping[str, Any]) -> bool:
    """Tell whether a process that `this_process` described runs on this machine; of others that is not known."""
    number, started = process.get("process"), process.get("started")
    if process.get("host") != platform.node() or not isinstance(number, int) or started is None:
        return False
    return bool(_start_of(number) == started)


def _start_of(process: int) -> float | None:
    """Return when a process of this machine started; None if there is none. Numbers of processes are used again."""
    try:
        return float(psutil.Process(process).create_time())
    except (psutil.Error, ValueError, OverflowError):  # also of a number that no process can have
        return None
