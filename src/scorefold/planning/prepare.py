"""From a request to a job and its plan: read template, mask, rotations; look at every target once."""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError, ScorefoldWarning
from scorefold.io import (
    MAX_DECODED_PIXELS,
    TargetSource,
    at_most_pixels,
    find_array,
    find_targets,
    read_array,
    read_region,
)
from scorefold.io.listing import absolute_path
from scorefold.io.names import readable_path, safe_name
from scorefold.io.units import unit_ratio
from scorefold.object_stores import statuses_kept
from scorefold.planning.content import examine
from scorefold.planning.estimate import Estimate
from scorefold.planning.inspect_request import InspectRequest, TrainRequest
from scorefold.planning.job import LOWPASS_VALUES, MatchJob, PickOptions, SearchOptions, Target, file_stamp
from scorefold.planning.plan import Plan
from scorefold.planning.planner import check_fits, make_plan, resolve_engine, search_template
from scorefold.planning.request import MatchRequest
from scorefold.rotations import check_rotations, plane_rotations, read_rotations, space_rotations
from scorefold.scoring.fft import available_providers, provider
from scorefold.scoring.lowpass import automatic_cutoff
from scorefold.scoring.masks import MASK_SHAPES, check_mask, is_mask_shape, template_mask
from scorefold.scoring.score import Score, choose_score
from scorefold.scoring.template import Template
from scorefold.store.commit import digest

Array = NDArray[Any]

MEASURED_UNITS = ("angstrom", "nanometer", "micrometer")
"""Units in which pixel sizes are measured; inches in a photograph's header are about printing."""

PIXEL_SIZE_TOLERANCE = 0.02
"""Relative difference of pixel sizes that is not worth a warning: files round them."""

RIM_STEP = 2.0
"""Voxels by which the rim of the mask moves from one rotation to the next, unless a step is given."""


@dataclass(frozen=True)
class PreparedMatch:
    """A job with everything that its run will hold.

    Attributes
    ----------
    job : MatchJob
        The job.
    plan : Plan
        How it is cut.
    estimate : Estimate
        What it will cost.
    arrays : dict of str to ndarray
        Template, mask, rotation set and, if there is one, target mask.
    given : dict of str to array
        Targets that were given as arrays, by the path they get in the store.
    unreadable : dict of str to str
        Targets that cannot be searched, with the reason.
    max_pixels : int
        Images with more pixels are not decoded.
    """

    job: MatchJob
    plan: Plan
    estimate: Estimate
    arrays: dict[str, Array]
    given: dict[str, Any] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    max_pixels: int = MAX_DECODED_PIXELS


def max_pixels(request: MatchRequest | TrainRequest | InspectRequest) -> int:
    """Return how many pixels an image may have to be decoded.

    Raises
    ------
    InputError
        If the number is not positive.
    """
    if request.max_pixels is None:
        return MAX_DECODED_PIXELS
    if request.max_pixels < 1:
        raise InputError(f"max pixels {request.max_pixels}: give a positive number.")
    return request.max_pixels


def prepare_match(request: MatchRequest) -> PreparedMatch:
    """Check a request, look at its inputs and plan it. Nothing is written.

    Parameters
    ----------
    request : MatchRequest
        What is asked for.

    Raises
    ------
    InputError
        If anything cannot be used, or no target can be searched.
    """
    with at_most_pixels(max_pixels(request)):
        return _prepare_match(request)


