"""Faults to inject into the files of a run, for tests that nothing damaged is ever taken for a result."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

CORRUPTIONS = ("flip", "truncate", "delete", "empty", "zeros", "swap")
"""What `corrupt` can do to a file: flip one to eight bits, cut its end off, delete it, leave none or only zeros of its
bytes, or exchange it with another file."""

COMMITTED = ("states", "commits", "results", "tables", "figures", "report.html")
"""The parts of a run that commit records vouch for, and the records."""


def corrupt(path: Path, kind: str, rng: np.random.Generator, other: Path | None = None) -> None:
    r"""Damage a file.

    Parameters
    ----------
    path : Path
        The file, not empty.
    kind : str
        One of `CORRUPTIONS`.
    rng : numpy.random.Generator
        Where it is damaged.
    other : Path, optional
        The file it is exchanged with by "swap".

    Raises
    ------
    ValueError
        For an unknown kind, or "swap" without another file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a"
    >>> _ = path.write_bytes(b"scores")
    >>> corrupt(path, "zeros", np.random.default_rng(0))
    >>> path.read_bytes()
    b'\x00\x00\x00\x00\x00\x00'
    """
    data = path.read_bytes()
    if kind == "flip":
        changed = bytearray(data)
        for bit in rng.choice(8 * len(data), min(int(rng.integers(1, 9)), 8 * len(data)), replace=False):
            changed[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bytes(changed))
    elif kind == "truncate":
        path.write_bytes(data[: rng.integers(len(data))])
    elif kind == "delete":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "zeros":
        path.write_bytes(bytes(len(data)))
    elif kind == "swap" and other is not None:
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
    else:
        raise ValueError(
            f"corruption {kind!r}: not one of {', '.join(CORRUPTIONS)}, or without another file."
        )


def corrupt_run(
    location: str | Path, rng: np.random.Generator, parts: Sequence[str] = COMMITTED
) -> tuple[str, str]:
    """Damage a random file of a run that is stored in a directory.

    Parameters
    ----------
    location : str or Path
        The run.
    rng : numpy.random.Generator
        What is damaged, and how.
    parts : sequence of str
        Folders or files of the run that may be damaged.

    Returns
    -------
    kind, name : str
        One of `CORRUPTIONS`, and the file below the run's directory.

    Raises
    ------
    ValueError
        If none of the parts holds a file that is not empty.
    """
    root = Path(location)
    found = [path for part in parts for path in (root / part, *(root / part).rglob("*"))]
    files = sorted(path for path in found if path.is_file() and path.stat().st_size)
    if not files:
        raise ValueError(f'run "{location}": nothing to damage in {", ".join(parts)}.')
    path = files[rng.integers(len(files))]
    alike = [other for other in files if other != path and other.suffix == path.suffix]
    kind = str(rng.choice(CORRUPTIONS if alike else CORRUPTIONS[:-1]))
    corrupt(path, kind, rng, alike[rng.integers(len(alike))] if kind == "swap" else None)
    return kind, str(path.relative_to(root))
