"""Targets: finding the images and volumes that a job searches, without reading their pixels."""

import contextvars
import dataclasses
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from scorefold.credentials import without_credentials
from scorefold.errors import InputError, in_one_line
from scorefold.io.formats import FORMAT_OF_SUFFIX, FORMATS, FormatError, StoredArray
from scorefold.io.formats.decoding_limit import MOST_PAGES
from scorefold.io.formats.image import opencv_silenced
from scorefold.io.formats.layout import SPATIAL_AXES, Pages, assign_roles, check_channel, result_dtype
from scorefold.io.formats.zarr_arrays import split_node
from scorefold.io.listing import is_object, paths_of, suffix_of
from scorefold.io.names import unique_names
from scorefold.io.units import METRES, unit_name
from scorefold.object_stores import is_url

_LONGEST_REASON = 200

_LOOKED_INTO_AT_ONCE = 16
"""Objects; a request takes a while, in which others can be made."""

_Outcome = TypeVar("_Outcome")


@dataclass(frozen=True)
class TargetSource:
    """Where the pixels of one target are; it holds no pixels.

    Parameters
    ----------
    name : str
        Unique in a job; safe as a file name and as the name of a Zarr group.
    path : str
        Absolute path, or URL.
    format : {"image", "tiff", "npy", "npz", "zarr", "mrc"}
        How the file is read.
    shape : tuple of int
        (y, x) or (z, y, x), after page and channel are chosen.
    dtype : str
        NumPy type name of the pixels as they are read.
    page : int or None
        Which of the images in a stack, counted over all its batch axes in C order.
    channel : int or None
        Which channel, counted from 0.
    gray : bool
        Whether the channels are mixed into luma (ITU-R BT.601, float32; alpha is ignored).
    dataset : str or None
        Path or name of the array within a Zarr group or .npz archive; number of the image series in a TIFF file.
    pixel_size : tuple of float or None
        Size of a pixel along each axis.
    pixel_unit : str or None
        Unit of `pixel_size`: angstrom, nanometer, micrometer, …

    Examples
    --------
    >>> from scorefold.io import TargetSource
    >>> source = TargetSource(name="a", path="/data/a.npy", format="npy", shape=(8, 9), dtype="uint8")
    >>> TargetSource.from_json(source.to_json()) == source
    True
    """

    name: str
    path: str
    format: str
    shape: tuple[int, ...]
    dtype: str
    page: int | None = None
    channel: int | None = None
    gray: bool = False
    dataset: str | None = None
    pixel_size: tuple[float, ...] | None = None
    pixel_unit: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that the json module can write.

        Returns
        -------
        dict
            One entry a field; tuples as lists.
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the source that `to_json` wrote.

        Parameters
        ----------
        fields : mapping
            What `to_json` returned.

        Returns
        -------
        TargetSource
            An equal source.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**values)


@dataclass(frozen=True)
class UnreadableTarget:
    """A file that was asked for and cannot be read.

    Parameters
    ----------
    path : str
        The file.
    reason : str
        Why, in one line.
    """

    path: str
    reason: str


