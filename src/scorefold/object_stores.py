"""Objects at URLs: opened, listed and read through obstore, with the credentials of the environment."""

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorefold.credentials import check_url, without_credentials
from scorefold.errors import InputError, in_one_line

if TYPE_CHECKING:
    from obstore.store import ObjectStore

READ_AHEAD = 2**20
"""Bytes that a small read asks for: as many as take about as long to send as a request takes to be answered."""

CONCURRENT_REQUESTS = 8

_LISTED_AT_ONCE = 1000


def is_url(text: str) -> bool:
    """Tell whether a path is a URL."""
    return "://" in text


@dataclass(frozen=True)
class ObjectStatus:
    """Which version of an object is there.

    Attributes
    ----------
    size : int
        Bytes.
    changed : int
        Time of the last change in ns. Stores know it to the second at best: the digits below tell entity tags apart.
    e_tag : str or None
        The store's name of this version.
    """

    size: int
    changed: int
    e_tag: str | None

    @property
    def stamp(self) -> tuple[int, int]:
        """Size and time of the last change."""
        return self.size, self.changed

    @classmethod
    def of(cls, described: Any) -> "ObjectStatus":
        """Return the status in obstore's description of an object."""
        tag = described["e_tag"]
        moment: datetime = described["last_modified"]
        below = int.from_bytes(hashlib.sha256((tag or "").encode()).digest()[:8]) % 10**9
        return cls(described["size"], int(moment.timestamp()) * 10**9 + below, tag)


_known: ContextVar[dict[str, ObjectStatus] | None] = ContextVar("known_objects", default=None)


@contextlib.contextmanager
def statuses_kept() -> Iterator[None]:
    """Ask a store once for the status of an object, which listing and reading tell as well.

    What is read is that version of the object, or nothing: a change in between is an error of the reader.
    """
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def _keep(url: str, described: Any) -> ObjectStatus:
    status = ObjectStatus.of(described)
    known = _known.get()
    if known is not None:
        known[url] = status
    return status


def open_object_store(url: str) -> "ObjectStore":
    """Return the object store at a URL; names in it are relative to the URL.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/prefix``; what obstore understands.

    Raises
    ------
    InputError
        If the URL holds credentials, obstore is not installed, or does not know what the URL means.
    """
    check_url(url)
    try:
        from obstore.store import from_url  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise InputError(
            f'"{url}": URLs need obstore. Install scorefold[s3], or give a file or directory.'
        ) from None
    try:
        return from_url(url)
    except Exception as error:  # obstore has exceptions of its own
        reason = in_one_line(without_credentials(str(error)), 200)
        raise InputError(f'"{url}": {reason}. Give a directory, or a URL like s3://bucket/folder.') from error


@lru_cache(maxsize=16)  # a store keeps its connections
def _root(place: str) -> "ObjectStore":
    return open_object_store(place)


