"""The images of an inspection: a table in the run, of which every task reads its own rows."""

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scorefold.errors import InputError
from scorefold.io import TargetSource, find_targets
from scorefold.io.names import readable_path, safe_name
from scorefold.object_stores import is_url, statuses_kept
from scorefold.planning.job import file_stamp
from scorefold.planning.row_table import ROW_GROUP, RowTable

_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("path", pa.string()),
        ("folder", pa.string()),
        ("format", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("dtype", pa.string()),
        ("page", pa.int32()),
        ("channel", pa.int32()),
        ("gray", pa.bool_()),
        ("dataset", pa.string()),
        ("size", pa.int64()),
        ("changed", pa.int64()),
        ("failure", pa.string()),
    ]
)


@dataclass(frozen=True)
class ImageEntry:
    """One image of a data set.

    Attributes
    ----------
    source : TargetSource
        Where its pixels are.
    folder : str
        Its folder below the one that all images share, with slashes; "" at the top.
    stamp : (int, int) or None
        `scorefold.planning.job.file_stamp` of its file when it was listed.
    failure : str
        Why it cannot be read; empty if it can, as far as its header tells.
    """

    source: TargetSource
    folder: str = ""
    stamp: tuple[int, int] | None = None
    failure: str = ""

    @property
    def name(self) -> str:
        """Its name, unique in the data set."""
        return self.source.name


def list_images(
    patterns: Sequence[str | Path],
    *,
    channel: int | None = None,
    gray: bool = False,
    pages: str = "batch",
) -> list[ImageEntry]:
    """List the images of a data set; what cannot be read is listed with the reason.

    Parameters
    ----------
    patterns : sequence of str or Path
        Files, folders and glob patterns, as `scorefold.io.find_targets` takes them.
    channel, gray, pages
        As there; a stack is a batch of images.

    Raises
    ------
    InputError
        If a pattern matches nothing.
    """
    with statuses_kept():
        sources, broken = find_targets(list(patterns), channel=channel, gray=gray, pages=pages)  # type: ignore[arg-type]
        paths = [source.path for source in sources] + [item.path for item in broken]
        stamps = {path: file_stamp(path) for path in dict.fromkeys(paths)}
    parents = [os.path.dirname(path) for path in paths]
    alike = len({is_url(path) for path in paths}) == 1
    shared = os.path.commonpath(parents) if alike else ""
    entries = [
        ImageEntry(
            source,
            _folder(source.path, shared),
            stamps[source.path],
            "" if len(source.shape) == 2 else f"it has {len(source.shape)} axes, not 2",
        )
        for source in sources
    ]
    taken = {entry.name for entry in entries}
    for item in broken:
        name = base = safe_name(Path(item.path).name)
        number = 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        nothing = TargetSource(name, item.path, "", (0, 0), "uint8")
        entries.append(ImageEntry(nothing, _folder(item.path, shared), stamps[item.path], item.reason))
    return entries


def _folder(path: str, shared: str) -> str:
    if not shared:
        return ""
    relative = os.path.relpath(os.path.dirname(path), shared)
    return "" if relative == "." else Path(relative).as_posix()


def pictures_of(maps: Sequence[ImageEntry], images: Sequence[ImageEntry]) -> list[ImageEntry]:
    """Return the image of every map: that of the same name, page and folder, or the only one of that name and page.

    The name of a map is that of its file or, in a file of many, its own.

    Parameters
    ----------
    maps, images : sequence of ImageEntry
        What is matched.

    Returns
    -------
    list of ImageEntry
        One a map; entries with a failure stand for none.

    Raises
    ------
    InputError
        If no map has an image.
    """
    known: dict[tuple[Any, ...], list[ImageEntry]] = {}
    for image in images:
        for key in _names(image)[:2]:
            known.setdefault((image.folder, *key), []).append(image)
            known.setdefault(key, []).append(image)
    found = []
    for entry in maps:
        names = _names(entry)
        alike = [known.get(key, []) for name in names for key in ((entry.folder, *name), name)]
        nothing = ImageEntry(
            TargetSource(entry.name, "", "", (0, 0), "uint8"), failure="no image of this name"
        )
        found.append(next((images[0] for images in alike if len(images) == 1), nothing))
    if all(image.failure for image in found):
        raise InputError(
            f'images: none is named like a map ("{maps[0].name}", …). Name images as their maps, or leave them out.'
        )
    return found


def _names(entry: ImageEntry) -> list[tuple[str, str, int]]:
    """Return what an image may be called, most telling first: file, array in the file, page."""
    stem, part = Path(entry.source.path).stem, entry.source.dataset or ""
    page = -1 if entry.source.page is None else entry.source.page
    return list(dict.fromkeys([(stem, part, page), (stem, "", page), (Path(part).stem, "", page)]))


class ImageTable(RowTable[ImageEntry]):
    """The images of a run, in the order of their ids; rows are read where they are asked for.

    Parameters
    ----------
    data : bytes
        What `to_bytes` made.

    Raises
    ------
    StoreError
        If it is damaged; reading a row raises it, too.
    """

    schema = _SCHEMA
    title = "table of images"
    remedy = "Start a new run."

    def rows(self, first: int, stop: int) -> list[ImageEntry]:
        """Return the images with the ids ``first`` to ``stop - 1``."""
        return [self[image_id] for image_id in range(first, stop)]

    def _entry(self, row: dict[str, Any]) -> ImageEntry:
        return _entry(row)

    @staticmethod
    def to_bytes(entries: Sequence[ImageEntry]) -> bytes:
        """Return a table of images as bytes."""
        rows = [_row(entry) for entry in entries]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink, row_group_size=ROW_GROUP)
        return sink.getvalue()


def images_digest(entries: Sequence[ImageEntry]) -> str:
    """Return the SHA-256 over which images there are: places, sizes and times of change of their files.

    The pixels of a million images are not read twice for a fingerprint; a task that reads a file whose stamp has
    changed refuses it.
    """
    sha = hashlib.sha256()
    for entry in entries:
        sha.update(repr(sorted(_row(entry).items())).encode())
    return sha.hexdigest()


def _row(entry: ImageEntry) -> dict[str, Any]:
    source = entry.source
    height, width = source.shape[-2:]
    size, changed = entry.stamp or (None, None)
    return {
        "name": source.name,
        "path": os.fsencode(source.path).decode("utf-8", "backslashreplace")
        if entry.failure
        else _text(source.path),
        "folder": readable_path(entry.folder),
        "format": source.format,
        "height": height,
        "width": width,
        "dtype": source.dtype,
        "page": source.page,
        "channel": source.channel,
        "gray": source.gray,
        "dataset": source.dataset,
        "size": size,
        "changed": changed,
        "failure": readable_path(entry.failure),
    }


def _text(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(
            f'image "{readable_path(path)}": its path is not valid UTF-8. Rename the file.'
        ) from None
    return path


def _entry(row: dict[str, Any]) -> ImageEntry:
    source = TargetSource(
        name=row["name"],
        path=row["path"],
        format=row["format"],
        shape=(row["height"], row["width"]),
        dtype=row["dtype"],
        page=row["page"],
        channel=row["channel"],
        gray=row["gray"],
        dataset=row["dataset"],
    )
    stamp = None if row["size"] is None else (row["size"], row["changed"])
    return ImageEntry(source, row["folder"], stamp, row["failure"])
