"""Names of targets: unique in a job, safe as file names and as names of Zarr groups."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

#: Names are cut to this many bytes, so that endings and page numbers still fit the 255 of a file system.
LONGEST_NAME = 120

#: What distinguishes targets of one file is cut to its last bytes, since members of archives have names of any length.
LONGEST_SUFFIX = 60

_UNSAFE = re.compile(r"[^\w.+-]+")


def safe_name(text: str) -> str:
    """Turn any text into a name that is safe as a file name and as a Zarr group name.

    Letters and digits of any script, ``_``, ``.``, ``+`` and ``-`` are kept, anything else becomes ``_``.
    A name begins with a letter or digit, so it is neither hidden, nor an option on a command line, nor one
    that Zarr reserves.

    Parameters
    ----------
    text : str
        Any text, such as a file's stem.

    Returns
    -------
    str
        A name of 1 to `LONGEST_NAME` bytes in UTF-8.

    Examples
    --------
    >>> from scorefold.io.names import safe_name
    >>> safe_name("../grid 1/été.tif"), safe_name("...")
    ('grid_1_été.tif', 'target')
    """
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text))
    name = name.encode("utf-8", "ignore")[:LONGEST_NAME].decode("utf-8", "ignore")
    name = name.lstrip("._+-").rstrip("._")
    # A group of this name would hide the metadata of the group it is in.
    return "zarr_json" if name.casefold() == "zarr.json" else name or "target"


def readable_path(path: str) -> str:
    r"""Return a path that tables and reports can hold: bytes that are no text are written as ``\xNN``.

    Parameters
    ----------
    path : str
        A path as the operating system gave it, with surrogates for such bytes.

    Returns
    -------
    str
        The same for all other paths.

    Examples
    --------
    >>> from scorefold.io.names import readable_path
    >>> print(readable_path("caf\udce9/été.tif"))
    caf\xe9/été.tif
    """
    return os.fsencode(path).decode(errors="backslashreplace")


def unique_names(stems: Sequence[str], parents: Sequence[str], suffixes: Sequence[str]) -> list[str]:
    """Give each of several files a name of its own.

    A name is the stem with its suffix. Where two would be equal (upper and lower case count as equal, for
    file systems that do so), all of them get their folder's name in front; where that is not enough, the
    second gets ``-2`` and so on.

    Parameters
    ----------
    stems, parents : sequence of str
        Stem and parent folder of each file.
    suffixes : sequence of str
        What distinguishes several targets of one file, such as ``_003`` for a page.

    Returns
    -------
    list of str
        Names in the same order.

    Examples
    --------
    >>> from scorefold.io.names import unique_names
    >>> unique_names(["a", "b", "a"], ["x", "x", "y"], ["", "", ""])
    ['x_a', 'b', 'y_a']
    """
    names = [_with_suffix(stem, suffix) for stem, suffix in zip(stems, suffixes, strict=True)]
    shared = Counter(name.casefold() for name in names)
    names = [
        _with_suffix(f"{parent}_{stem}", suffix) if shared[name.casefold()] > 1 else name
        for name, parent, stem, suffix in zip(names, parents, stems, suffixes, strict=True)
    ]
    counts = Counter(name.casefold() for name in names)
    taken = {name for name, count in counts.items() if count == 1}
    unique = []
    for name in names:
        candidate, number = name, 1
        while counts[name.casefold()] > 1 and candidate.casefold() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique


def _with_suffix(stem: str, suffix: str) -> str:
    safe = _UNSAFE.sub("_", suffix).encode("utf-8", "ignore")
    end = safe if len(safe) <= LONGEST_SUFFIX else b"_" + safe[1 - LONGEST_SUFFIX :]
    return safe_name(stem) + end.decode("utf-8", "ignore")
