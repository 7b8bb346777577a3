"""From a request to a job and its plan: models that are learned, and inspections."""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.inspection.grid import image_grid
from scorefold.inspection.inspector import Inspector, Location
from scorefold.inspection.learned import LearnedModel
from scorefold.inspection.recipe import METHODS, Recipe
from scorefold.io import read_array, read_target
from scorefold.io.targets import TargetSource
from scorefold.planning.image_plan import ImageGroup, ImagePlan
from scorefold.planning.images import ImageEntry, images_digest, list_images
from scorefold.planning.inspect_job import InspectJob, TrainJob
from scorefold.planning.inspect_request import InspectRequest, TrainRequest
from scorefold.planning.memory import BASE_BYTES
from scorefold.planning.truth import Truth, truth_of_masks, truth_of_table, truth_to_bytes
from scorefold.scoring.masks import MASK_SHAPES, check_mask, template_mask
from scorefold.store.commit import digest

Array = NDArray[Any]

LEAF_SECONDS = 15.0
"""How long a leaf is meant to last."""

LEAVES_PER_WORKER = 4
"""So many at least, if there are images enough, so that workers finish together."""

CHUNK_BYTES = 4 * 2**20
"""Maps that are stored together have about this size."""

PIXEL_BYTES = 24
"""Bytes that one pixel of an image needs while it is decoded, located and aligned."""

MAP_PIXEL_BYTES = 96
"""Bytes that one pixel of a model needs: the model, an aligned image, its map, and what is computed from it."""


@dataclass(frozen=True)
class PreparedTrain:
    """A training with everything that its run will hold.

    Attributes
    ----------
    job, plan
        What is learned, and how the images are cut.
    entries : list of ImageEntry
        The images.
    arrays : dict of str to ndarray
        Arrays of the job.
    added : sequence of LearnedModel
        Models whose images are learned, too.
    """

    job: TrainJob
    plan: ImagePlan
    entries: list[ImageEntry]
    arrays: dict[str, Array] = field(default_factory=dict)
    added: Sequence[LearnedModel] = ()


@dataclass(frozen=True)
class PreparedInspect:
    """An inspection with everything that its run will hold.

    Attributes
    ----------
    job, plan
        What is inspected, and how the images are cut.
    entries : list of ImageEntry
        The images, or maps, in the order of their ids.
    pictures : list of ImageEntry or None
        The images that belong to maps, in the same order; entries with a failure stand for none.
    truth : bytes
        What is known of the images, as `truth_to_bytes` writes it; empty if nothing is.
    arrays : dict of str to ndarray
        Arrays of the job.
    """

    job: InspectJob
    plan: ImagePlan
    entries: list[ImageEntry]
    pictures: list[ImageEntry] | None = None
    truth: bytes = b""
    arrays: dict[str, Array] = field(default_factory=dict)


def prepare_train(request: TrainRequest) -> PreparedTrain:
    """Check a request for a model, look at its images and plan it. Nothing is written.

    Raises
    ------
    InputError
        If anything cannot be used.
    """
    if not request.images and not request.add:
        raise InputError("good images: none given. Name files, folders or globs.")
    entries = (
        list_images(request.images, channel=request.channel, gray=request.gray) if request.images else []
    )
    readable = [entry for entry in entries if not entry.failure]
    if entries and not readable:
        raise InputError(f'image "{entries[0].name}": {entries[0].failure}')
    if request.add:
        recipe, location, arrays = _like_added(request)
    else:
        recipe, location, arrays = _new_model(request, readable[0])
    if recipe.method == "single" and (len(readable) != 1 or request.add):
        raise InputError(f"method single: it learns from one image, {len(readable)} were given.")
    if recipe.method in ("standard", "gaussian") and not request.add and len(readable) < 2:
        raise InputError(
            f"method {recipe.method}: it needs two good images or more. For one, use --method single."
        )
    inspector = Inspector(recipe, arrays, location)
    seconds = _seconds(readable, inspector.align) if readable else 1.0
    state = METHODS[recipe.method].analyzer(recipe, recipe.bands[0]).init_state()
    state_bytes = 3 * sum(array.nbytes for array in _arrays_of(state))
    plan = _plan(
        [recipe.shape] * len(entries), entries, request.memory_limit, request.workers, seconds, state_bytes, 0
    )
    job = TrainJob(
        images=images_digest(entries),
        image_count=len(entries),
        recipe=recipe,
        location=location,
        arrays={name: digest(array) for name, array in arrays.items()},
        added=tuple(model.fingerprint for model in request.add),
        labels={"images": f"{len(entries)} images", "template": str(request.template or "")},
    )
    return PreparedTrain(job, plan, entries, arrays, request.add)


