"""Verifying a whole run, and collecting what a finished one no longer needs."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from scorefold.errors import DamagedPartialError
from scorefold.store.image_maps import ImageMaps
from scorefold.store.lease import check_free
from scorefold.store.results import ResultMaps
from scorefold.store.run_store import RunStore


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes
    ----------
    checked : int
        Number of records whose bytes were read and compared.
    damaged : dict of str to str
        Key and reason of every record that cannot be trusted.
    """

    checked: int
    damaged: dict[str, str] = field(default_factory=dict)


def verify(run: RunStore) -> Verification:
    """Read back everything that a commit record vouches for, and compare.

    Parameters
    ----------
    run : RunStore
        The run; it is not changed.
    """
    checked = 0
    damaged = {}
    for key in sorted(run.committed()):
        try:
            _check(run, key)
            checked += 1
        except DamagedPartialError as error:
            damaged[key] = error.reason
    return Verification(checked, damaged)


def _check(run: RunStore, key: str) -> None:
    """Compare the arrays, the parts of maps and the files of one record; raise at the first that differs."""
    _, record = run.read_partial(key)
    maps: dict[str, ResultMaps] = {}
    for tile in record.summary.get("tiles", ()):
        own = maps.setdefault(tile["target"], ResultMaps(run, tile["target"]))
        own.check_tile(key, tuple(tile["start"]), tuple(tile["shape"]), tile["digests"])
    arrays: dict[str, ImageMaps] = {}
    for block in record.summary.get("blocks", ()):
        arrays.setdefault(block["array"], ImageMaps(run, block["array"])).read_block(key, block)
    for name in record.summary.get("files", {}):
        run.read_file(record, name)


@dataclass(frozen=True)
class Collected:
    """What `collect_garbage` removed: records and bytes."""

    records: int
    bytes: int


def collect_garbage(run: RunStore, needed: Iterable[str]) -> Collected:
    """Remove the partials that no later work needs, and what interrupted attempts left behind.

    Parameters
    ----------
    run : RunStore
        The run.
    needed : iterable of str
        Keys whose records and arrays stay.

    Raises
    ------
    StoreError
        If a driver is at work on the run.
    """
    check_free(run)
    before = run.blobs.size("")
    keep = set(needed)
    with_arrays = run.keys_with_arrays()
    unneeded = (run.committed() | run.checkpoints()) - keep
    run.forget(unneeded | (with_arrays - keep))
    for key in with_arrays & keep:
        named = _named_attempts(run, key)
        if named is not None:
            for attempt in run.attempts(key) - named:
                run.forget_attempt(key, attempt)
    run.blobs.delete_below("suspects")
    for name in run.blobs.names(""):
        if name.endswith(".partial"):
            run.blobs.delete(name)
    return Collected(len(unneeded), before - run.blobs.size(""))


def _named_attempts(run: RunStore, key: str) -> set[str] | None:
    """Return the attempts that the records of `key` name, or None if a damaged one may name any."""
    try:
        records = [run.read_commit(key), run.read_commit(key, checkpoint=True)]
    except DamagedPartialError:
        return None
    return {record.attempt for record in records if record is not None}
