"""Zarr arrays and OME-Zarr images, in version 2 and 3, local or at a URL."""

import importlib.util
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zarr
import zarr.errors

from scorefold.io.formats.decoding_limit import check_pixels
from scorefold.io.formats.layout import FormatError, StoredArray, positional_axes
from scorefold.io.units import in_one_unit
from scorefold.object_stores import is_url, open_object_store

SUFFIXES = (".zarr",)

METADATA_FILES = ("zarr.json", ".zarray", ".zgroup")
"""One of these makes a folder a Zarr array or group."""

_AXIS_LETTERS = {"x": "X", "y": "Y", "z": "Z", "c": "C", "channel": "C", "t": "T", "time": "T"}


def is_node(path: str | os.PathLike[str]) -> bool:
    """Tell whether a local folder is a Zarr array or group."""
    return any((Path(path) / name).is_file() for name in METADATA_FILES)


def is_run(path: str | os.PathLike[str]) -> bool:
    """Tell whether a local folder is a run of scorefold: a group whose arrays are results, not data."""
    try:
        metadata = json.loads((Path(path) / "zarr.json").read_bytes())
        return "scorefold" in metadata["attributes"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def split_node(path: str) -> tuple[str, str | None]:
    """Split the path of an array within a group into the outermost group and the array's path in it.

    Parameters
    ----------
    path : str
        Path of a local Zarr node, or a URL, where the part behind ``.zarr/`` is the array's path.

    Returns
    -------
    store : str
        Path of the group, or of the node itself where it stands alone or is a group.
    part : str or None
        The array's path in the group.
    """
    if is_url(path):
        head, dot, tail = path.rstrip("/").rpartition(".zarr/")
        return (head + ".zarr", tail) if dot else (path.rstrip("/"), None)
    here = Path(path)
    outermost = here
    while is_node(outermost.parent):
        outermost = outermost.parent
    if outermost == here or isinstance(_open(path), zarr.Group):
        return path, None
    return str(outermost), here.relative_to(outermost).as_posix()


def _open(path: str) -> zarr.Array[Any] | zarr.Group:
    if is_url(path) and importlib.util.find_spec("obstore") is not None:
        return zarr.open(zarr.storage.ObjectStore(open_object_store(path), read_only=True), mode="r")
    return zarr.open(path, mode="r")


def _multiscales(group: zarr.Group) -> list[Mapping[str, Any]]:
    attributes: Mapping[str, Any] = group.attrs.asdict()
    ome = attributes.get("ome", attributes)  # version 0.5 nests what 0.4 had at the top
    found = ome.get("multiscales", []) if isinstance(ome, Mapping) else []
    return [scale for scale in found if isinstance(scale, Mapping)] if isinstance(found, list) else []


def _axis_letter(name: object, kind: object = None) -> str:
    return _AXIS_LETTERS.get(str(name).lower()) or _AXIS_LETTERS.get(str(kind).lower(), "Q")


def _letters(names: list[str], shape: tuple[int, ...]) -> str:
    axes = "".join(names)
    usable = len(axes) == len(shape) and axes.count("Y") == axes.count("X") == 1 and axes.count("Z") <= 1
    return axes if usable else positional_axes(shape)


def _own_axes(array: zarr.Array[Any]) -> str:
    names: Any = (
        getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    )
    return _letters([_axis_letter(name) for name in names], array.shape)


def _scale(transformations: object, length: int) -> list[float]:
    factors = [1.0] * length
    for transformation in transformations if isinstance(transformations, list) else []:
        scale = transformation.get("scale", [])
        if transformation.get("type") == "scale" and len(scale) == length:
            factors = [factor * float(step) for factor, step in zip(factors, scale, strict=True)]
    return factors


def _from_multiscale(
    array: zarr.Array[Any], part: str, scale: Mapping[str, Any], level: Mapping[str, Any]
) -> StoredArray:
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in scale.get("axes", [])]
    letters = _letters([_axis_letter(axis.get("name"), axis.get("type")) for axis in axes], array.shape)
    within = _scale(level.get("coordinateTransformations"), array.ndim)
    overall = _scale(scale.get("coordinateTransformations"), array.ndim)
    sizes = {
        letter: (inner * outer, axis.get("unit"))
        for letter, inner, outer, axis in zip(letters, within, overall, axes, strict=False)
        if letter in "ZYX"
    }
    pixel_size, pixel_unit = in_one_unit(sizes)
    return StoredArray(array.shape, letters, array.dtype, part, pixel_size, pixel_unit)


def _describe(node: zarr.Array[Any] | zarr.Group, part: str | None) -> tuple[StoredArray, zarr.Array[Any]]:
    if isinstance(node, zarr.Array):
        return StoredArray(node.shape, _own_axes(node), node.dtype), node
    array = node[part or ""]
    if not part or not isinstance(array, zarr.Array):
        raise FormatError(f'"{part or "/"}" is a Zarr group, not an array')
    names = part.split("/")
    for depth in range(len(names)):
        owner = node["/".join(names[:depth])] if depth else node
        for scale in _multiscales(owner) if isinstance(owner, zarr.Group) else ():
            for level in scale.get("datasets", []):
                if level.get("path") == "/".join(names[depth:]):
                    return _from_multiscale(array, part, scale, level), array
    return StoredArray(array.shape, _own_axes(array), array.dtype, part), array


def _parts(group: zarr.Group) -> list[str]:
    """List the arrays of a group that are targets: the finest level of an image, or every plain array."""
    scales = _multiscales(group)
    if scales:
        return [str(scales[0]["datasets"][0]["path"])]
    parts = []
    for name, member in sorted(group.members()):
        if isinstance(member, zarr.Array):
            parts.append(name)
        elif _multiscales(member):
            parts.append(f"{name}/{_parts(member)[0]}")
    if not parts:
        raise FormatError("a Zarr group without arrays or OME-Zarr images")
    return parts


def probe(path: str | os.PathLike[str], part: str | None = None) -> list[StoredArray]:
    """Describe the arrays of a Zarr group, or a Zarr array.

    Parameters
    ----------
    path : path-like
        Path or URL of the group or array. S3 and the like need the extra ``scorefold[s3]``.
    part : str, optional
        An array within the group. By default the finest level of the first OME-Zarr multiscale image; in a
        group that is none, each array and each OME-Zarr image directly inside.

    Returns
    -------
    list of StoredArray
        Axes and pixel sizes from OME-Zarr metadata (0.4 and 0.5), axis names from ``dimension_names`` or
        ``_ARRAY_DIMENSIONS``, or else by position.

    Raises
    ------
    FormatError
        If the group holds no array.
    Exception
        Whatever zarr raises on damaged metadata.
    """
    node = _open(str(path))
    if isinstance(node, zarr.Array):
        return [_describe(node, None)[0]]
    return [_describe(node, name)[0] for name in ([part] if part else _parts(node))]


@contextmanager
def open_array(path: str, part: str | None) -> Iterator[tuple[StoredArray, Any]]:
    """Open one array; only the chunks that are indexed are read.

    Parameters
    ----------
    path : str
        Path or URL of the group or array.
    part : str or None
        The array within the group.

    Yields
    ------
    stored : StoredArray
        The layout.
    data : zarr.Array
        The values.
    """
    stored, array = _describe(_open(path), part)
    check_pixels(math.prod(array.chunks), f"a chunk of {array.chunks} pixels", "Store smaller chunks")
    yield stored, array
