"""Damaged files: bytes, texts and JSON values changed a little, by chance that a seed decides.

Readers of any format can be shown thousands of them; see `tests/faults/test_fuzz.py` for how that is done with a
watchdog.
"""

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

HEADER_BYTES = 512
"""Half of all changes are made in front of here, where formats keep sizes, types and offsets."""

INTEGERS = (
    0,
    1,
    2,
    3,
    4,
    8,
    16,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
"""Numbers at which sizes and signs overflow; in 8 bytes also the like of them."""

_LONG_INTEGERS = (*INTEGERS, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)

WORDS = (
    b"",
    b"0",
    b"-1",
    b"1e999",
    b"-1e-999",
    b"nan",
    b"inf",
    b"1e5",
    b"0x10",
    b"4294967296",
    b"9" * 400,
    b"true",
    b"null",
    b"{}",
    b"[]",
    b'"',
    b"'",
    b'""',
    b",",
    b"\t",
    b"\n",
    b"\r\n",
    b"\0",
    b"#",
    b"data_",
    b"loop_",
    b"[" * 3000,
    b"../..",
    b"a" * 3000,
    "é\u202e\U0001f600".encode(),
    b"\xff\xfe",
)
"""What stands in the place of words and numbers of texts."""

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**64,
    -(2**80),
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "0",
    "a" * 3000,
    "\n\0é\u202e",
    "../..",
    [],
    [None],
    [[]],
    [1, 2, 3, 4, 5],
    {},
    {"": None},
)
"""What stands in the place of values of JSON."""

