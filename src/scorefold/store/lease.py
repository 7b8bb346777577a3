"""The lease of a run: who drives it at the moment, whether it is asked to stop, and why the last driver stopped.

A second driver is told instead of working beside the first. Two would do no harm, since work is committed under
attempts of its own and its bytes are the same; but they would do everything twice, and might collect what the other one
needs.
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from scorefold.credentials import without_credentials
from scorefold.errors import StoreError, in_one_line
from scorefold.store.run_store import RunStore

LEASE = "driver.json"
CANCEL = "cancel.json"
STOPPED = "stopped.json"

RENEW_SECONDS = 5.0
"""How often a driver says that it is still there, and looks whether it is asked to stop."""

EXPIRED_SECONDS = 60.0
"""After how long a silent driver on another machine counts as gone. One on this machine is looked for."""


_LONGEST_REASON = 1000

_tokens: set[str] = set()
"""Of the leases that this process holds: a worker may drive several runs, one after the other or at a time."""


@dataclass(frozen=True)
class Driver:
    """Who drives a run, as its lease tells.

    Attributes
    ----------
    host : str
        Name of its machine.
    process : int
        Number of its process there.
    told : dict
        What it tells of its work.
    """

    host: str
    process: int
    told: dict[str, Any]


class Lease:
    """What a driver holds while it is at work on a run.

    Attributes
    ----------
    cancelled : threading.Event
        Set when it is asked to stop.
    lost : threading.Event
        Set when another driver has taken over.
    told : dict
        JSON values that are stored whenever the lease is renewed, for whoever looks.
    """

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.lost = threading.Event()
        self.told: dict[str, Any] = {}


@contextlib.contextmanager
def driver_lease(store: RunStore) -> Iterator[Lease]:
    """Hold the lease of a run; it is renewed by a thread, and given back at the end.

    Why a driver stopped before the end of a run is kept until the next one begins: nobody need be there to see it.

    Parameters
    ----------
    store : RunStore
        The run.

    Yields
    ------
    Lease
        To be looked at and to be told.

    Raises
    ------
    StoreError
        If another driver holds it.
    """
    check_free(store)
    holder = {**this_process(), "token": uuid.uuid4().hex}
    lease, ended = Lease(), threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW_SECONDS):
            # A store that is away for a while is what the tasks complain about.
            with contextlib.suppress(Exception):
                if _holder(store).get("token") not in (None, holder["token"]):
                    lease.lost.set()  # this process was out of reach for so long that it counted as gone
                    return
                _write(store, {**holder, "told": lease.told})
                if _read(store, CANCEL).get("token") == holder["token"]:
                    lease.cancelled.set()

    _tokens.add(holder["token"])
    _write(store, holder)
    store.blobs.delete(STOPPED)
    thread = threading.Thread(target=renew, name="scorefold-lease", daemon=True)
    thread.start()
    try:
        yield lease
    except BaseException as error:
        with contextlib.suppress(Exception):
            note = {"reason": reason_of_end(error), "time": time.time()}
            if not lease.lost.is_set():
                store.blobs.put(STOPPED, json.dumps(note).encode())
        raise
    finally:
        ended.set()
        thread.join()
        _tokens.discard(holder["token"])
        with contextlib.suppress(OSError):
            if _holder(store).get("token") == holder["token"]:
                store.blobs.delete(LEASE)
                store.blobs.delete(CANCEL)


def check_free(store: RunStore) -> None:
    """Raise `StoreError` if another driver is at work on a run."""
    held = driver_of(store)
    if held is not None:
        raise StoreError(
            f'run "{store.location}": process {held.process} on {in_one_line(held.host, 60)} is at work on it. '
            "Wait until it ends, or stop it with scorefold cancel."
        )


def driver_of(store: RunStore) -> Driver | None:
    """Return who is at work on a run; None if nobody is."""
    held = _holder(store)
    if not held or not _alive(held):
        return None
    told = held.get("told")
    return Driver(held["host"], held["process"], told if isinstance(told, dict) else {})


def ask_to_stop(store: RunStore) -> bool:
    """Ask the driver of a run to stop, wherever it is; return whether there is one."""
    held = _holder(store)
    if not held or not _alive(held):
        return False
    store.blobs.put(CANCEL, json.dumps({"token": held.get("token")}).encode())
    return True


@dataclass(frozen=True)
class Stop:
    """What ended the last driver of a run before the end.

    Attributes
    ----------
    reason : str
        What it was.
    time : float
        When, in seconds since 1970.
    """

    reason: str
    time: float


def last_stop(store: RunStore) -> Stop | None:
    """Return what ended the last driver of a run before the end; None if nothing did."""
    note = _read(store, STOPPED)
    reason, when = note.get("reason"), note.get("time")
    return Stop(reason, when) if isinstance(reason, str) and isinstance(when, float) else None


def _write(store: RunStore, holder: dict[str, Any]) -> None:
    store.blobs.put(LEASE, json.dumps({**holder, "renewed": time.time()}).encode())


def reason_of_end(error: BaseException) -> str:
    """Return what to tell of what ended a driver, without credentials."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return in_one_line(without_credentials(str(error)), _LONGEST_REASON) or type(error).__name__


def _read(store: RunStore, name: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(store.blobs.get(name) or b"{}")
    except (ValueError, RecursionError):  # damaged: whoever wrote it will write it again
        return {}
    return found if isinstance(found, dict) else {}


def _holder(store: RunStore) -> dict[str, Any]:
    held = _read(store, LEASE)
    kinds = {"host": str, "process": int, "renewed": float}
    whole = all(isinstance(held.get(name), kind) for name, kind in kinds.items())
    return held if whole else {}


def _alive(held: dict[str, Any]) -> bool:
    if held["host"] != platform.node():
        return bool(time.time() - held["renewed"] < EXPIRED_SECONDS)
    if held["process"] == os.getpid():
        return held.get("token") in _tokens
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
        found = psutil.Process(process)
        # What has ended keeps its number until its parent asks how, which in containers may be never.
        return None if found.status() == psutil.STATUS_ZOMBIE else float(found.create_time())
    except (psutil.Error, ValueError, OverflowError):  # also of a number that no process can have
        return None
