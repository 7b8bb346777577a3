"""Small named byte strings beside the arrays of a Zarr store, read and written synchronously.

Zarr's `Store` is asynchronous. Commit records and tables need no array, so they go through the store's own
methods: on a disk at once, elsewhere on one event loop in a daemon thread of this process, which on a disk would take
ten times as long as a small record does. No lock is held while a store works.
"""

import asyncio
import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from zarr.abc.store import Store, SupportsDeleteSync, SupportsGetSync, SupportsSetSync
from zarr.buffer import default_buffer_prototype
from zarr.storage import LocalStore, ObjectStore

from scorefold.credentials import check_url
from scorefold.errors import InputError, StoreError
from scorefold.object_stores import is_url, open_object_store, reason_of_store

_Result = TypeVar("_Result")


@cache
def _event_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="scorefold-store", daemon=True).start()
    return loop


os.register_at_fork(after_in_child=_event_loop.cache_clear)  # a thread does not survive a fork


def _wait(work: Coroutine[Any, Any, _Result]) -> _Result:
    try:
        return asyncio.run_coroutine_threadsafe(work, _event_loop()).result()
    except Exception as error:
        if is_outage(error) and not isinstance(error, OSError):
            raise OSError(reason_of_store(error)) from None
        raise


def is_outage(error: BaseException) -> bool:
    """Tell whether a store failed, rather than that what is stored is missing or damaged."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    return (isinstance(error, OSError) and not missing) or type(error).__module__.startswith("obstore")


async def _collect(listing: Callable[[], AsyncIterator[str]]) -> list[str]:
    """Return what a store lists; some ask for the event loop as soon as they are called."""
    return [key async for key in listing()]


def open_zarr_store(location: str) -> Store:
    """Return the Zarr store at a directory or URL.

    Parameters
    ----------
    location : str
        A directory, or a URL that obstore understands (``s3://bucket/prefix``; needs ``scorefold[s3]``, and
        takes credentials from the environment).

    Raises
    ------
    InputError
        If the location is a URL that holds credentials.
    StoreError
        If the location is a URL and obstore is not installed, or does not know what it means.
    """
    if not is_url(location):
        return LocalStore(Path(location))
    check_url(location)
    try:
        return ObjectStore(open_object_store(location))
    except InputError as error:
        raise StoreError(f"store {error}") from error


def _inside(name: str) -> str:
    """Return a name that leads nowhere but into the store: a run that was handed over may name anything."""
    if name.startswith("/") or not {"..", "."}.isdisjoint(name.split("/")):
        raise StoreError(f"name {name!r}: it leads out of the run's store. Do not use this run.")
    return name


class Blobs:
    """Bytes by name in a Zarr store; a write replaces the old bytes as a whole or not at all.

    Parameters
    ----------
    store : zarr.abc.store.Store
        Where the bytes are; an attribute, too.

    Raises
    ------
    StoreError
        Where something is read, written or deleted by a name that leads out of the store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def on_disk(self) -> bool:
        """Whether names are listed by the operating system rather than by requests, which cost time and money."""
        return isinstance(self.store, LocalStore)

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Write `data` under `name`."""
        buffer = default_buffer_prototype().buffer.from_bytes(data)
        if isinstance(self.store, SupportsSetSync):
            self.store.set_sync(_inside(name), buffer)
        else:
            _wait(self.store.set(_inside(name), buffer))

    def put_file(self, name: str, path: Path) -> str:
        """Write the content of a file under `name`; return its SHA-256. On a local disk it may exceed memory."""
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if not isinstance(self.store, LocalStore):
            self.put(name, path.read_bytes())
            return checksum
        target = self.store.root / _inside(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The ending by which Zarr's own unfinished files are known.
        unfinished = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
        try:
            shutil.copyfile(path, unfinished)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
        return checksum

    def get(self, name: str) -> bytes | None:
        """Return the bytes under `name`, or None."""
        data = self.get_array(name)
        return None if data is None else data.tobytes()

    def get_array(self, name: str) -> NDArray[np.uint8] | None:
        """Return the bytes under `name` as they were read, not copied, or None."""
        prototype = default_buffer_prototype()
        if isinstance(self.store, SupportsGetSync):
            buffer = self.store.get_sync(_inside(name), prototype=prototype)
        else:
            buffer = _wait(self.store.get(_inside(name), prototype))
        return None if buffer is None else buffer.as_numpy_array()

    def delete(self, name: str) -> None:
        """Forget `name`; nothing happens if there is none."""
        if isinstance(self.store, SupportsDeleteSync):
            self.store.delete_sync(_inside(name))
        else:
            _wait(self.store.delete(_inside(name)))

    def delete_below(self, prefix: str) -> None:
        """Forget every name below `prefix` (a folder)."""
        _wait(self.store.delete_dir(_inside(prefix)))

    def names(self, prefix: str) -> list[str]:
        """Return all names below `prefix` (a folder, or empty for all), sorted."""
        return sorted(_wait(_collect(lambda: self.store.list_prefix(f"{prefix}/" if prefix else ""))))

    def children(self, prefix: str) -> list[str]:
        """Return the names directly below `prefix`, without it, sorted."""
        return sorted(name.rstrip("/") for name in _wait(_collect(lambda: self.store.list_dir(prefix))))

    def size(self, prefix: str) -> int:
        """Return the number of bytes below `prefix`."""
        return _wait(self.store.getsize_prefix(prefix))
