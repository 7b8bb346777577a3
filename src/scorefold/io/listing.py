"""Files, objects and Zarr stores that a user names: one, those in a folder, and those that a glob pattern matches."""

import contextlib
import glob
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from scorefold.credentials import check_url
from scorefold.errors import InputError
from scorefold.io.formats import FORMAT_OF_SUFFIX
from scorefold.io.formats.zarr_arrays import METADATA_FILES, is_node, is_run
from scorefold.object_stores import is_url, list_below, list_folder, object_status, read_object

_STORE = ".zarr"
_SUPPORTED = f"Supported are {' '.join(FORMAT_OF_SUFFIX)}"
_WILD = re.compile(r"[*\[]")


def absolute_path(path: str | Path) -> str:
    """Return the absolute path of a local file; leave a URL as it is.

    Parameters
    ----------
    path : str or Path
        Path, ``file://`` URL or other URL.

    Returns
    -------
    str
        The path. Links are not followed: names come from what the user wrote.

    Raises
    ------
    InputError
        If it is a URL that holds credentials.
    """
    text = os.fspath(path).removeprefix("file://")
    check_url(text)
    return text.rstrip("/") if is_url(text) else os.path.abspath(os.path.expanduser(text))


def paths_of(pattern: str | Path) -> list[str]:
    """Return the paths and URLs that one of the patterns of `scorefold.io.find_targets` stands for.

    Parameters
    ----------
    pattern : str or Path
        That of a file or a Zarr store, which is returned; a folder, of which all files of supported types and stores
        directly inside are returned, but no runs; or a glob pattern, in which ``**`` descends. In folders at URLs, the
        names of stores end in ``.zarr``.

    Raises
    ------
    InputError
        If there is nothing, or an object store cannot be listed.
    """
    if pattern == "":
        raise InputError('target "": an empty name. Pass a file, folder or glob pattern.')
    path = absolute_path(pattern)
    if is_url(path):
        return _objects_at(path)
    if os.path.lexists(path):
        if not Path(path).is_dir() or is_node(path) or path.endswith(_STORE):
            return [path]
        inside = [str(entry) for entry in sorted(Path(path).iterdir()) if not entry.name.startswith(".")]
        matched = list(_supported(inside))
        remedy = f"no image or volume files in this folder. {_SUPPORTED}"
    else:
        matched = list(_supported(sorted(glob.glob(path, recursive=True))))
        remedy = "no such file, and no image or volume files match it. Check the path; quote glob patterns"
    if not matched:
        raise InputError(f'target "{pattern}": {remedy}.')
    return matched


def _supported(paths: Iterable[str]) -> Iterator[str]:
    stores: set[Path] = set()
    for path in paths:
        if stores and not stores.isdisjoint(Path(path).parents):
            continue
        if os.path.isdir(path):
            if suffix_of(path) == _STORE or is_node(path):
                stores.add(Path(path))
                if not is_run(path):
                    yield path
        elif suffix_of(path) in FORMAT_OF_SUFFIX:
            yield path


def suffix_of(path: str) -> str:
    """Return the ending of a file's name in lower case."""
    return os.path.splitext(path)[1].lower()


def is_object(url: str) -> bool:
    """Tell by its name whether a URL is that of one file, rather than of a Zarr store or a folder."""
    return not _in_store(url) and suffix_of(url) in FORMAT_OF_SUFFIX


def _objects_at(url: str) -> list[str]:
    pattern = _WILD.search(url)
    if pattern is None and (is_object(url) or _in_store(url)):
        return [url]
    with _listing(url):
        if pattern is None:
            if _is_node(url):
                return [url]
            found = _supported_objects(_directly_in(url))
            remedy = f"no image or volume files in this folder. {_SUPPORTED}"
        else:
            found = _supported_objects(_matching(url))
            remedy = "no image or volume files match it. Check the bucket and the pattern"
    if not found:
        raise InputError(f'target "{url}": {remedy}.')
    return found


@contextlib.contextmanager
def _listing(url: str) -> Iterator[None]:
    """Tell in one line why a store cannot be listed."""
    try:
        yield
    except PermissionError:
        raise InputError(
            f'target "{url}": access was refused. Check the credentials in the environment, and that they allow '
            "to list the bucket."
        ) from None
    except FileNotFoundError:
        raise InputError(f'target "{url}": no such bucket. Check the URL.') from None
    except OSError as error:
        raise InputError(f'target "{url}": cannot be listed ({error}).') from None


def folders_with_images(url: str) -> list[str]:
    """Return the URLs of a folder and all folders in it that directly hold files of supported types.

    Raises
    ------
    InputError
        If the object store cannot be listed.
    """
    with _listing(url):
        return sorted({name.rpartition("/")[0] for name in list_below(url) if is_object(name)})


def _directly_in(url: str) -> list[str]:
    names = sorted(itertools.chain(*list_folder(url)))
    return [name for name in names if not name.rpartition("/")[2].startswith(".")]


def _matching(pattern: str) -> list[str]:
    """Return what a glob pattern matches, as `glob.glob` does in a file system."""
    scheme, _, rest = pattern.partition("://")
    bucket, *parts = rest.split("/")
    wild = next((place for place, part in enumerate(parts) if _WILD.search(part)), len(parts))
    folder = f"{scheme}://{'/'.join([bucket, *parts[:wild]])}"
    deep = wild < len(parts) - 1 or parts[-1:] == ["**"]
    names = _stores_as_one(list_below(folder)) if deep else _directly_in(folder)
    return [name for name in names if _fits(name[len(folder) + 1 :].split("/"), parts[wild:])]


def _stores_as_one(names: Iterable[str]) -> list[str]:
    """Return names, of which all those inside a Zarr store become its own."""
    whole = (
        name[: name.index(f"{_STORE}/") + len(_STORE)] if f"{_STORE}/" in name else name for name in names
    )
    return list(dict.fromkeys(whole))


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        visible = next((n for n, part in enumerate(parts) if part.startswith(".")), len(parts))
        return any(_fits(parts[n:], pattern[1:]) for n in range(visible + 1))
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _supported_objects(names: Iterable[str]) -> list[str]:
    return [
        name
        for name in names
        if suffix_of(name) in FORMAT_OF_SUFFIX and not (suffix_of(name) == _STORE and _is_run(name))
    ]


def _in_store(url: str) -> bool:
    return f"{_STORE}/" in f"{url}/"


def _is_node(url: str) -> bool:
    for name in METADATA_FILES:
        # Who may not list a bucket is refused what is not there.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            object_status(f"{url}/{name}")
            return True
    return False


def _is_run(url: str) -> bool:
    try:
        return "scorefold" in json.loads(read_object(f"{url}/zarr.json"))["attributes"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