def _new_model(request: TrainRequest, first: ImageEntry) -> tuple[Recipe, Location | None, dict[str, Array]]:
    arrays: dict[str, Array] = {}
    location = None
    shape: tuple[int, ...] = first.source.shape
    if request.template is not None:
        template = read_array(request.template, channel=request.channel, gray=request.gray, role="template")
        if template.ndim != 2 or min(template.shape) < 8:
            raise InputError(
                f'template "{request.template}": shape {template.shape}; give a 2D picture of the part, 8 pixels or '
                "more on each side."
            )
        shape = template.shape
        arrays["template"] = np.ascontiguousarray(template, np.float32)
        arrays["template_mask"] = _part_mask(request.mask, shape, request)
        location = Location(
            (float(request.angle_range[0]), float(request.angle_range[1])),
            request.angle_step,
            request.min_score,
        )
    elif request.mask != "none":
        raise InputError("mask: it belongs to a template. Give --template, too.")
    grid = image_grid(first.source.dtype, request.value_range)
    recipe = Recipe(
        method=request.method or "standard",
        shape=(shape[0], shape[1]),
        grid=grid,
        absolute=grid.absolute if request.absolute is None else request.absolute,
        factor=request.factor,
        tolerance=request.tolerance,
        polarity=request.polarity,
        jitter=request.jitter,
        cell=request.cell,
        gain_offset=request.gain_offset,
        kernel_size=request.kernel_size,
    )
    if recipe.gain_offset:
        arrays["reference"] = (
            arrays["template"] if location else np.ascontiguousarray(read_target(first.source), np.float32)
        )
    return recipe, location, arrays


def _like_added(request: TrainRequest) -> tuple[Recipe, Location | None, dict[str, Array]]:
    first = request.add[0]
    if request.method is not None and request.method != first.recipe.method:
        raise InputError(
            f"method {request.method}: the added model is {first.recipe.method}. A model is learned in one way."
        )
    names = [name for name in ("template", "template_mask", "reference") if name in first.arrays]
    for other in request.add[1:]:
        same = other.recipe == first.recipe and other.location == first.location
        if not same or any(digest(other.arrays[n]) != digest(first.arrays[n]) for n in names):
            raise InputError(
                f"model {other.fingerprint[:12]}: it was learned with other options than {first.fingerprint[:12]}. "
                "Only models of one recipe can be merged."
            )
    arrays = {name: first.arrays[name] for name in names}
    for number, model in enumerate(request.add):
        arrays[f"added{number}/images"] = np.array([model.image_count], np.int64)
        for band, state in enumerate(model.states):
            arrays |= {f"added{number}/band{band}/{name}": array for name, array in state.items()}
        arrays |= {f"added{number}/good/{name}": array for name, array in model.good.items()}
    return first.recipe, first.location, arrays


def _part_mask(mask: Any, shape: tuple[int, ...], request: TrainRequest) -> Array:
    if isinstance(mask, str) and (mask in MASK_SHAPES or not Path(mask).exists()):
        return template_mask(mask, shape)
    values = read_array(mask, channel=0 if request.gray else request.channel, role="mask")
    return check_mask(values, shape, str(mask))


