"""What is known of the images of an inspection: labels, and masks of their defects."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scorefold.errors import InputError
from scorefold.io.names import readable_path
from scorefold.io.targets import find_targets
from scorefold.planning.images import ImageEntry

UNKNOWN, GOOD, BAD = -1, 0, 1

LABELS = {
    **dict.fromkeys(("good", "ok", "normal", "0", "false", "no"), GOOD),
    **dict.fromkeys(("bad", "ng", "defect", "defective", "anomalous", "anomaly", "1", "true", "yes"), BAD),
}
"""Words for labels, in lower case."""

MASK_ENDINGS = ("", "_mask", "-mask", "_gt")
"""What masks are called beside the stem of their image."""


@dataclass(frozen=True)
class Truth:
    """What is known of one image.

    Attributes
    ----------
    label : int
        0 good, 1 bad, -1 unknown; with a mask the mask decides.
    mask : str
        Path of the mask of its defects, "" if there is none.
    """

    label: int = UNKNOWN
    mask: str = ""


def truth_to_bytes(truths: Sequence[Truth]) -> bytes:
    """Return a table of what is known as bytes."""
    table = pa.table(
        {
            "label": pa.array([t.label for t in truths], pa.int8()),
            "mask": pa.array([t.mask for t in truths], pa.string()),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


class TruthTable:
    """What is known of the images of a run, by their ids; a row is unpacked where it is asked for.

    Parameters
    ----------
    data : bytes
        What `truth_to_bytes` made.
    """

    def __init__(self, data: bytes) -> None:
        table = pq.read_table(pa.BufferReader(data))
        self._labels, self._masks = table.column("label"), table.column("mask")

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, image_id: int) -> Truth:
        return Truth(self._labels[image_id].as_py(), self._masks[image_id].as_py())

    def __iter__(self) -> Iterator[Truth]:
        return (self[image_id] for image_id in range(len(self)))


def known_truth(
    entries: Sequence[ImageEntry], masks: str | Path | None, labels: str | Path | None
) -> list[Truth] | None:
    """Return what masks or labels tell of images; None if there is neither.

    Raises
    ------
    InputError
        If both are given, or they cannot be used; see `truth_of_masks` and `truth_of_table`.
    """
    if masks is not None and labels is not None:
        raise InputError("masks and labels: give one of them.")
    if masks is not None:
        return truth_of_masks(entries, masks)
    return None if labels is None else truth_of_table(entries, labels)


def truth_of_masks(entries: Sequence[ImageEntry], masks: str | Path) -> list[Truth]:
    """Match a folder of masks with images by folder and name; an image without a mask is good.

    Parameters
    ----------
    entries : sequence of ImageEntry
        The images.
    masks : str or Path
        Folder, or glob, of masks: not 0 where an image is anomalous.

    Raises
    ------
    InputError
        If no mask belongs to an image, or one belongs to several.
    """
    patterns = [masks]
    root = Path(masks)
    if root.is_dir():
        inside = sorted({path.parent for path in root.rglob("*") if path.is_file()})
        patterns = [str(folder) for folder in inside if _has_images(folder)] or [masks]
    found, _ = find_targets(list(patterns), gray=False, channel=None)
    by_place: dict[tuple[str, str], str] = {}
    by_stem: dict[str, list[str]] = {}
    for source in found:
        path = Path(source.path)
        folder = path.parent.relative_to(root.absolute()).as_posix() if root.is_dir() else "."
        by_place[("" if folder == "." else folder, path.stem)] = source.path
        by_stem.setdefault(path.stem, []).append(source.path)
    stems = _unique_stems(entries)
    truths = []
    for entry in entries:
        stem = Path(entry.source.path).stem
        mask = ""
        for ending in MASK_ENDINGS:
            mask = by_place.get((entry.folder, stem + ending), "")
            if not mask and stem in stems and len(by_stem.get(stem + ending, ())) == 1:
                (mask,) = by_stem[stem + ending]
            if mask:
                break
        truths.append(Truth(BAD if mask else GOOD, mask))
    if not any(truth.mask for truth in truths):
        raise InputError(
            f'masks "{masks}": none is named like an image ({readable_path(entries[0].name)}, …). '
            "Name masks as the images, with or without _mask at the end."
        )
    return truths


def truth_of_table(entries: Sequence[ImageEntry], path: str | Path) -> list[Truth]:
    """Read labels from a csv file: a column of names or paths, and a column of labels.

    Raises
    ------
    InputError
        If the file cannot be read, a label is not known, or no name is that of an image.
    """
    labels: dict[str, int] = {}
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f'labels "{path}": {reason}. Give a csv file with the columns name and label.'
        ) from None
    if rows and rows[0][-1].strip().lower() not in LABELS:
        rows = rows[1:]
    for number, row in enumerate(rows, start=1):
        word = row[-1].strip().lower()
        if len(row) < 2 or word not in LABELS:
            raise InputError(
                f'labels "{path}": row {number}, {",".join(row)!r}: give a name and one of good, bad, 0, 1.'
            )
        labels[row[0].strip()] = LABELS[word]
    truths = [
        Truth(next((labels[name] for name in _names(entry) if name in labels), UNKNOWN)) for entry in entries
    ]
    if all(truth.label == UNKNOWN for truth in truths):
        raise InputError(
            f'labels "{path}": none of its {len(labels)} names is that of an image '
            f"({readable_path(entries[0].name)}, …)."
        )
    return truths


def _names(entry: ImageEntry) -> Iterable[str]:
    path = Path(entry.source.path)
    folder = f"{entry.folder}/" if entry.folder else ""
    return (entry.name, folder + path.name, folder + path.stem, path.name, path.stem, entry.source.path)


def _unique_stems(entries: Sequence[ImageEntry]) -> set[str]:
    counts: dict[str, int] = {}
    for entry in entries:
        stem = Path(entry.source.path).stem
        counts[stem] = counts.get(stem, 0) + 1
    return {stem for stem, count in counts.items() if count == 1}


def _has_images(folder: Path) -> bool:
    from scorefold.io.formats import FORMAT_OF_SUFFIX  # noqa: PLC0415

    return any(os.path.splitext(name)[1].lower() in FORMAT_OF_SUFFIX for name in os.listdir(folder))  # noqa: PTH122, PTH208