def _prepare_match(request: MatchRequest) -> PreparedMatch:
    values = _template(request)
    mask = _mask(request, values.shape)
    rotations = _rotations(request, mask)
    search = SearchOptions(
        score="auto",
        order=request.interpolation,
        precision=request.precision,
        fft=_fourier(request.fft),
        pad_edges=request.pad_edges,
        score_threshold=float(request.score_threshold),
        engine=request.engine,
        tolerance=float(request.tolerance),
        cell_angle=None if request.cell_angle is None else float(request.cell_angle),
    )
    try:
        invariant = Template(values, mask, rotations, order=request.interpolation).invariant
    except InputError as error:
        raise InputError(str(error).replace("template:", f"{_template_label(request)}:", 1)) from None
    score = choose_score(request.score, invariant=invariant)
    search = replace(
        search, score=score.name, lowpass=_lowpass(request.lowpass, values, mask, score.template_values)
    )
    template = search_template(values, mask, rotations, search)
    picks = _pick_options(request, mask)

    with statuses_kept():
        targets, given, unreadable = _targets(request, template)
    _compare_pixel_sizes(request, targets)
    target_mask = _target_mask(request, score, targets) if request.target_mask is not None else None
    shapes = [target.shape for target in targets]
    search = resolve_engine(search, shapes, template, rotations, request.memory_limit, picks.min_distance)
    job = MatchJob(
        template=digest(values),
        mask=digest(mask),
        rotations=digest(rotations),
        template_shape=values.shape,
        rotation_count=len(rotations),
        search=search,
        picks=picks,
        targets=tuple(targets),
        target_mask=None if target_mask is None else digest(target_mask),
        labels=_labels(request, rotations),
    )
    plan, estimate = make_plan(
        shapes,
        template,
        rotations,
        search,
        memory_limit=request.memory_limit,
        min_distance=picks.min_distance,
        workers=request.workers,
    )
    arrays: dict[str, Array] = {"template": values, "mask": mask, "rotations": rotations}
    if target_mask is not None:
        arrays["target_mask"] = target_mask
    return PreparedMatch(job, plan, estimate, arrays, given, unreadable, max_pixels=max_pixels(request))


def _template(request: MatchRequest) -> NDArray[np.float64]:
    if _is_path(request.template):
        values = read_array(request.template, channel=request.channel, gray=request.gray, role="template")
    else:
        values = np.asarray(request.template)
    label = _template_label(request)
    if values.ndim not in (2, 3) or values.dtype.kind not in "biuf":
        raise InputError(
            f"{label}: shape {values.shape}, dtype {values.dtype}; give a real 2D image or 3D volume."
        )
    if min(values.shape) < 2:
        raise InputError(f"{label}: shape {values.shape}; every axis needs at least 2 voxels.")
    return np.ascontiguousarray(values, np.float64)


def _template_label(request: MatchRequest) -> str:
    return f'template "{os.fspath(request.template)}"' if _is_path(request.template) else "template"


def _mask(request: MatchRequest, shape: tuple[int, ...]) -> NDArray[np.float32]:
    mask = request.mask
    if is_mask_shape(mask):
        return template_mask(mask, shape, radius=request.mask_radius, soft_edge=request.mask_edge)
    if request.mask_radius is not None or request.mask_edge:
        raise InputError(
            "mask radius and mask edge: they belong to drawn masks, but the mask is an array or a file."
        )
    if _is_path(mask):
        return check_mask(_read_weights(request, mask, "mask"), shape, str(mask))
    return check_mask(np.asarray(mask), shape, "array")


def _read_weights(request: MatchRequest, path: Any, role: str) -> Array:
    """Read a mask file; of one painted in gray but saved in colour, any channel will do."""
    return read_array(path, channel=0 if request.gray else request.channel, role=role)


def _rotations(request: MatchRequest, mask: NDArray[np.float32]) -> NDArray[np.float64]:
    dimensions = mask.ndim
    if request.rotations is not None:
        if request.step is not None:
            raise InputError("rotations and step: give one of them.")
        if _is_path(request.rotations):
            return read_rotations(request.rotations, dimensions)
        return check_rotations(request.rotations, dimensions)
    step = request.step
    if step is None:
        centre = (np.array(mask.shape) - 1) / 2
        radius = float(np.sqrt(((np.argwhere(mask > 0) - centre) ** 2).sum(axis=1).max()))
        lowest, highest = (1.0, 15.0) if dimensions == 2 else (5.0, 30.0)
        step = float(np.clip(np.rint(2 * math.degrees(RIM_STEP / max(radius, 1.0))) / 2, lowest, highest))
    if dimensions == 2:
        return plane_rotations(step, *request.angle_range)
    return space_rotations(step, request.symmetry)


