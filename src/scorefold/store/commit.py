"""Commit records: the only evidence that something was computed, naming what and the digest of its bytes."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import xxhash
from numpy.typing import NDArray

from scorefold.analyzer import Coverage
from scorefold.errors import StoreError, in_one_line

COMMIT_FORMAT = 2

INLINE_BYTES = 16 * 2**10
"""Arrays up to this size are kept in the record."""

MOST_AXES = 32
"""More than any state has; NumPy's own limit is 64."""


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes in C order, as hexadecimal text.

    Examples
    --------
    >>> digest(np.zeros(2, np.uint8))[:8]
    '96a296d2'
    """
    return hashlib.sha256(_bytes(array)).hexdigest()


def checksum(array: NDArray[Any]) -> str:
    """Return what a commit record knows an array by: XXH3, 128 bits, of its bytes in C order, as hexadecimal text.

    Every array is written and read back with it; SHA-256, by which the contents of a job are named, takes many times
    as long.

    Examples
    --------
    >>> checksum(np.zeros(2, np.uint8))[:8]
    '4758ddac'
    """
    return xxhash.xxh3_128_hexdigest(_bytes(array))


def _bytes(array: NDArray[Any]) -> Any:
    return np.ascontiguousarray(array).data if array.size else b""


@dataclass(frozen=True)
class ArrayRecord:
    """Digest, dtype and shape of one array that a commit vouches for.

    Attributes
    ----------
    digest, dtype, shape
        What the array must be.
    inline : str or None
        The bytes themselves (Base64), for arrays so small that a file of their own would cost more than they
        do.
    """

    digest: str
    dtype: str
    shape: tuple[int, ...]
    inline: str | None = None

    def __post_init__(self) -> None:
        """Refuse what describes no array."""
        texts = (self.digest, self.dtype, "" if self.inline is None else self.inline)
        lengths = all(type(length) is int and length >= 0 for length in self.shape)
        if not (all(isinstance(text, str) for text in texts) and lengths and len(self.shape) <= MOST_AXES):
            raise ValueError("an array of it has no digest, type or shape")
        if np.dtype(self.dtype).str != self.dtype:
            raise ValueError(f"{in_one_line(self.dtype, 30)!r} is no type of an array")

    @classmethod
    def of(cls, array: NDArray[Any]) -> Self:
        """Describe `array`."""
        small = base64.b64encode(array.tobytes()).decode() if array.nbytes <= INLINE_BYTES else None
        return cls(checksum(array), array.dtype.str, tuple(array.shape), small)

    def inline_array(self) -> NDArray[Any] | None:
        """Return the array if the record holds it.

        Raises
        ------
        ValueError
            If what it holds is not that array.
        """
        if self.inline is None:
            return None
        values = np.frombuffer(base64.b64decode(self.inline, validate=True), np.dtype(self.dtype))
        return values.reshape(self.shape).copy()

    def disagreement(self, array: NDArray[Any]) -> str | None:
        """Return in words how `array` differs from this record, or None."""
        if array.dtype.str != self.dtype or tuple(array.shape) != self.shape:
            return f"is {array.dtype.str}{list(array.shape)}, committed was {self.dtype}{list(self.shape)}"
        found = checksum(array)
        return None if found == self.digest else f"has digest {found[:12]}, committed was {self.digest[:12]}"


@dataclass(frozen=True)
class Commit:
    """The record that makes a piece of work count, written after all of its bytes.

    Attributes
    ----------
    key : str
        What was computed (a node of the plan).
    fingerprint : str
        Of the job it was computed for.
    attempt : str
        Names the attempt whose arrays count; others are leftovers.
    arrays : mapping of str to ArrayRecord
        What was written.
    coverage : Coverage or None
        What the state has folded, for partials.
    summary : mapping
        Small JSON values that later stages need (counts, moments, failures by target, seconds).
    """

    key: str
    fingerprint: str
    attempt: str
    arrays: Mapping[str, ArrayRecord] = field(default_factory=dict)
    coverage: Coverage | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what names nothing."""
        kinds = ((self.key, str), (self.fingerprint, str), (self.attempt, str), (self.summary, Mapping))
        if not all(isinstance(value, kind) for value, kind in kinds):
            raise TypeError("key, fingerprint and attempt are texts, its summary has names")

    def to_bytes(self) -> bytes:
        """Return the record as JSON that carries its own digest."""
        body = {
            "format": COMMIT_FORMAT,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "attempt": self.attempt,
            "arrays": {name: asdict(record) for name, record in sorted(self.arrays.items())},
            "coverage": None if self.coverage is None else self.coverage.to_json(),
            "summary": dict(self.summary),
        }
        text = json.dumps(body, sort_keys=True)
        return json.dumps(
            {"body": body, "sha256": hashlib.sha256(text.encode()).hexdigest()}, sort_keys=True
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a record.

        Raises
        ------
        StoreError
            If the bytes are not a whole, undamaged record.
        """
        try:
            outer = json.loads(data)
            body = outer["body"]
            if hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest() != outer["sha256"]:
                raise StoreError("commit record: its digest disagrees with its content")
            if body["format"] != COMMIT_FORMAT:
                raise StoreError(
                    f"commit record: format {in_one_line(body['format'], 20)}, this version reads {COMMIT_FORMAT}"
                )
            return cls(
                key=body["key"],
                fingerprint=body["fingerprint"],
                attempt=body["attempt"],
                arrays={
                    name: ArrayRecord(
                        record["digest"], record["dtype"], tuple(record["shape"]), record["inline"]
                    )
                    for name, record in body["arrays"].items()
                },
                coverage=None if body["coverage"] is None else Coverage.from_json(body["coverage"]),
                summary=body["summary"],
            )
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError, SyntaxError) as error:
            raise StoreError(f"commit record: not readable ({in_one_line(error)})") from None
