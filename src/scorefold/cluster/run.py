"""A run as the driver and the tasks see it, whatever kind of work it is."""

import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

from scorefold.credentials import without_credentials
from scorefold.errors import DamagedPartialError, ScorefoldError, StoreError, repair_command
from scorefold.object_stores import is_url
from scorefold.planning.node import STAGES, Node
from scorefold.store import RunStore


@dataclass(frozen=True)
class RunReference:
    """What a task is told of its run: where it is, and what must be found there.

    Attributes
    ----------
    location : str
        Absolute directory, or URL.
    fingerprint : str
        Of the job.
    revision : str
        Digest of the plan and of the options of later stages; with others, keys of one job name other work.
    """

    location: str
    fingerprint: str
    revision: str


class Run(ABC):
    """A run: its store, and what is to be done in it. The store is the truth; a run holds nothing else.

    Parameters
    ----------
    store : RunStore
        Where the run is stored.

    Attributes
    ----------
    kind : str
        Kind of the run, as the store's attributes name it.
    """

    kind: ClassVar[str]

    def __init__(self, store: RunStore) -> None:
        self.store = store

    @property
    def stages(self) -> tuple[str, ...]:
        """Kinds of work in the order in which they become possible."""
        return STAGES[self.kind]

    @property
    @abstractmethod
    def reference(self) -> RunReference:
        """How tasks refer to this run."""

    @property
    @abstractmethod
    def memory_limit(self) -> int:
        """Bytes that the work of a worker may take."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What the run is about, in a line."""

    @abstractmethod
    def totals(self, *, render: bool) -> dict[str, int]:
        """Return the number of pieces of work by stage."""

    @abstractmethod
    def missing(self, committed: set[str], *, render: bool) -> Iterator[Node]:
        """Yield the work that is neither committed nor superseded, every piece after its inputs."""

    @abstractmethod
    def needed(self) -> set[str]:
        """Return the keys whose records, or checkpoints, are still needed: what is not part of something later."""

    @abstractmethod
    def unreadable(self) -> dict[str, str]:
        """Return the inputs that were left out when the job was made, with the reason."""

    @abstractmethod
    def failures(self) -> dict[str, str]:
        """Return every input that failed so far, with the reason."""

    def given(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what the run was given and cannot be made again, by name, and what reads it and verifies."""
        for name in self.store.attributes["files"]:
            yield name, partial(self.store.read_given, name)

    def damaged_inputs(self) -> dict[str, str]:
        """Return what the run was given and is missing or damaged, with the reason."""
        found = {}
        for name, read in self.given():
            try:
                read()
            except ScorefoldError as error:
                found[name] = one_line(error)
        return found

    def give_up(self, node: Node, reason: str) -> bool:  # noqa: ARG002
        """Commit that a piece of work cannot be done, if the run can do without; return whether it can."""
        return False

    @abstractmethod
    def retry_failed(self) -> Self:
        """Put the work up again whose inputs could not be read; return the run as it is then.

        No driver may be at work on it.
        """

    @abstractmethod
    def writers_of(self, file: str) -> Iterator[str]:
        """Yield the keys of the work that may have written a file: a table, a picture, the report."""

    def file(self, name: str) -> bytes | None:
        """Return a file of the run that a record vouches for; None if there is none yet.

        Parameters
        ----------
        name : str
            Such as ``tables/picks.parquet``.

        Raises
        ------
        StoreError
            If it is missing, or differs from its record.
        """
        for key in self.writers_of(name):
            record = self.store.read_commit(key)
            if record is not None and name in record.summary.get("files", {}):
                return self.store.read_file(record, name)
        return None

    def put(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Write files into the run; return their SHA-256 by name, for the record."""
        for name, data in files.items():
            self.store.blobs.put(name, data)
        return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}

    def put_files(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Write files that were made elsewhere, and may be large, into the run; see `put`."""
        return {name: self.store.blobs.put_file(name, path) for name, path in files.items()}


def absolute_location(location: str) -> str:
    """Return the location of a run as workers, who may have another working directory, understand it."""
    return location if is_url(location) else str(Path(location).absolute())


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line, or its type if it has none."""
    return " ".join(without_credentials(str(error)).split()) or type(error).__name__


def unfinished(nodes: Sequence[Node], roots: Iterable[str], committed: set[str]) -> list[Node]:
    """Return the nodes without which the roots cannot be made: what is committed needs none of its inputs.

    Parameters
    ----------
    nodes : sequence of Node
        A tree, every node after its inputs; inputs outside of it are somebody else's concern.
    roots : iterable of str
        Keys that are wanted.
    committed : set of str
        Keys that are done.
    """
    by_key = {node.key: node for node in nodes}
    wanted: set[str] = set()
    pending = list(roots)
    while pending:
        key = pending.pop()
        if key in by_key and key not in committed:
            wanted.add(key)
            pending.extend(by_key[key].inputs)
    return [node for node in nodes if node.key in wanted]


def not_superseded(nodes: Sequence[Node], committed: set[str], started: set[str]) -> set[str]:
    """Return the started keys of a tree that are not part of a committed merge."""
    needed: set[str] = set()
    superseded: set[str] = set()
    for node in reversed(nodes):
        if node.key in committed or node.key in superseded:
            superseded.update(node.inputs)
        if node.key in started and node.key not in superseded:
            needed.add(node.key)
    return needed


def keys_with_failures(store: RunStore, prefixes: tuple[str, ...]) -> set[str]:
    """Return the committed keys with one of the prefixes whose records list inputs that failed."""
    failed = set()
    for key in store.committed():
        if not key.startswith(prefixes):
            continue
        try:
            record = store.read_commit(key)
        except DamagedPartialError:
            continue  # found and repaired by whoever needs it
        if record is not None and record.summary.get("failures"):
            failed.add(key)
    return failed


@contextlib.contextmanager
def repairable(run: Run) -> Iterator[None]:
    """Turn damage that a reader meets into an error that says what to do."""
    try:
        yield
    except DamagedPartialError as error:
        raise StoreError(
            f'run "{run.store.location}": {error.reason}. Repair it with: {repair_command(run.store.location)}'
        ) from error


def committed_file(run: Run, name: str) -> bytes | None:
    """Return a file of a run, verified; None if the run has not got that far.

    Raises
    ------
    StoreError
        If it is damaged; the message says how to repair it.
    """
    with repairable(run):
        return run.file(name)