def find_targets(
    patterns: str | Path | Sequence[str | Path],
    *,
    channel: int | None = None,
    gray: bool = False,
    pages: Pages = "auto",
    pixel_size: float | Sequence[float] | None = None,
    pixel_unit: str = "angstrom",
) -> tuple[list[TargetSource], list[UnreadableTarget]]:
    """List the targets in files, folders and stores.

    Supported are PNG, JPEG, BMP, PNM and WebP images; TIFF (plain, ImageJ, OME); .npy and .npz; MRC and CCP4; Zarr
    and OME-Zarr. Headers are read and files cut short are found out; only BMP, PNM and WebP are decoded.

    Parameters
    ----------
    patterns : str, Path, or sequence of these
        Files; folders (every supported file directly inside, sorted, but no runs); glob patterns (``**`` descends);
        Zarr groups or arrays, where ``path.zarr/array`` names an array within a group; URLs of all of these.
    channel : int, optional
        Channel of images that have several, counted from 0 in the order red, green, blue, alpha.
    gray : bool
        Mix colour into luma instead.
    pages : {"auto", "batch", "volume"}
        What a stack is: "auto" goes by the metadata (a TIFF is a volume if ImageJ or OME metadata name a z
        axis, an MRC file by its space group and ending, other arrays with three axes are volumes), "batch"
        makes each page or z plane a target, "volume" makes the stack one target.
    pixel_size : float or sequence of float, optional
        Size of a pixel, one for all axes or one an axis, instead of what the files say.
    pixel_unit : str
        Unit of `pixel_size`.

    Returns
    -------
    targets : list of TargetSource
        In the order of the patterns; a file matched twice is listed once.
    unreadable : list of UnreadableTarget
        Files that cannot be read, each with its reason; none of them is fatal.

    Raises
    ------
    InputError
        If a pattern matches nothing, or the choice of channel does not leave one channel in every target.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from scorefold.io import find_targets
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "tomogram.npy", np.zeros((4, 5, 6), np.float32))
    >>> targets, unreadable = find_targets([folder], pixel_size=10.0)
    >>> targets[0].name, targets[0].shape, targets[0].pixel_size, unreadable
    ('tomogram', (4, 5, 6), (10.0, 10.0, 10.0), [])
    """
    if pages not in ("auto", "batch", "volume"):
        raise InputError(f'pages="{pages}": not known. Pass auto, batch or volume.')
    _check_pixel_size(pixel_size, pixel_unit)
    if isinstance(patterns, str | Path):
        patterns = [patterns]
    found: list[tuple[TargetSource, str]] = []
    unreadable: list[UnreadableTarget] = []
    paths = list(dict.fromkeys(path for pattern in patterns for path in paths_of(pattern)))

    def look_into(path: str) -> list[tuple[TargetSource, str]] | UnreadableTarget:
        try:
            label = f'target "{os.path.basename(path)}"'
            return sources_in(path, label, channel=channel, gray=gray, pages=pages)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 on damaged files, decoders raise anything
            return UnreadableTarget(path, reason_of(error))

    for outcome in _for_each(paths, look_into):
        if isinstance(outcome, UnreadableTarget):
            unreadable.append(outcome)
        else:
            found += outcome
    names = unique_names(
        [_stem(source.path) for source, _ in found],
        [os.path.basename(os.path.dirname(source.path)) for source, _ in found],
        [suffix for _, suffix in found],
    )
    targets = [dataclasses.replace(source, name=name) for (source, _), name in zip(found, names, strict=True)]
    if pixel_size is not None:
        targets = [_with_pixel_size(target, pixel_size, pixel_unit) for target in targets]
    return targets, unreadable


def _for_each(paths: Sequence[str], work: Callable[[str], _Outcome]) -> Iterator[_Outcome]:
    """Yield what the work finds in each file, in their order; several objects are looked into at the same time."""
    if not any(map(is_url, paths)):
        yield from map(work, paths)
        return
    with opencv_silenced(), ThreadPoolExecutor(_LOOKED_INTO_AT_ONCE) as pool:
        yield from pool.map(
            lambda context, path: context.run(work, path),
            [contextvars.copy_context() for _ in paths],
            paths,
        )


def reason_of(error: BaseException) -> str:
    """Return what went wrong in one line.

    Parameters
    ----------
    error : BaseException
        What was raised while reading a file.

    Returns
    -------
    str
        At most 200 characters without line breaks.
    """
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    text = without_credentials(str(error))
    if not isinstance(error, ValueError) or not text.strip():
        text = f"{type(error).__name__}: {text}".rstrip(": \n")
    return in_one_line(text, _LONGEST_REASON)


