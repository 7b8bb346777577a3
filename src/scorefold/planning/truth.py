"""What is known of the images of an inspection: labels, and masks of their defects."""

import csv
import io
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scorefold.errors import InputError, ScorefoldWarning, in_one_line
from scorefold.io.listing import absolute_path, folders_with_images
from scorefold.io.names import readable_path
from scorefold.io.targets import TargetSource, find_targets, reason_of
from scorefold.object_stores import is_url, on_disk
from scorefold.planning.images import ImageEntry
from scorefold.planning.inspect_job import MeasureOptions
from scorefold.planning.row_table import ROW_GROUP, RowTable

UNKNOWN, GOOD, BAD = -1, 0, 1

LABELS = {
    **dict.fromkeys(("good", "ok", "normal", "0", "false", "no"), GOOD),
    **dict.fromkeys(("bad", "ng", "defect", "defective", "anomalous", "anomaly", "1", "true", "yes"), BAD),
}
"""Words for labels, in lower case."""

MASK_ENDINGS = ("", "_mask", "-mask", "_gt")
"""What masks are called beside the stem of their image."""


_SCHEMA = pa.schema([("label", pa.int8()), ("mask", pa.string())])


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
    table = pa.table({"label": [t.label for t in truths], "mask": [t.mask for t in truths]}, _SCHEMA)
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=ROW_GROUP)
    return sink.getvalue()


class TruthTable(RowTable[Truth]):
    """What is known of the images of a run, by their ids; rows are unpacked where they are asked for.

    Parameters
    ----------
    data : bytes
        What `truth_to_bytes` made.

    Raises
    ------
    StoreError
        If it is damaged; reading a row raises it, too.
    """

    schema = _SCHEMA
    title = "table of labels and masks"
    remedy = "Give them again: scorefold evaluate."

    def _entry(self, row: dict[str, Any]) -> Truth:
        return Truth(**row)


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
    """Match masks with images by folder and name, or by name alone where it is unique; images without one are good.

    Parameters
    ----------
    entries : sequence of ImageEntry
        The images.
    masks : str or Path
        Folder, or glob, of masks: not 0 where an image is anomalous.

    Raises
    ------
    InputError
        If a mask cannot be read or has another shape than its image, none belongs to an image, or it cannot be told
        which.

    Warns
    -----
    ScorefoldWarning
        If masks belong to no image.
    """
    by_place: dict[tuple[str, str], TargetSource] = {}
    by_stem: dict[str, list[TargetSource]] = {}
    for folder, source in _find_masks(masks):
        stem = Path(source.path).stem
        by_place[folder, stem] = source
        by_stem.setdefault(stem, []).append(source)
    stems = Counter(Path(entry.source.path).stem for entry in entries)
    found: list[TargetSource | None] = []
    doubtful: ImageEntry | None = None
    by_folder = False
    for entry in entries:
        stem = Path(entry.source.path).stem
        names = [stem + ending for ending in MASK_ENDINGS]
        folders = (entry.folder, Path(entry.source.path).parent.name)
        mask = next((by_place[f, n] for f in folders for n in names if (f, n) in by_place), None)
        by_folder |= mask is not None
        if mask is None:
            alike = [source for name in names for source in by_stem.get(name, ())]
            if len(alike) == 1 and stems[stem] == 1:
                mask = alike[0]
            elif alike:
                doubtful = doubtful or entry
        found.append(mask)
    if doubtful is not None and not by_folder:
        raise InputError(
            f'masks "{masks}": several are named like "{readable_path(doubtful.name)}". Keep masks in folders like '
            "those of the images."
        )
    _check_masks(entries, found, masks)
    unused = sum(map(len, by_stem.values())) - len({mask.path for mask in found if mask is not None})
    if unused:
        warnings.warn(
            f'masks "{masks}": {unused} of {sum(map(len, by_stem.values()))} are named like no image.',
            ScorefoldWarning,
            stacklevel=2,
        )
    return [Truth(GOOD) if mask is None else Truth(BAD, mask.path) for mask in found]