def prepare_inspect(request: InspectRequest) -> PreparedInspect:
    """Check a request for an inspection, look at its images and plan it. Nothing is written.

    Raises
    ------
    InputError
        If anything cannot be used.
    """
    if (request.model is None) == (not request.maps):
        raise InputError("model and maps: give one of them.")
    what = request.images if request.model is not None else request.maps
    if not what:
        raise InputError("images: none given. Name files, folders or globs.")
    entries = list_images(what, channel=request.channel, gray=request.gray)
    readable = [entry for entry in entries if not entry.failure]
    if not readable:
        raise InputError(f'image "{entries[0].name}": {entries[0].failure}')
    pictures = None
    arrays: dict[str, Array] = {}
    chunk_itemsize = 2 if request.precision == "half" else 4
    if request.model is not None:
        model = request.model
        shapes = [model.recipe.shape] * len(entries)
        arrays = {**model.arrays, **{f"good_{name}": array for name, array in model.good.items()}}
        inspector = model.inspector
        polarity = request.polarity or model.recipe.polarity
        kernel_size = model.recipe.kernel_size

        def work(image: Array) -> None:
            aligned = inspector.align(image)
            if aligned is not None:
                inspector.compare(aligned)
    else:
        entries = _by_shape(entries)
        shapes = [_plane(entry.source) for entry in entries]
        polarity, kernel_size = "bright", 1
        if request.polarity not in (None, "bright"):
            raise InputError(
                f"polarity {request.polarity}: maps of other tools have none; high scores are anomalous."
            )
        if request.images:
            pictures = _pictures(
                entries, list_images(request.images, channel=request.channel, gray=request.gray)
            )

        def work(image: Array) -> None:
            np.isfinite(image)

    truths = _truth(request, entries)
    _check_threshold(request, known=truths is not None)
    truth = b"" if truths is None else truth_to_bytes(truths)
    seconds = _seconds(readable, work)
    plan = _plan(shapes, entries, request.memory_limit, request.workers, seconds, 4 * 2**20, chunk_itemsize)
    job = InspectJob(
        images=images_digest(entries),
        image_count=len(entries),
        source="maps" if request.model is None else "model",
        recipe=None if request.model is None else request.model.recipe,
        location=None if request.model is None else request.model.location,
        model="" if request.model is None else request.model.fingerprint,
        arrays={name: digest(array) for name, array in arrays.items()},
        polarity=polarity,
        kernel_size=kernel_size if request.kernel_size is None else request.kernel_size,
        precision=request.precision,  # type: ignore[arg-type]
        truth=hashlib.sha256(truth).hexdigest() if truth else "",
        export=tuple(request.export),
        measure=request.measure,
        labels={"images": f"{len(entries)} {'maps' if request.model is None else 'images'}"},
    )
    return PreparedInspect(job, plan, entries, pictures, truth, arrays)


def _check_threshold(request: InspectRequest, *, known: bool) -> None:
    measure = request.measure
    if measure.needs_labels and not known:
        raise InputError(
            f'threshold "{measure.threshold}": it follows from labelled images. Give --masks or --labels, or '
            "another threshold."
        )
    if measure.needs_good_images and request.model is None and not known:
        raise InputError(
            f'threshold "{measure.threshold}": it follows from good images, and maps alone do not tell which are '
            "good. Give --threshold VALUE, or --labels or --masks."
        )


def _truth(request: InspectRequest, entries: list[ImageEntry]) -> list[Truth] | None:
    if request.masks is not None and request.truth_table is not None:
        raise InputError("masks and labels: give one of them.")
    if request.masks is not None:
        return truth_of_masks(entries, request.masks)
    if request.truth_table is not None:
        return truth_of_table(entries, request.truth_table)
    return None


