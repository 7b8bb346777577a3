"""From a request to a job and its plan: models that are learned, and inspections."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.inspection.grid import image_grid
from scorefold.inspection.inspector import Inspector, Location
from scorefold.inspection.learned import LearnedModel
from scorefold.inspection.recipe import METHODS, Recipe
from scorefold.io import MAX_DECODED_PIXELS, at_most_pixels, read_array, read_target
from scorefold.io.targets import TargetSource, describe
from scorefold.planning.image_costs import plan_images, try_images, try_inspecting, try_learning, try_map
from scorefold.planning.image_plan import ImagePlan
from scorefold.planning.images import ImageEntry, images_digest, list_images, pictures_of
from scorefold.planning.inspect_job import InspectJob, TrainJob
from scorefold.planning.inspect_request import InspectRequest, TrainRequest
from scorefold.planning.plan import group_targets
from scorefold.planning.prepare import max_pixels
from scorefold.planning.truth import check_threshold, known_truth, truth_to_bytes
from scorefold.scoring.masks import check_mask, is_mask_shape, template_mask
from scorefold.store.commit import digest

Array = NDArray[Any]

GIVEN_BY_MODEL = (
    "template",
    "mask",
    "angle_range",
    "angle_step",
    "min_score",
    "absolute",
    "factor",
    "tolerance",
    "polarity",
    "jitter",
    "cell",
    "gain_offset",
    "kernel_size",
    "value_range",
)
"""Options that a model which is added has decided."""


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
    max_pixels : int
        Images with more pixels are not decoded.
    """

    job: TrainJob
    plan: ImagePlan
    entries: list[ImageEntry]
    arrays: dict[str, Array] = field(default_factory=dict)
    added: Sequence[LearnedModel] = ()
    max_pixels: int = MAX_DECODED_PIXELS


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
    max_pixels : int
        Images with more pixels are not decoded.
    """

    job: InspectJob
    plan: ImagePlan
    entries: list[ImageEntry]
    pictures: list[ImageEntry] | None = None
    truth: bytes = b""
    arrays: dict[str, Array] = field(default_factory=dict)
    max_pixels: int = MAX_DECODED_PIXELS


def prepare_train(request: TrainRequest) -> PreparedTrain:
    """Check a request for a model, look at its images and plan it. Nothing is written.

    Raises
    ------
    InputError
        If anything cannot be used.
    """
    with at_most_pixels(max_pixels(request)):
        return _prepare_train(request)


def _prepare_train(request: TrainRequest) -> PreparedTrain:
    if not request.images and not request.add:
        raise InputError("good images: none given. Name files, folders or globs.")
    entries = (
        list_images(request.images, channel=request.channel, gray=request.gray) if request.images else []
    )
    readable = _readable(entries)
    if request.add:
        recipe, location, arrays = _like_added(request)
    else:
        recipe, location, arrays = _new_model(request, readable)
    _check_sizes(recipe.shape, recipe.kernel_size, recipe.tolerance)
    inspector = Inspector(recipe, arrays, location)
    usable = [
        entry for entry in readable if inspector.locator is not None or _plane(entry.source) == recipe.shape
    ]
    if recipe.method == "single" and (len(usable) != 1 or request.add):
        raise InputError(f"method single: it learns from one image, {len(usable)} were given.")
    if recipe.method in ("standard", "gaussian") and not request.add and len(usable) < 2:
        shape = " × ".join(map(str, recipe.shape))
        raise InputError(
            f"method {recipe.method}: it needs two good images of one size or more; {len(usable)} of {shape} can be "
            "read. For one, use --method single."
        )
    seconds = try_images(usable or readable, partial(try_learning, inspector), "image") if readable else 1.0
    state = METHODS[recipe.method].analyzer(recipe, recipe.bands[0]).init_state()
    plan = plan_images(
        [recipe.shape] * len(entries),
        entries,
        memory_limit=request.memory_limit,
        workers=request.workers,
        seconds=seconds,
        state_bytes=3 * sum(array.nbytes for array in _arrays_of(state)),
        itemsize=0,
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
    return PreparedTrain(job, plan, entries, arrays, request.add, max_pixels=max_pixels(request))


def _readable(entries: Sequence[ImageEntry]) -> list[ImageEntry]:
    """Return the entries that can be read, as far as their headers tell; if there are any at all, one must."""
    readable = [entry for entry in entries if not entry.failure]
    if entries and not readable:
        more = f" ({len(entries) - 1:,} more cannot be read either)" if len(entries) > 1 else ""
        raise InputError(f'image "{entries[0].name}": {entries[0].failure.rstrip(".")}{more}.')
    return readable


def _check_sizes(shape: tuple[int, int], kernel_size: int, tolerance: int = 0) -> None:
    most = (min(shape) - 1) // 2
    for name, radius in (("kernel size", kernel_size), ("registration tolerance", tolerance)):
        if radius > most:
            size = " × ".join(map(str, shape))
            raise InputError(f"{name} {radius}: maps of {size} pixels allow a radius of {most} at most.")


def _new_model(
    request: TrainRequest, readable: Sequence[ImageEntry]
) -> tuple[Recipe, Location | None, dict[str, Array]]:
    arrays: dict[str, Array] = {}
    location = None
    (shape, _), *_ = Counter(_plane(entry.source) for entry in readable).most_common(1)
    usual = [entry for entry in readable if _plane(entry.source) == shape]
    if request.template is not None:
        arrays["template"] = _template(request, readable)
        shape = arrays["template"].shape
        arrays["template_mask"] = _part_mask(request.mask, shape, request)
        location = Location(
            (float(request.angle_range[0]), float(request.angle_range[1])),
            request.angle_step,
            request.min_score,
        )
    elif request.mask != "none":
        raise InputError("mask: it belongs to a template. Give --template, too.")
    grid = image_grid(usual[0].source.dtype, request.value_range or _luma_range(usual[0]))
    recipe = Recipe(
        method=request.method or "standard",
        shape=shape,
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
        arrays["reference"] = arrays["template"] if location else _reference(usual)
    return recipe, location, arrays


def _template(request: TrainRequest, readable: Sequence[ImageEntry]) -> Array:
    template = read_array(request.template, channel=request.channel, gray=request.gray, role="template")
    if template.ndim != 2 or min(template.shape) < 8:
        raise InputError(
            f'template "{request.template}": shape {template.shape}; give a 2D picture of the part, 8 pixels or '
            "more on each side."
        )
    if not np.isfinite(template).all():
        raise InputError(f'template "{request.template}": it contains NaN or infinity. Replace them.')
    if (template == template[0, 0]).all():
        raise InputError(f'template "{request.template}": constant; there is nothing to find. Give another.')
    sides = sorted(template.shape)
    if all(np.any(np.less(sorted(_plane(entry.source)), sides)) for entry in readable):
        raise InputError(
            f'template "{request.template}": shape {template.shape}, larger than the images '
            f'("{readable[0].name}": {_plane(readable[0].source)}). Crop it to the part.'
        )
    return np.ascontiguousarray(template, np.float32)


def _luma_range(entry: ImageEntry) -> tuple[float, float] | None:
    """Return the grey levels of luma: those of the colours, if these are integers of a range that is known."""
    if not entry.source.gray or entry.source.dtype != "float32":
        return None
    stored = max(describe(entry.source.path)[1], key=lambda array: array.channels)
    if stored.dtype.kind not in "ui" or stored.dtype.itemsize > 2:
        return None
    limits = np.iinfo(stored.dtype)
    return float(limits.min), float(limits.max)


def _reference(usual: Sequence[ImageEntry]) -> Array:
    """Return the first image that brightness can be fitted to."""
    for entry in usual:
        try:
            image = np.ascontiguousarray(read_target(entry.source), np.float32)
        except InputError:
            continue  # its row will say why
        if np.isfinite(image).all() and (image != image[0, 0]).any():
            return image
    raise InputError(
        f'gain and offset: no image can be the reference; all are constant, or not finite, as "{usual[0].name}" is.'
    )


def _like_added(request: TrainRequest) -> tuple[Recipe, Location | None, dict[str, Array]]:
    first = request.add[0]
    if request.method is not None and request.method != first.recipe.method:
        raise InputError(
            f"method {request.method}: the added model is {first.recipe.method}. A model is learned in one way."
        )
    defaults = {field.name: field.default for field in fields(TrainRequest)}
    for name in GIVEN_BY_MODEL:
        value = getattr(request, name)
        if value != defaults[name] and value != getattr(first.recipe, name, None):
            raise InputError(
                f"option --{name.replace('_', '-')}: the added model has decided it. Leave it out, or train anew."
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
    if is_mask_shape(mask):
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
    with at_most_pixels(max_pixels(request)):
        return _prepare_inspect(request)


def _prepare_inspect(request: InspectRequest) -> PreparedInspect:
    if (request.model is None) == (not request.maps):
        raise InputError("model and maps: give one of them.")
    what = request.images if request.model is not None else request.maps
    if not what:
        raise InputError("images: none given. Name files, folders or globs.")
    maps = request.model is None
    # Channels are those of images; maps that go with images have one.
    channel = None if maps and request.images else request.channel
    entries = list_images(what, channel=channel, gray=request.gray)
    readable = _readable(entries)
    pictures = None
    work: Callable[[Array], None]
    arrays: dict[str, Array] = {}
    if request.model is not None:
        model = request.model
        shapes = [model.recipe.shape] * len(entries)
        arrays = {**model.arrays, **{f"good_{name}": array for name, array in model.good.items()}}
        polarity = request.polarity or model.recipe.polarity
        kernel_size = model.recipe.kernel_size
        work = partial(try_inspecting, model.inspector)
    else:
        entries = _by_shape(entries)
        shapes = [_plane(entry.source) for entry in entries]
        polarity, kernel_size = "bright", 1
        if request.polarity not in (None, "bright"):
            raise InputError(
                f"polarity {request.polarity}: maps of other tools have none; high scores are anomalous."
            )
        if request.images:
            found = list_images(request.images, channel=request.channel, gray=request.gray)
            pictures = pictures_of(entries, found)
        work = try_map
    if request.kernel_size is not None:
        kernel_size = request.kernel_size
    _check_sizes(max(shapes, key=min), kernel_size)
    truths = known_truth(entries, request.masks, request.truth_table)
    check_threshold(request.measure, truths, maps=maps)
    truth = b"" if truths is None else truth_to_bytes(truths)
    seconds = try_images(readable, work, "map" if maps else "image")
    plan = plan_images(
        shapes,
        entries,
        memory_limit=request.memory_limit,
        workers=request.workers,
        seconds=seconds,
        state_bytes=4 * 2**20,
        itemsize=2 if request.precision == "half" else 4,
    )
    job = InspectJob(
        images=images_digest(entries),
        image_count=len(entries),
        source="maps" if maps else "model",
        recipe=None if request.model is None else request.model.recipe,
        location=None if request.model is None else request.model.location,
        model="" if request.model is None else request.model.fingerprint,
        arrays={name: digest(array) for name, array in arrays.items()},
        polarity=polarity,
        kernel_size=kernel_size,
        precision=request.precision,  # type: ignore[arg-type]
        truth=hashlib.sha256(truth).hexdigest() if truth else "",
        export=tuple(request.export),
        measure=request.measure,
        labels={"images": f"{len(entries)} {'maps' if maps else 'images'}"},
    )
    return PreparedInspect(job, plan, entries, pictures, truth, arrays, max_pixels=max_pixels(request))


def _by_shape(entries: list[ImageEntry]) -> list[ImageEntry]:
    """Return entries so that those of one shape follow each other, in the order in which shapes appear."""
    groups = group_targets([_plane(entry.source) for entry in entries])
    return [entries[index] for group in groups.values() for index in group]


def _plane(source: TargetSource) -> tuple[int, int]:
    height, width = source.shape[-2:]
    return height, width


def _arrays_of(state: Any) -> list[Array]:
    values = state.values() if isinstance(state, dict) else vars(state).values()
    return [value for value in values if isinstance(value, np.ndarray)]
