"""One run's store: creating, opening, and the partials and commit records in it."""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store

from scorefold.analyzer import Coverage
from scorefold.errors import DamagedPartialError, InputError, StoreError, in_one_line
from scorefold.object_stores import reason_of_store
from scorefold.store.blobs import Blobs, is_outage, open_zarr_store
from scorefold.store.chunked_array import ChunkedArray, describe_array
from scorefold.store.commit import ArrayRecord, Commit, digest
from scorefold.store.descriptions import GROUP_FILE

Array = NDArray[Any]

STORE_FORMAT = 6
"""Layout version of the store; a store of another one is refused rather than misread."""

NO_RECORD = "there is no commit record"


class RunStore:
    """The Zarr v3 group of one run.

    Opened by location, so that a task needs nothing but text to reach it. Everything read back is verified.

    Parameters
    ----------
    location : str
        Directory or URL.

    Raises
    ------
    StoreError
        If there is no run at the location, or it was written in another layout.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self.zarr_store = open_zarr_store(location)
        self.blobs = Blobs(self.zarr_store)
        self.attributes = _attributes(self.zarr_store, location)
        self.fingerprint = str(self.attributes["fingerprint"])
        layout = self.attributes["format"]
        if layout != STORE_FORMAT:
            raise StoreError(
                f'run "{location}": store format {in_one_line(layout, 20)}, this version reads {STORE_FORMAT}. '
                "Use the version of scorefold that wrote it."
            )
        if self.attributes.get("digest") != _digest_of(self.attributes):
            raise StoreError(
                f'run "{location}": its description is damaged, or was changed by hand. Start a new run.'
            )

    @classmethod
    def create(
        cls, location: str, attributes: Mapping[str, Any], files: Mapping[str, bytes] | None = None
    ) -> Self:
        """Make a new, empty run.

        Parameters
        ----------
        location : str
            Directory or URL; it must not hold anything yet.
        attributes : mapping
            JSON values: at least ``fingerprint``; the job and versions.
        files : mapping of str to bytes, optional
            What the run is given beside, by name: the plan, the list of inputs. They never change.

        Raises
        ------
        InputError
            If something is there already, or nothing can be written there.
        """
        store = open_zarr_store(location)
        blobs = Blobs(store)
        given = {name: hashlib.sha256(data).hexdigest() for name, data in (files or {}).items()}
        described = {"format": STORE_FORMAT, "files": given, **attributes}
        described["digest"] = _digest_of(described)
        try:
            taken = bool(blobs.children(""))
            if not taken:
                zarr.create_group(store, zarr_format=3, attributes={"scorefold": described})
                try:
                    for name, data in (files or {}).items():
                        blobs.put(name, data)
                except BaseException:  # half a run could neither be resumed nor made again at the same place
                    blobs.delete_below("")
                    raise
        except Exception as error:  # noqa: BLE001 - stores raise exceptions of many kinds
            raise InputError(f'output "{location}": cannot be written ({reason_of_store(error)}).') from None
        if taken:
            raise InputError(
                f'output "{location}": something is there already. Give a new --out, or resume it.'
            )
        return cls(location)

    def update_attributes(self, **changes: Any) -> None:
        """Replace some of the run's attributes; the fingerprint cannot change."""
        if changes.get("fingerprint", self.fingerprint) != self.fingerprint:
            raise StoreError(f'run "{self.location}": the fingerprint of a run never changes')
        self.attributes = {**self.attributes, **changes}
        self.attributes["digest"] = _digest_of(self.attributes)
        zarr.open_group(self.zarr_store, mode="r+").attrs["scorefold"] = self.attributes

    # What a run is given once: plan and list of inputs; template, mask, rotations, targets from memory.

    def read_given(self, name: str) -> bytes | None:
        """Return a file that the run was given when it was created, or None if it was given none of this name.

        Raises
        ------
        StoreError
            If it is missing or damaged.
        """
        expected = self.attributes["files"].get(name)
        if expected is None:
            return None
        data = self.blobs.get(name)
        if data is None or hashlib.sha256(data).hexdigest() != expected:
            state = "missing" if data is None else "damaged"
            raise StoreError(f'run "{self.location}": {name} is {state}. Start a new run.')
        return data

    def write_array(self, name: str, array: Array) -> None:
        """Write an input array as one chunk; a run's inputs are written once."""
        self._write(name, array)

    def read_array(self, name: str, expected: str) -> Array:
        """Return an input array.

        Parameters
        ----------
        name : str
            Its name.
        expected : str
            Its digest, as the job has it.

        Raises
        ------
        StoreError
            If it is missing or damaged.
        """
        try:
            array = self._read(name)
        except Exception as error:  # codecs raise exceptions of many kinds on damaged bytes
            if is_outage(error):
                raise
            raise StoreError(
                f'run "{self.location}": array {name!r} cannot be read ({reason_of_store(error)}). Start a new run.'
            ) from error
        if digest(array) != expected:
            raise StoreError(
                f'run "{self.location}": array {name!r} is not the one the job names. Start a new run.'
            )
        return array

    def _read(self, name: str) -> Array:
        return ChunkedArray(self.blobs, name)[...]

    def _write(self, name: str, array: Array) -> None:
        # Groups around it are left out: nothing reads them, and a damaged one would be in the way of new attempts.
        chunks = tuple(max(n, 1) for n in array.shape)
        description = describe_array(array.shape, chunks, array.dtype.str)
        self.blobs.put(f"{name}/{GROUP_FILE}", description)
        ChunkedArray(self.blobs, name, description).write((0,) * array.ndim, array)

    # Partials and commits.

    def commit(
        self,
        key: str,
        *,
        arrays: Mapping[str, Array] | None = None,
        coverage: Coverage | None = None,
        summary: Mapping[str, Any] | None = None,
        checkpoint: bool = False,
    ) -> Commit:
        """Write arrays under a fresh attempt, then the record that makes them count.

        Parameters
        ----------
        key : str
            What was computed.
        arrays : mapping of str to ndarray, optional
            The state, as plain arrays; they come back in little-endian byte order.
        coverage : Coverage, optional
            What the state has folded.
        summary : mapping, optional
            Small JSON values for later stages.
        checkpoint : bool
            Record an unfinished state; only readers that ask for a checkpoint find it.
        """
        attempt = uuid.uuid4().hex
        arrays = {
            name: array.astype(array.dtype.newbyteorder("<"), copy=False)
            for name, array in (arrays or {}).items()
        }
        records = {name: ArrayRecord.of(array) for name, array in arrays.items()}
        for name, array in arrays.items():
            if records[name].inline is None:
                self._write(_state_path(key, attempt, name), array)
        record = Commit(key, self.fingerprint, attempt, records, coverage, summary or {})
        self.blobs.put(_commit_name(key, checkpoint=checkpoint), record.to_bytes())
        return record

    def read_commit(self, key: str, *, checkpoint: bool = False) -> Commit | None:
        """Return the record of `key`, or None if there is none.

        Raises
        ------
        DamagedPartialError
            If there is one that cannot be trusted.
        """
        data = self.blobs.get(_commit_name(key, checkpoint=checkpoint))
        if data is None:
            return None
        try:
            record = Commit.from_bytes(data)
        except StoreError as error:
            raise DamagedPartialError(key, str(error)) from None
        if record.key != key or record.fingerprint != self.fingerprint:
            raise DamagedPartialError(key, f"its commit record belongs to {record.key!r} of another place")
        return record

    def require_commit(self, key: str) -> Commit:
        """Return the record of work that must have been done.

        Raises
        ------
        DamagedPartialError
            If there is none, or one that cannot be trusted.
        """
        record = self.read_commit(key)
        if record is None:
            raise DamagedPartialError(key, NO_RECORD)
        return record

    def read_partial(
        self, key: str, *, checkpoint: bool = False, names: Collection[str] | None = None
    ) -> tuple[dict[str, Array], Commit]:
        """Return the verified arrays of `key`, or those of some names, and their record.

        Raises
        ------
        DamagedPartialError
            If there is no record, or arrays are missing or differ from it.
        """
        record = self.read_commit(key, checkpoint=checkpoint)
        if record is None:
            raise DamagedPartialError(key, NO_RECORD)
        arrays = {}
        for name, expected in record.arrays.items():
            if names is not None and name not in names:
                continue
            try:
                array = expected.inline_array()
            except ValueError as error:
                raise DamagedPartialError(
                    key, f"array {name!r} cannot be read ({in_one_line(error)})"
                ) from error
            if array is None:
                array = self._read_state(key, record.attempt, name)
            problem = expected.disagreement(array)
            if problem:
                raise DamagedPartialError(key, f"array {name!r} {problem}")
            arrays[name] = array
        return arrays, record

    def _read_state(self, key: str, attempt: str, name: str) -> Array:
        try:
            return self._read(_state_path(key, attempt, name))
        except Exception as error:  # codecs raise exceptions of many kinds on damaged bytes
            if is_outage(error):
                raise
            raise DamagedPartialError(
                key, f"array {name!r} cannot be read ({reason_of_store(error)})"
            ) from error

    def read_file(self, record: Commit, name: str) -> bytes:
        """Return a file that a record vouches for.

        Raises
        ------
        DamagedPartialError
            If it is missing, or differs from the record.
        """
        data = self.blobs.get(name)
        if data is None or hashlib.sha256(data).hexdigest() != record.summary["files"][name]:
            raise DamagedPartialError(record.key, f"{name} is missing or differs from its record")
        return data

    def committed(self) -> set[str]:
        """Return the keys that have a commit record (verified only when they are read)."""
        return {_key_of(name) for name in self.blobs.names("commits") if name.endswith(".json")}

    def checkpoints(self) -> set[str]:
        """Return the keys that have a checkpoint record."""
        return {_key_of(name) for name in self.blobs.names("checkpoints") if name.endswith(".json")}

    def keys_with_arrays(self) -> set[str]:
        """Return the keys that have arrays, whether a record names them or not."""
        return set(self.blobs.children("states")) - {GROUP_FILE}

    def attempts(self, key: str) -> set[str]:
        """Return the attempts of `key` that have arrays."""
        return set(self.blobs.children(f"states/{key}")) - {GROUP_FILE}

    def discard(self, key: str, reason: str, *, checkpoint: bool = False) -> None:
        """Move a record to ``quarantine/`` with the reason, so that its work is due again."""
        name = _commit_name(key, checkpoint=checkpoint)
        data = self.blobs.get(name)
        if data is not None:
            note = {"key": key, "reason": reason, "record": data.decode(errors="replace")}
            self.blobs.put(f"quarantine/{key}-{uuid.uuid4().hex}.json", json.dumps(note).encode())
            self.blobs.delete(name)

    def forget(self, keys: Iterable[str]) -> None:
        """Delete records, then their arrays: no record is ever without its bytes."""
        for key in keys:
            self.blobs.delete(_commit_name(key, checkpoint=False))
            self.blobs.delete(_commit_name(key, checkpoint=True))
            self.blobs.delete_below(f"states/{key}")

    def let_go(self, keys: Iterable[str]) -> None:
        """Delete what others contain now, as `forget`; of a store that is asked by requests, only what records name.

        What attempts without a record have left there is for `collect_garbage`.
        """
        if self.blobs.on_disk:
            self.forget(keys)
            return
        for key in keys:
            self.drop_checkpoint(key)
            self._drop(key, checkpoint=False)

    def drop_checkpoint(self, key: str) -> None:
        """Delete the checkpoint of work that is committed now."""
        self._drop(key, checkpoint=True)

    def _drop(self, key: str, *, checkpoint: bool) -> None:
        try:
            record = self.read_commit(key, checkpoint=checkpoint)
        except DamagedPartialError:
            record = None  # which arrays are its own cannot be told; they are garbage now
        self.blobs.delete(_commit_name(key, checkpoint=checkpoint))
        if record is not None:
            self.forget_arrays(record)

    def forget_arrays(self, record: Commit) -> None:
        """Delete the arrays of a record that counts no more."""
        if self.blobs.on_disk:
            self.forget_attempt(record.key, record.attempt)
            return
        for name, array in record.arrays.items():
            place = _state_path(record.key, record.attempt, name)
            for file in (GROUP_FILE, "/".join("c" + "0" * len(array.shape))) if array.inline is None else ():
                self.blobs.delete(f"{place}/{file}")

    def forget_attempt(self, key: str, attempt: str) -> None:
        """Delete the arrays of one attempt that no record names any more."""
        self.blobs.delete_below(f"states/{key}/{attempt}")


def _attributes(store: Store, location: str) -> dict[str, Any]:
    try:
        # Opened for writing, a directory that does not exist would be made.
        attributes: Any = zarr.open_group(store, mode="r", zarr_format=3).attrs["scorefold"]
        return {"format": attributes["format"], "fingerprint": attributes["fingerprint"], **attributes}
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        raise StoreError(f'run "{location}": no scorefold run is stored there. Check the path.') from None
    except Exception as error:  # stores raise exceptions of many kinds
        raise StoreError(f'run "{location}": cannot be read ({reason_of_store(error)}).') from error


def _digest_of(attributes: Mapping[str, Any]) -> str:
    """Return the SHA-256 over all that a run's attributes say, apart from it."""
    said = {name: value for name, value in attributes.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _commit_name(key: str, *, checkpoint: bool) -> str:
    return f"{'checkpoints' if checkpoint else 'commits'}/{key}.json"


def _key_of(name: str) -> str:
    return name.split("/", 1)[1].removesuffix(".json")


def _state_path(key: str, attempt: str, name: str) -> str:
    return f"states/{key}/{attempt}/{name}"