def _locate(url: str) -> tuple["ObjectStore", str]:
    """Return the store that an object is in, and its key."""
    check_url(url)
    scheme, _, rest = url.partition("://")
    authority, _, key = rest.partition("/")
    return _root(f"{scheme}://{authority}"), key.strip("/")


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise what Python raises for files, without credentials."""
    import obstore.exceptions as told  # noqa: PLC0415 - an optional dependency

    try:
        yield
    except (told.PermissionDeniedError, told.UnauthenticatedError) as error:
        raise PermissionError(reason_of_store(error)) from None
    except told.PreconditionError:
        raise OSError("it was replaced while it was read") from None
    except told.BaseError as error:
        # Of what is refused while a bucket is listed, obstore tells in words alone.
        kinds = {"status code: 404": FileNotFoundError, "status code: 403": PermissionError}
        kind = next((kind for words, kind in kinds.items() if words in str(error)), OSError)
        raise kind(reason_of_store(error)) from None


def reason_of_store(error: Exception) -> str:
    """Return what a store says in one line, without the request, which repeats the URL."""
    text = str(getattr(error, "strerror", None) or error)
    request, dash, told = text.partition(" - ")
    return in_one_line(without_credentials(told if dash and "Error performing" in request else text), 200)


def object_status(url: str) -> ObjectStatus:
    """Return which version of an object is there.

    Raises
    ------
    FileNotFoundError, PermissionError, OSError
        If there is none, it must not be read, or the store does not answer.
    """
    known = (_known.get() or {}).get(url)
    if known is not None:
        return known
    store, key = _locate(url)
    import obstore  # noqa: PLC0415 - an optional dependency

    with _plain_errors():
        return _keep(url, obstore.head(store, key))


def read_object(url: str) -> bytes:
    """Return all bytes of an object; see `object_status` for errors."""
    store, key = _locate(url)
    import obstore  # noqa: PLC0415 - an optional dependency

    known = (_known.get() or {}).get(url)
    with _plain_errors():
        found = obstore.get(store, key, options={"if_match": known.e_tag} if known else None)
        _keep(url, found.meta)
        return bytes(found.bytes())


def read_start(url: str, most: int) -> tuple[bytes, int]:
    """Return the first bytes of an object, `most` at most, and its size; one request where it is not empty."""
    store, key = _locate(url)
    import obstore  # noqa: PLC0415 - an optional dependency

    with _plain_errors():
        try:
            found = obstore.get(store, key, options={"range": (0, most)})
            return bytes(found.bytes()), _keep(url, found.meta).size
        except obstore.exceptions.BaseError:
            if object_status(url).size:
                raise
            return b"", 0  # nothing has no first byte, which stores call an error


class ObjectReader(io.RawIOBase):
    """An object as a file that is open for reading, in which only what is asked for, and some more, is fetched.

    All bytes come from the version that was there when it was opened.

    Parameters
    ----------
    url : str
        The object.

    Raises
    ------
    FileNotFoundError, PermissionError, OSError
        As `object_status`; reading raises them, too.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.status = object_status(url)
        self._store, self._key = _locate(url)
        self._position = 0
        self._window = (0, b"")

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any place can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, from the start, from here, or from the end."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.status.size}[whence]
        if origin + offset < 0:
            raise ValueError(f"negative position {origin + offset}")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the place."""
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, or as much of it as there is left."""
        view = memoryview(buffer).cast("B")
        start, stop = self._position, min(self._position + len(view), self.status.size)
        if stop <= start:
            return 0
        first, held = self._window
        if not first <= start <= stop <= first + len(held):
            ahead = min(max(stop, start + READ_AHEAD), self.status.size)
            first, held = self._window = start, self.fetch(start, ahead)
        view[: stop - start] = held[start - first : stop - first]
        self._position = stop
        return stop - start

    def fetch(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, which must lie in the object, in one request."""
        import obstore  # noqa: PLC0415 - an optional dependency

        options: Any = {"range": (start, stop), "if_match": self.status.e_tag}
        with _plain_errors():
            data = bytes(obstore.get(self._store, self._key, options=options).bytes())
        if len(data) != stop - start:
            raise OSError(f"{len(data)} bytes came of {stop - start}")
        return data

    def fetch_all(self, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of several ranges, in their order; some requests go on at the same time."""
        if len(ranges) == 1:
            yield self.fetch(*ranges[0])
            return
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            for first in range(0, len(ranges), CONCURRENT_REQUESTS):  # no more of them are held at a time
                part = ranges[first : first + CONCURRENT_REQUESTS]
                yield from pool.map(lambda bounds: self.fetch(*bounds), part)


@contextlib.contextmanager
def on_disk(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a file, for libraries that take no other; of an object, that of a copy.

    Parameters
    ----------
    path : path-like
        A file, or the URL of an object.

    Yields
    ------
    Path
        With the ending of the original; a copy is removed afterwards.
    """
    text = os.fspath(path)
    if not is_url(text):
        yield Path(text)
        return
    with tempfile.TemporaryDirectory(prefix="scorefold-") as folder:
        copy = Path(folder) / f"copy{Path(text).suffix}"
        with ObjectReader(text) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        yield copy


def list_folder(url: str) -> tuple[list[str], list[str]]:
    """Return the URLs of the objects, and of the folders, directly in a folder.

    Parameters
    ----------
    url : str
        The folder, with or without a slash at its end. Object stores have none: it is what begins so.

    Raises
    ------
    FileNotFoundError, PermissionError, OSError
        If the bucket is missing, must not be listed, or the store does not answer.
    """
    store, key = _locate(url)
    import obstore  # noqa: PLC0415 - an optional dependency

    with _plain_errors():
        found = obstore.list_with_delimiter(store, key or None)
    top = _top(url)
    objects = [f"{top}/{described['path']}" for described in found["objects"]]
    for name, described in zip(objects, found["objects"], strict=True):
        _keep(name, described)
    return sorted(objects), sorted(f"{top}/{prefix.rstrip('/')}" for prefix in found["common_prefixes"])


def list_below(url: str) -> list[str]:
    """Return the URLs of all objects in a folder and in those in it; see `list_folder`."""
    store, key = _locate(url)
    import obstore  # noqa: PLC0415 - an optional dependency

    top = _top(url)
    names = []
    with _plain_errors():
        for page in obstore.list(store, key or None, chunk_size=_LISTED_AT_ONCE):
            for described in page:
                names.append(f"{top}/{described['path']}")
                _keep(names[-1], described)
    return sorted(names)


def _top(url: str) -> str:
    """Return the URL of the bucket, without a slash."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