_TOKEN_BYTES = np.zeros(256, bool)
_TOKEN_BYTES[[*b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.+-"]] = True

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

Mutation = Callable[[bytes, np.random.Generator], bytes]

_Choice = TypeVar("_Choice")


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip one to eight bits.

    Parameters
    ----------
    content : bytes
        At least one byte.
    rng : numpy.random.Generator
        Source of the randomness.

    Returns
    -------
    bytes
        As long as before.
    """
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def set_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Set one to four bytes to random values; parameters as of `flip_bits`."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        changed[_place(content, rng)] = int(rng.integers(256))
    return bytes(changed)


def set_integer(content: bytes, rng: np.random.Generator) -> bytes:
    """Put one of `INTEGERS` in 1, 2, 4 or 8 bytes of either order; parameters as of `flip_bits`."""
    size = int(rng.choice([1, 2, 4, 8]))
    numbers = _LONG_INTEGERS if size == 8 else INTEGERS
    number = numbers[int(rng.integers(len(numbers)))] % 2 ** (8 * size)
    place = _place(content, rng)
    if rng.random() < 0.5:  # sizes and offsets are mostly aligned
        place -= place % size
    order = "<" if rng.random() < 0.5 else ">"
    packed = struct.pack(order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size], number)
    return content[:place] + packed[: len(content) - place] + content[place + size :]


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut the end off, maybe everything; parameters as of `flip_bits`."""
    return content[: int(rng.integers(len(content)))]


def extend(content: bytes, rng: np.random.Generator) -> bytes:
    """Append zeros, random bytes or a copy of the beginning; parameters as of `flip_bits`."""
    count = int(rng.integers(1, 600))
    return content + [bytes(count), rng.bytes(count), content[:count]][int(rng.integers(3))]


def remove_block(content: bytes, rng: np.random.Generator) -> bytes:
    """Take out a few bytes to a quarter of all; parameters as of `flip_bits`."""
    start, stop = _block(content, rng)
    return content[:start] + content[stop:]


def duplicate_block(content: bytes, rng: np.random.Generator) -> bytes:
    """Repeat a block once to eight times; parameters as of `flip_bits`."""
    start, stop = _block(content, rng)
    return content[:stop] + content[start:stop] * int(rng.integers(1, 9)) + content[stop:]


def overwrite_block(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a block in the place of another one, or zeros; parameters as of `flip_bits`."""
    start, stop = _block(content, rng)
    block = bytes(stop - start) if rng.random() < 0.3 else content[start:stop]
    place = _place(content, rng)
    return content[:place] + block + content[place + len(block) :]


def splice(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Join the beginning of one file and the end of another, cut at the same place or at different ones.

    Parameters
    ----------
    content, other : bytes
        The files.
    rng : numpy.random.Generator
        Source of the randomness.
    """
    place = int(rng.integers(len(content) + 1))
    behind = place if rng.random() < 0.5 else int(rng.integers(len(other) + 1))
    return content[:place] + other[behind:]


def change_word(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a word or number of a text by one of `WORDS`; parameters as of `flip_bits`."""
    tokens = np.concatenate([[False], _TOKEN_BYTES[np.frombuffer(content, np.uint8)], [False]])
    starts, stops = np.flatnonzero(tokens[1:] & ~tokens[:-1]), np.flatnonzero(tokens[:-1] & ~tokens[1:])
    if not len(starts):
        return content + _one_of(WORDS, rng)
    index = int(rng.integers(len(starts)))
    start, stop = int(starts[index]), int(stops[index])
    if rng.random() < 0.2:  # beside the word
        stop = start
    return content[:start] + _one_of(WORDS, rng) + content[stop:]


def change_line(content: bytes, rng: np.random.Generator) -> bytes:
    """Remove a line of a text, repeat it, exchange it with another one, or empty it; parameters as of `flip_bits`."""
    lines = content.split(b"\n")
    index, other = (int(rng.integers(len(lines))) for _ in range(2))
    kind = int(rng.integers(4))
    if kind == 0:
        del lines[index]
    elif kind == 1:
        lines.insert(other, lines[index])
    elif kind == 2:
        lines[index], lines[other] = lines[other], lines[index]
    else:
        lines[index] = b""
    return b"\n".join(lines)


BINARY: tuple[Mutation, ...] = (
    flip_bits,
    set_bytes,
    set_integer,
    set_integer,
    truncate,
    extend,
    remove_block,
    duplicate_block,
    overwrite_block,
)
"""Mutations of any bytes."""

TEXT: tuple[Mutation, ...] = (*BINARY, *[change_word] * 6, *[change_line] * 3)
"""Mutations of texts."""


def mutated(
    contents: Sequence[bytes], rng: np.random.Generator, *, mutations: Sequence[Mutation] = BINARY
) -> bytes:
    """Return one of several files with one to four changes.

    Parameters
    ----------
    contents : sequence of bytes
        Files that a reader reads; one in eight times the end of another one comes behind the beginning of one.
    rng : numpy.random.Generator
        Source of the randomness: the same seed, the same bytes.
    mutations : sequence of callable
        What is drawn from, `BINARY` or `TEXT` for example.

    Returns
    -------
    bytes
        The damaged file. It may be empty, and by chance it may be as good as before.

    Examples
    --------
    >>> mutated([b"width 40, height 50"], np.random.default_rng(42), mutations=[change_word])
    b'width 40, height {}'
    """
    content = _one_of(contents, rng)
    if len(contents) > 1 and rng.random() < 0.125:
        content = splice(content, _one_of(contents, rng), rng)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3, 4]))):
        if content:
            content = _one_of(mutations, rng)(content, rng)
    return content


def mutated_json(value: Any, rng: np.random.Generator) -> Any:
    """Return a JSON value with one to three changes: one of `VALUES` or another part of it in the place of a part.

    Parameters
    ----------
    value : Any
        What the json module reads; it is left as it is.
    rng : numpy.random.Generator
        Source of the randomness.

    Returns
    -------
    Any
        What the json module can write; numbers may be infinite or NaN.

    Examples
    --------
    >>> mutated_json({"shape": [40, 50], "dtype": "uint8"}, np.random.default_rng(3))
    {'shape': [40, -51], 'dtype': 1e+308}
    """
    changed = json.loads(json.dumps(value))
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        places = _places(changed)
        if not places:
            return _one_of(VALUES, rng)
        owner, key = _one_of(places, rng)
        kind = rng.random()
        if kind < 0.15:
            del owner[key]
        elif kind < 0.3:
            other, name = _one_of(places, rng)
            owner[key] = json.loads(json.dumps(other[name]))
        elif kind < 0.4 and isinstance(owner, list):
            owner.insert(key, json.loads(json.dumps(owner[key])))
        elif isinstance(owner[key], int | float) and kind < 0.6:
            owner[key] = owner[key] * int(rng.choice([-1, 2, 10**4, 10**9])) + int(rng.integers(-1, 2))
        else:
            owner[key] = json.loads(json.dumps(_one_of(VALUES, rng)))
    return changed


def with_png_checksums(content: bytes) -> bytes:
    """Return a PNG file whose chunks have the checksums of what is in them, so that a decoder reads on.

    Parameters
    ----------
    content : bytes
        A damaged PNG file; what is behind the last whole chunk stays as it is.

    Returns
    -------
    bytes
        As long as before.
    """
    fixed, position = bytearray(content), len(PNG_SIGNATURE)
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        end = position + 8 + length
        if end + 4 > len(content):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(content[position + 4 : end]))
        position = end + 4
    return bytes(fixed)


def _one_of(choices: Sequence[_Choice], rng: np.random.Generator) -> _Choice:
    return choices[int(rng.integers(len(choices)))]


def _place(content: bytes, rng: np.random.Generator) -> int:
    """Return a position, half of the times in the header."""
    near = rng.random() < 0.5
    return int(rng.integers(min(len(content), HEADER_BYTES) if near else len(content)))


def _block(content: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = _place(content, rng)
    longest = max(1, len(content) // 4) if rng.random() < 0.3 else 16
    return start, min(len(content), start + int(rng.integers(1, longest + 1)))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a JSON value, as container and key or index."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        owner = pending.pop()
        keys = (
            list(owner) if isinstance(owner, dict) else range(len(owner)) if isinstance(owner, list) else []
        )
        for key in keys:
            found.append((owner, key))
            pending.append(owner[key])
    return found