def _by_shape(entries: list[ImageEntry]) -> list[ImageEntry]:
    """Return entries so that those of one shape follow each other, in the order in which shapes appear."""
    groups: dict[tuple[int, int], list[ImageEntry]] = {}
    for entry in entries:
        groups.setdefault(_plane(entry.source), []).append(entry)
    return [entry for group in groups.values() for entry in group]


def _plane(source: TargetSource) -> tuple[int, int]:
    height, width = source.shape[-2:]
    return height, width


def _pictures(maps: list[ImageEntry], images: list[ImageEntry]) -> list[ImageEntry]:
    """Return the image of every map, by folder and stem, or by stem where one image alone has it."""
    by_place = {(other.folder, Path(other.source.path).stem): other for other in images}
    by_stem: dict[str, list[ImageEntry]] = {}
    for other in images:
        by_stem.setdefault(Path(other.source.path).stem, []).append(other)
    found: list[ImageEntry] = []
    image: ImageEntry | None
    for entry in maps:
        stem = Path(entry.source.path).stem
        image = by_place.get((entry.folder, stem))
        if image is None and len(by_stem.get(stem, ())) == 1:
            image = by_stem[stem][0]
        nothing = ImageEntry(
            TargetSource(entry.name, "", "", (0, 0), "uint8"), failure="no image of this name"
        )
        found.append(image or nothing)
    if all(other.failure for other in found):
        raise InputError(
            f'images: none is named like a map ("{maps[0].name}", …). Name images as their maps, or leave them out.'
        )
    return found


def _seconds(readable: Sequence[ImageEntry], work: Callable[[Array], object]) -> float:
    """Return how long one image takes, measured on the first that can be read; its second time, when all is warm."""
    for entry in readable[:3]:
        try:
            image = read_target(entry.source)
            work(image)
            start = time.perf_counter()
            work(read_target(entry.source))
            return 2 * (time.perf_counter() - start)  # maps are compressed and written, too
        except InputError:
            continue  # its row will say why
    return 1.0


def _plan(
    shapes: Sequence[tuple[int, int]],
    entries: Sequence[ImageEntry],
    limit: int,
    workers: int,
    seconds: float,
    state_bytes: int,
    itemsize: int,
) -> ImagePlan:
    groups: list[ImageGroup] = []
    largest = max((math.prod(shape) for shape in shapes), default=0)
    chunk_bytes = 0
    per_leaf = max(
        1, min(round(LEAF_SECONDS / max(seconds, 1e-4)), -(-len(shapes) // (LEAVES_PER_WORKER * workers)))
    )
    first = 0
    while first < len(shapes):
        count = 1
        while first + count < len(shapes) and shapes[first + count] == shapes[first]:
            count += 1
        map_bytes = max(math.prod(shapes[first]) * max(itemsize, 1), 1)
        chunk = max(1, min(64, CHUNK_BYTES // map_bytes))
        chunk_bytes = max(chunk_bytes, chunk * map_bytes)
        groups.append(ImageGroup(shapes[first], first, count, chunk, -(-per_leaf // chunk) * chunk))
        first += count
    fixed = BASE_BYTES + largest * MAP_PIXEL_BYTES + 4 * chunk_bytes + state_bytes
    usual = sorted(math.prod(entry.source.shape) for entry in entries)[len(entries) // 2] if entries else 0
    needed = fixed + usual * PIXEL_BYTES
    if needed > limit:
        raise InputError(
            f"memory limit {limit / 2**20:.0f} MiB: a worker needs {needed / 2**20:.0f} MiB for images of "
            f"{usual / 1e6:.1f} million pixels. Raise --memory-limit."
        )
    return ImagePlan(tuple(groups), limit, needed, (limit - fixed) // PIXEL_BYTES)


def _arrays_of(state: Any) -> list[Array]:
    values = state.values() if isinstance(state, dict) else vars(state).values()
    return [value for value in values if isinstance(value, np.ndarray)]