def _fourier(name: str) -> str:
    if name == "auto":
        return available_providers()[-1]
    return provider(name).name


def _lowpass(
    given: float | str | None,
    values: NDArray[np.float64],
    mask: NDArray[np.float32],
    searched: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> float | None:
    if isinstance(given, str):
        if given == "auto":
            return automatic_cutoff(values, mask, searched)
        try:
            return float(given)
        except ValueError:
            raise InputError(f'lowpass "{given}": {LOWPASS_VALUES}') from None
    return None if given is None else float(given)


def _pick_options(request: MatchRequest, mask: NDArray[np.float32]) -> PickOptions:
    distance = request.min_distance
    if distance is None:
        extent = [int(np.ptp(np.argwhere(mask > 0)[:, axis])) + 1 for axis in range(mask.ndim)]
        distance = max(1.0, min(extent) / 2)
    threshold = request.threshold
    if isinstance(threshold, str) and threshold != "auto":
        try:
            threshold = float(threshold)
        except ValueError:
            raise InputError(f'threshold "{threshold}": give a number or auto.') from None
    return PickOptions(
        threshold=threshold,
        false_positives=request.false_positives,
        min_distance=float(distance),
        boundary=request.boundary,
        top=request.top,
        subpixel=request.subpixel,
        refine=request.refine,
    )


def _targets(
    request: MatchRequest, template: Template
) -> tuple[list[Target], dict[str, Any], dict[str, str]]:
    unreadable: dict[str, str] = {}
    targets: list[Target] = []
    given: dict[str, Any] = {}
    if not request.targets:
        raise InputError("targets: none given. Name at least one file, directory or glob.")
    for position, (source, array) in enumerate(_sources(request, unreadable)):
        try:
            check_fits(template, source.shape)
            stamp = file_stamp(source.path) if array is None else None
            read = _reader(source) if array is None else lambda region, array=array: np.asarray(array[region])
            content = examine(read, source.shape, source.name)
        except InputError as error:
            _report(unreadable, source.name, source.path, str(error))
            continue
        if array is not None:
            path = f"targets/{position:07d}"
            given[path] = array
            stored = TargetSource.from_json({**source.to_json(), "format": "stored", "path": path})
        else:
            stored = source
        targets.append(
            Target(
                name=source.name,
                shape=source.shape,
                digest=content.digest,
                mean=content.mean,
                std=content.std,
                source=stored.to_json(),
                pixel_size=source.pixel_size,
                pixel_unit=source.pixel_unit,
                stamp=stamp,
            )
        )
    if not targets:
        name, reason = next(iter(unreadable.items()))
        more = f" ({len(unreadable) - 1} more targets cannot be used either)" if len(unreadable) > 1 else ""
        raise InputError(f'target "{name}": {reason}{more}')
    return targets, given, unreadable


def _compare_pixel_sizes(request: MatchRequest, targets: Sequence[Target]) -> None:
    """Warn where files say that template and target are sampled differently: then nothing can match."""
    if not _is_path(request.template) or request.pixel_size is not None:
        return
    source = find_array(request.template, channel=request.channel, gray=request.gray)
    if source.pixel_size is None or source.pixel_unit not in MEASURED_UNITS:
        return
    for target in targets:
        if target.pixel_size is None or target.pixel_unit not in MEASURED_UNITS:
            continue
        ratio = unit_ratio(source.pixel_unit, target.pixel_unit)
        if not np.allclose(
            np.multiply(source.pixel_size, ratio), target.pixel_size, rtol=PIXEL_SIZE_TOLERANCE
        ):
            warnings.warn(
                f'target "{target.name}": pixel size {_size(target.pixel_size)} {target.pixel_unit}, template '
                f'"{source.name}" {_size(source.pixel_size)} {source.pixel_unit}. Resample one of them, or pass '
                "--pixel-size if the files are wrong.",
                ScorefoldWarning,
                stacklevel=4,
            )
            return


def _size(pixel_size: tuple[float, ...]) -> str:
    return "×".join(f"{size:.4g}" for size in dict.fromkeys(pixel_size))


def _sources(request: MatchRequest, unreadable: dict[str, str]) -> list[tuple[TargetSource, Any]]:
    paths = [target for target in request.targets if _is_path(target)]
    arrays = [target for target in request.targets if not _is_path(target)]
    sources: list[tuple[TargetSource, Any]] = []
    if paths:
        found, broken = find_targets(
            paths,
            channel=request.channel,
            gray=request.gray,
            pages=request.pages,
            pixel_size=request.pixel_size,
        )
        for item in broken:
            _report(unreadable, safe_name(Path(item.path).name), item.path, item.reason)
        sources += [(source, None) for source in found]
        if _is_path(request.template) and len(sources) > 1:
            # A folder of images often holds the template too, which would only be found in itself.
            template = absolute_path(request.template)
            sources = [item for item in sources if item[0].path != template]
    taken = {source.name for source, _ in sources}
    for index, given in enumerate(arrays):
        array = given if hasattr(given, "dtype") else np.asarray(given)  # a lazy array is not computed here
        shape = tuple(int(n) for n in array.shape)
        name = f"array-{index:04d}"
        while name in taken:
            name += "-2"
        if len(shape) not in (2, 3):
            raise InputError(f"target {name}: shape {shape}; give 2D images or 3D volumes.")
        dtype = np.dtype(array.dtype)
        if dtype.kind not in "biuf":
            raise InputError(f"target {name}: dtype {dtype}; give real numbers.")
        size = None if request.pixel_size is None else (float(request.pixel_size),) * len(shape)
        source = TargetSource(name, "", "stored", shape, dtype.name, pixel_size=size)
        sources.append((source, array))
    return sources


def _reader(source: TargetSource) -> Any:
    return lambda region: read_region(source, region)


def _target_mask(request: MatchRequest, score: Score, targets: Sequence[Target]) -> NDArray[np.float32]:
    if not score.partial_overlap:
        raise InputError(
            f"target mask: score {score.name} does not use one. Use --score MCC, or no target mask."
        )
    if _is_path(request.target_mask):
        mask = _read_weights(request, request.target_mask, "target mask")
    else:
        mask = np.asarray(request.target_mask)
    for target in targets:
        if target.shape != mask.shape:
            raise InputError(
                f'target mask: shape {mask.shape} differs from that of target "{target.name}", '
                f"{target.shape}. Search targets of one shape with one mask."
            )
    return check_mask(mask, mask.shape, "target mask")


def _labels(request: MatchRequest, rotations: NDArray[np.float64]) -> dict[str, str]:
    def name(value: Any) -> str:
        return readable_path(os.fspath(value)) if _is_path(value) else "array"

    if request.rotations is not None:
        rotation_set = f"{len(rotations)} rotations from {name(request.rotations)}"
    elif rotations.shape[1] == 2:
        first, last = request.angle_range
        rotation_set = f"{len(rotations)} angles from {first:g} to {last:g} degrees"
    else:
        rotation_set = f"{len(rotations)} rotations, symmetry {request.symmetry.upper()}"
    mask = name(request.mask)
    if mask in MASK_SHAPES and request.mask_radius is not None:
        mask += f", radius {request.mask_radius}"
    return {"template": name(request.template), "mask": mask, "rotations": rotation_set}


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _report(unreadable: dict[str, str], name: str, path: str, reason: str) -> None:
    """Note why a target is left out, under its name, or its path where another one has that name."""
    reason = reason.removeprefix(f'target "{name}": ')
    unreadable[readable_path(path if name in unreadable else name)] = readable_path(reason)
