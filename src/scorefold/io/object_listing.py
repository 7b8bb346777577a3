"""Images and stores at URLs: those in a folder of an object store, and those that a glob pattern matches."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from scorefold.errors import InputError
from scorefold.io.formats import FORMAT_OF_SUFFIX
from scorefold.io.formats.zarr_arrays import METADATA_FILES
from scorefold.object_stores import list_below, list_folder, object_status, read_object

_STORE = ".zarr"
_WILD = re.compile(r"[*\[]")


def is_object(url: str) -> bool:
    """Tell by its name whether a URL is that of one file, rather than of a Zarr store or a folder."""
    return not _in_store(url) and FORMAT_OF_SUFFIX.get(_suffix(url)) is not None


def objects_at(url: str) -> list[str]:
    """Return the URLs of the files and Zarr stores that a URL stands for.

    Parameters
    ----------
    url : str
        That of a file or a Zarr store, which is returned; a folder, of which all files of supported types and stores
        (``….zarr``) directly inside are returned, but no runs; or a glob pattern, in which ``**`` descends.

    Raises
    ------
    InputError
        If it is a pattern or folder and there is nothing, or the object store cannot be listed.
    """
    pattern = _WILD.search(url)
    if pattern is None and (is_object(url) or _in_store(url)):
        return [url]
    try:
        if pattern is None:
            if _is_node(url):
                return [url]
            found = _supported(_directly_in(url))
            remedy = f"no image or volume files in this folder. Supported are {' '.join(FORMAT_OF_SUFFIX)}"
        else:
            found = _supported(_matching(url))
            remedy = "no image or volume files match it. Check the bucket and the pattern"
    except PermissionError:
        raise InputError(
            f'target "{url}": access was refused. Check the credentials in the environment, and that they allow '
            "to list the bucket."
        ) from None
    except FileNotFoundError:
        raise InputError(f'target "{url}": no such bucket. Check the URL.') from None
    except OSError as error:
        raise InputError(f'target "{url}": cannot be listed ({error}).') from None
    if not found:
        raise InputError(f'target "{url}": {remedy}.')
    return found


def folders_with_images(url: str) -> list[str]:
    """Return the URLs of a folder and all folders in it that directly hold files of supported types."""
    return sorted({name.rpartition("/")[0] for name in list_below(url) if is_object(name)})


def _directly_in(url: str) -> list[str]:
    objects, folders = list_folder(url)
    return sorted([*objects, *folders])


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


def _supported(names: Iterable[str]) -> list[str]:
    def wanted(name: str) -> Iterator[bool]:
        yield not name.rpartition("/")[2].startswith(".")
        yield _suffix(name) in FORMAT_OF_SUFFIX
        yield _suffix(name) != _STORE or not _is_run(name)

    return [name for name in names if all(wanted(name))]


def _suffix(url: str) -> str:
    name = url.rpartition("/")[2]
    return name[name.rfind(".") :].lower() if "." in name else ""


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
