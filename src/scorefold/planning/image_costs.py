"""What images cost, tried on some of them before a run is made; and the plan that follows from it."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.inspection.inspector import Inspector
from scorefold.inspection.recipe import METHODS
from scorefold.io import read_target
from scorefold.planning.image_plan import ImageGroup, ImagePlan, Shape
from scorefold.planning.images import ImageEntry
from scorefold.planning.memory import BASE_BYTES

LEAF_SECONDS = 15.0
"""How long a leaf is meant to last."""

LEAVES_PER_WORKER = 4
"""So many at least, if there are images enough, so that workers finish together."""

CHUNK_BYTES = 4 * 2**20
"""Maps that are stored together have about this size."""

LEAST_CHUNKS = 16
"""So many chunks at least, if there are images enough: leaves are made of whole ones."""

PIXEL_BYTES = 24
"""Bytes that one pixel of an image needs while it is decoded, located and aligned."""

MAP_PIXEL_BYTES = 96
"""Bytes that one pixel of a model needs: the model, an aligned image, its map, and what is computed from it."""

TRIED = 10
"""Images that are tried before it is said that none can be used."""


def try_images(readable: Sequence[ImageEntry], work: Callable[[NDArray[Any]], object], noun: str) -> float:
    """Do the work on an image that it can be done on, and return the seconds that one takes.

    Parameters
    ----------
    readable : sequence of ImageEntry
        The images, one or more; `TRIED` of them, from all over the data set, are tried.
    work : callable
        Takes the pixels; raises an `InputError` if they cannot be used.
    noun : str
        What an error message calls an image.

    Returns
    -------
    float
        Twice the time of a second go, when all is warm: results are compressed and written, too.

    Raises
    ------
    InputError
        If it can be done on none of them; with the first one's reason.
    """
    tried = sorted({round(place) for place in np.linspace(0, len(readable) - 1, TRIED).tolist()})
    reasons = []
    for entry in (readable[place] for place in tried):
        try:
            work(read_target(entry.source))
            start = time.perf_counter()
            work(read_target(entry.source))
            return 2 * (time.perf_counter() - start)
        except (InputError, OSError) as error:
            reasons.append(str(error).removeprefix(f'target "{entry.name}": '))
    others = f" Of {len(readable):,}, {len(tried)} were tried." if len(tried) > 1 else ""
    raise InputError(f'{noun} "{readable[0].name}": {reasons[0].rstrip(".")}.{others}')


def try_learning(inspector: Inspector, image: NDArray[Any]) -> None:
    """Align a good image and take from it what is learned; see `try_images`."""
    if image.size and (image == image.flat[0]).all():
        raise InputError("all pixels are equal; a good image shows something")
    aligned = inspector.align(image)
    if aligned is None:
        raise InputError("the part was not found in it. Check the template, or lower --min-score")
    if not aligned.valid.any():
        raise InputError("no pixel of it is a finite number")
    recipe = inspector.recipe
    METHODS[recipe.method].observation(recipe, aligned.pixels, aligned.valid, recipe.bands[0])


def try_inspecting(inspector: Inspector, image: NDArray[Any]) -> None:
    """Compare an image with the model, if it shows the part; see `try_images`."""
    if image.dtype.kind == "f" and not np.isfinite(image).any():
        raise InputError("no pixel of it is a finite number")
    aligned = inspector.align(image)
    if aligned is not None:
        inspector.recipe.grid.integers(aligned.pixels)  # other grey levels than the model's are refused
        inspector.compare(aligned)


def try_map(image: NDArray[Any]) -> None:
    """Refuse a map without a single score; see `try_images`."""
    if not np.isfinite(image).any():
        raise InputError("no pixel of it is a finite number")


def plan_images(
    shapes: Sequence[Shape],
    entries: Sequence[ImageEntry],
    *,
    memory_limit: int,
    workers: int,
    seconds: float,
    state_bytes: int,
    itemsize: int,
) -> ImagePlan:
    """Cut images into leaves.

    Parameters
    ----------
    shapes : sequence of (int, int)
        Of the maps, by image id; equal ones follow each other.
    entries : sequence of ImageEntry
        The images.
    memory_limit : int
        Bytes per worker.
    workers : int
        Number of workers to plan for.
    seconds : float
        What one image takes.
    state_bytes : int
        What a leaf's state takes.
    itemsize : int
        Bytes of a pixel of a stored map; 0 if none is stored.

    Raises
    ------
    InputError
        If usual images need more than the memory limit.
    """
    per_leaf = max(
        1, min(round(LEAF_SECONDS / max(seconds, 1e-4)), -(-len(shapes) // (LEAVES_PER_WORKER * workers)))
    )
    groups: list[ImageGroup] = []
    chunk_bytes = 0
    first = 0
    for shape, count in _runs(shapes):
        map_bytes = max(math.prod(shape) * max(itemsize, 1), 1)
        chunk = max(1, min(64, CHUNK_BYTES // map_bytes, -(-count // LEAST_CHUNKS)))
        chunk_bytes = max(chunk_bytes, chunk * map_bytes)
        groups.append(ImageGroup(shape, first, count, chunk, -(-per_leaf // chunk) * chunk))
        first += count
    largest = max((math.prod(shape) for shape in shapes), default=0)
    fixed = BASE_BYTES + largest * MAP_PIXEL_BYTES + 4 * chunk_bytes + state_bytes
    usual = sorted(math.prod(entry.source.shape) for entry in entries)[len(entries) // 2] if entries else 0
    needed = fixed + usual * PIXEL_BYTES
    if needed > memory_limit:
        raise InputError(
            f"memory limit {memory_limit / 2**20:.0f} MiB: a worker needs {needed / 2**20:.0f} MiB for images of "
            f"{usual / 1e6:.1f} million pixels. Raise --memory-limit."
        )
    return ImagePlan(tuple(groups), memory_limit, needed, (memory_limit - fixed) // PIXEL_BYTES)


def _runs(shapes: Sequence[Shape]) -> Iterable[tuple[Shape, int]]:
    """Yield every shape with how often it follows itself."""
    first = 0
    for place in range(1, len(shapes) + 1):
        if place == len(shapes) or shapes[place] != shapes[first]:
            yield shapes[first], place - first
            first = place