def _find_masks(masks: str | Path) -> list[tuple[str, TargetSource]]:
    """Return the masks with their folders, below the one that was given."""
    patterns: list[str | Path] = [masks]
    top = PurePosixPath(absolute_path(masks))
    try:
        if is_url(str(masks)):
            patterns = [*folders_with_images(absolute_path(masks))] or patterns
        elif Path(masks).is_dir():
            inside = sorted({path.parent for path in Path(masks).rglob("*") if path.is_file()})
            patterns = [folder for folder in inside if _has_images(folder)] or [masks]
        found, broken = find_targets(patterns, gray=True)
    except InputError as error:
        raise InputError(str(error).replace("target", "masks", 1)) from None
    if broken:
        raise InputError(
            f'mask "{readable_path(broken[0].path)}": {broken[0].reason.rstrip(".")}. Repair or remove it.'
        )
    places = [PurePosixPath(source.path).parent for source in found]
    folders = [
        place.relative_to(top).as_posix() if top in (place, *place.parents) else "" for place in places
    ]
    return [("" if folder == "." else folder, s) for folder, s in zip(folders, found, strict=True)]


def _check_masks(
    entries: Sequence[ImageEntry], found: Sequence[TargetSource | None], masks: str | Path
) -> None:
    if not any(found):
        raise InputError(
            f'masks "{masks}": none is named like an image ({readable_path(entries[0].name)}, …). '
            "Name masks as the images, with or without _mask at the end."
        )
    for entry, mask in zip(entries, found, strict=True):
        if mask is not None and not entry.failure and mask.shape != entry.source.shape[-2:]:
            raise InputError(
                f'mask "{readable_path(mask.path)}": shape {mask.shape}, its image\'s {entry.source.shape}. '
                "Give one mask a file, of its image's size."
            )


def truth_of_table(entries: Sequence[ImageEntry], path: str | Path) -> list[Truth]:
    """Read labels from a csv file: a column of names or paths, and a column of labels.

    Raises
    ------
    InputError
        If the file cannot be read, a label is not known, or no name is that of an image.
    """
    labels: dict[str, int] = {}
    try:
        with on_disk(path) as copy, copy.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or reason_of(error)
        raise InputError(
            f'labels "{path}": {reason}. Give a csv file with the columns name and label.'
        ) from None
    if rows and rows[0][-1].strip().lower() not in LABELS:
        rows = rows[1:]
    for number, row in enumerate(rows, start=1):
        word = row[-1].strip().lower()
        if len(row) < 2 or word not in LABELS:
            raise InputError(
                f'labels "{path}": row {number}, {in_one_line(",".join(row), 60)!r}: give a name and one of good, '
                "bad, 0, 1."
            )
        labels[row[0].strip()] = LABELS[word]
    stems = Counter(Path(entry.source.path).stem for entry in entries)
    truths = []
    for entry in entries:
        unique = stems[Path(entry.source.path).stem] == 1
        known = (labels[name] for name in _names(entry, unique=unique) if name in labels)
        truths.append(Truth(next(known, UNKNOWN)))
    if all(truth.label == UNKNOWN for truth in truths):
        raise InputError(
            f'labels "{path}": none of its {len(labels)} names is that of an image '
            f"({readable_path(entries[0].name)}, …)."
        )
    return truths


def _names(entry: ImageEntry, *, unique: bool) -> Iterable[str]:
    """Return what a table may call an image; by its bare file name only if no other has it."""
    path = Path(entry.source.path)
    folder = f"{entry.folder}/" if entry.folder else ""
    names = [entry.name, entry.source.path, folder + path.name, folder + path.stem]
    return [*names, path.name, path.stem] if unique else names


def check_threshold(
    measure: MeasureOptions, truths: "TruthTable | Sequence[Truth] | None", *, maps: bool
) -> None:
    """Refuse a threshold that does not follow from what is known of the images.

    Parameters
    ----------
    measure : MeasureOptions
        With the threshold.
    truths : TruthTable, sequence of Truth or None
        What is known.
    maps : bool
        Whether there is no model, and so no scores of good images.

    Raises
    ------
    InputError
        If images of a kind that it follows from are not known.
    """
    if not (measure.needs_labels or (maps and measure.needs_good_images)):
        return
    labels = set() if truths is None else {truths[image_id].label for image_id in range(len(truths))}
    if measure.needs_labels and not {GOOD, BAD} <= labels:
        raise InputError(
            f'threshold "{measure.threshold}": it follows from images labelled good and bad. Give --masks or '
            "--labels with both, or another threshold."
        )
    if measure.needs_good_images and maps and GOOD not in labels:
        raise InputError(
            f'threshold "{measure.threshold}": it follows from good images, and maps alone do not tell which are '
            "good. Give --threshold VALUE, or --labels or --masks."
        )


def _has_images(folder: Path) -> bool:
    from scorefold.io.formats import FORMAT_OF_SUFFIX  # noqa: PLC0415

    return any(os.path.splitext(name)[1].lower() in FORMAT_OF_SUFFIX for name in os.listdir(folder))