def sources_in(
    path: str, label: str, *, channel: int | None, gray: bool, pages: Pages
) -> list[tuple[TargetSource, str]]:
    """List what one file or store holds.

    Parameters
    ----------
    path : str
        Absolute path or URL.
    label : str
        What an error message calls the file.
    channel, gray, pages
        As in `find_targets`.

    Returns
    -------
    list of (TargetSource, str)
        Sources still without a name, and what tells the sources of one file apart in their names.

    Raises
    ------
    InputError
        If the choice of channel does not leave one channel.
    Exception
        Whatever the format's reader raises on a file it cannot read.
    """
    format_name, arrays = describe(path)
    store = split_node(path)[0] if format_name == "zarr" else path
    found: list[tuple[TargetSource, str]] = []
    for stored in arrays:
        check_channel(label, stored.channels, channel, gray=gray)
        roles = assign_roles(stored, pages=pages)
        shape = tuple(stored.shape[axis] for axis in roles.spatial)
        sizes = [stored.pixel_size.get(letter) for letter in SPATIAL_AXES[-len(shape) :]]
        known = tuple(size for size in sizes if size is not None)
        whole = len(known) == len(shape)
        source = TargetSource(
            name="",
            path=store,
            format=format_name,
            shape=shape,
            dtype=str(result_dtype(stored, gray=gray)),
            channel=channel,
            gray=gray,
            dataset=stored.part,
            pixel_size=known if whole else None,
            pixel_unit=stored.pixel_unit if whole else None,
        )
        part = f"_{stored.part}" if len(arrays) > 1 and stored.part else ""
        count = math.prod(stored.shape[axis] for axis in roles.batch)
        if not roles.batch:
            found.append((source, part))
            continue
        if count > MOST_PAGES:
            raise FormatError(f"{count} images; one file or store may hold 2**20. Split it")
        digits = len(str(count - 1))
        found += [
            (dataclasses.replace(source, page=page), f"{part}_{page:0{digits}d}") for page in range(count)
        ]
    return found


def describe(path: str) -> tuple[str, list[StoredArray]]:
    """Describe the arrays in a file or store.

    Parameters
    ----------
    path : str
        Absolute path or URL.

    Returns
    -------
    format : str
        Name of the format.
    arrays : list of StoredArray
        What the file holds.

    Raises
    ------
    Exception
        Whatever the format's reader raises on a file it cannot read.
    """
    mode = stat.S_IFREG if is_url(path) else os.stat(path).st_mode
    if stat.S_ISDIR(mode) or (is_url(path) and not is_object(path)):
        store, part = split_node(path)
        return "zarr", FORMATS["zarr"].probe(store, part)
    if not stat.S_ISREG(mode):
        raise ValueError("not a regular file")
    suffix = suffix_of(path)
    if suffix not in FORMAT_OF_SUFFIX:
        raise ValueError(f'unsupported file type "{suffix}"; supported are {" ".join(FORMAT_OF_SUFFIX)}')
    format_name = FORMAT_OF_SUFFIX[suffix]
    return format_name, FORMATS[format_name].probe(path)


def _stem(path: str) -> str:
    stem = os.path.splitext(os.path.basename(path))[0]
    return stem[: -len(".ome")] if stem.lower().endswith(".ome") else stem


def _check_pixel_size(pixel_size: float | Sequence[float] | None, pixel_unit: str) -> None:
    if pixel_size is None:
        return
    if not all(0 < size < math.inf for size in np.atleast_1d(np.asarray(pixel_size, dtype=float))):
        raise InputError(
            f"pixel size {pixel_size}: not positive. Pass the size of a pixel, e.g. --pixel-size 10."
        )
    if unit_name(pixel_unit) is None:
        raise InputError(f'pixel unit "{pixel_unit}": not known. Pass one of {", ".join(METRES)}.')


def _with_pixel_size(
    target: TargetSource, pixel_size: float | Sequence[float], pixel_unit: str
) -> TargetSource:
    sizes = np.atleast_1d(np.asarray(pixel_size, dtype=float))
    if sizes.size not in (1, len(target.shape)):
        raise InputError(
            f'target "{target.name}": {sizes.size} pixel sizes for {len(target.shape)} axes. '
            "Pass one, or one an axis."
        )
    size = tuple(float(value) for value in np.broadcast_to(sizes, len(target.shape)))
    return dataclasses.replace(target, pixel_size=size, pixel_unit=unit_name(pixel_unit))
