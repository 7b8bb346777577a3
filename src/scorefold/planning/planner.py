"""Making the plan of a job: tiles from the memory limit, batches and rotation blocks from measured time."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.planning.calibration import Calibration, calibrate
from scorefold.planning.engines import CellSample, basis_size, choose_engine
from scorefold.planning.estimate import Estimate, estimate
from scorefold.planning.job import SearchOptions
from scorefold.planning.memory import BasisSize, MemoryModel, margin_of
from scorefold.planning.plan import Plan, TileGroup, group_targets
from scorefold.planning.tiling import Tiling, choose_tiling
from scorefold.scoring.fft import provider
from scorefold.scoring.lowpass import low_passed
from scorefold.scoring.score import get_score
from scorefold.scoring.template import Template

LEAF_SECONDS = 20.0
"""Wanted duration of a leaf: long beside the overhead of a task, short beside what a lost worker costs."""

LEAVES_PER_WORKER = 4
"""Wanted number of leaves per worker at least, so that no worker idles while the last one finishes."""

LARGEST_BATCH = 32

TYPICAL_RANK = 24
"""Rank for which tiles are laid out while the cells are still to be chosen."""

Calibrate = Callable[[tuple[int, ...]], Calibration]


def search_template(
    values: NDArray[np.float64],
    mask: NDArray[np.float32],
    rotations: NDArray[np.float64],
    search: SearchOptions,
) -> Template:
    """Return the template as it is rotated: low-passed, and as the score wants it.

    Raises
    ------
    InputError
        If it cannot be used, or nothing of it passes.
    """
    detailed = get_score(search.score).template_values
    values = np.asarray(values, np.float64)
    if search.lowpass is None:
        return Template(detailed(values), mask, rotations, order=search.order)
    try:
        return Template(detailed(low_passed(values, search.lowpass)), mask, rotations, order=search.order)
    except InputError:
        raise InputError(
            f"lowpass {search.lowpass:g}: nothing is left of the template under its mask. Use a higher one."
        ) from None


def make_plan(
    shapes: Sequence[tuple[int, ...]],
    template: Template,
    rotations: NDArray[np.float64],
    search: SearchOptions,
    *,
    memory_limit: int,
    min_distance: float = 1.0,
    workers: int = 1,
    calibration: Calibrate | None = None,
) -> tuple[Plan, Estimate]:
    """Cut a search into leaves.

    The tiles depend on shapes, template, bases and memory limit alone. How many tiles and rotations make a leaf also
    depends on measured time and on the number of workers; results do not depend on that.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Shapes of the targets.
    template : Template
        From `search_template`.
    rotations : ndarray, shape (n, d, d)
        The rotation set.
    search : SearchOptions
        How score maps are made.
    memory_limit : int
        Bytes per worker.
    min_distance : float
        Of picks: what lies nearer to one is looked at, too.
    workers : int
        Number of workers to plan for.
    calibration : callable, optional
        Returns measured seconds for a transform shape; by default they are measured now.

    Raises
    ------
    InputError
        If the template is larger than a target, or nothing fits the memory limit.
    """
    memory = _memory(template, search, memory_limit, min_distance)
    if search.engine != "exact":
        memory = _with_bases(memory, search, template, rotations)
    tilings = _tilings(shapes, template, search, memory)
    tiles = _count(tilings)
    fft_shapes = sorted({tiling.fft_shape for tiling, _ in tilings.values()})
    wisdom = provider(search.fft).learn(fft_shapes, template.box, sorted({search.dtype, "float64"}))
    transforms = provider(search.fft, wisdom)
    score = get_score(search.score)
    steps, cell_count, cell_turns, compress_seconds = len(rotations), None, 1, 0.0
    if search.engine == "exact":
        measure = calibration or (
            lambda shape: calibrate(
                template, rotations, score, transforms, shape, search.dtype, seconds=0.3, tiles=tiles
            )
        )
    else:
        samples = {
            shape: CellSample(search, template, rotations, transforms, shape, tiles)
            for shape in _some(fft_shapes)
        }
        sample = next(iter(samples.values()))
        steps = cell_count = len(sample.filters.cells)
        cell_turns, compress_seconds = sample.filters.cells.turns, sample.compress_seconds
        measure = calibration or (lambda shape: samples[shape].calibration)
    calibrations = _calibrations(fft_shapes, measure)

    total = sum(
        len(list(tiling.tiles())) * len(targets) * steps * calibrations[tiling.fft_shape].tile
        for tiling, targets in tilings.values()
    )
    wanted = min(LEAF_SECONDS, max(total / (LEAVES_PER_WORKER * workers), 0.25))
    groups = tuple(
        _group(tiling, tuple(targets), steps, memory, calibrations[tiling.fft_shape], wanted)
        for tiling, targets in tilings.values()
    )
    plan = Plan(
        template.box, len(rotations), groups, memory_limit, wisdom, cell_count, cell_turns, direct=True
    )
    return plan, estimate(plan, memory, calibrations, workers, compress_seconds)


def resolve_engine(
    search: SearchOptions,
    shapes: Sequence[tuple[int, ...]],
    template: Template,
    rotations: NDArray[np.float64],
    memory_limit: int,
    min_distance: float = 1.0,
) -> SearchOptions:
    """Return the search options with the engine decided, by what it costs for targets of these shapes.

    Parameters
    ----------
    search, shapes, template, rotations, memory_limit, min_distance
        As for `make_plan`.

    Raises
    ------
    InputError
        If the engine is unknown or cannot do this search; as `make_plan`.
    """
    exact = replace(search, engine="exact", tolerance=None, cell_angle=None)
    if search.engine == "exact":
        return exact
    memory = _memory(template, search, memory_limit, min_distance)
    try:
        tilings = _tilings(shapes, template, search, replace(memory, bases=BasisSize(TYPICAL_RANK)))
    except InputError:
        if search.engine != "auto":
            raise
        return exact  # it needs less memory; what else is wrong is said when that is planned
    typical = max((one.fft_shape for one, _ in tilings.values()), key=lambda shape: int(np.prod(shape)))
    wisdom = provider(search.fft).learn([typical], template.box, sorted({search.dtype, "float64"}))
    return choose_engine(
        search,
        template,
        rotations,
        provider(search.fft, wisdom),
        typical,
        _count(tilings),
        lambda one: _tilings(shapes, template, one, _with_bases(memory, one, template, rotations)),
    )


def _memory(template: Template, search: SearchOptions, limit: int, min_distance: float) -> MemoryModel:
    itemsize, margin = np.dtype(search.dtype).itemsize, margin_of(min_distance, template.box)
    return MemoryModel(limit, get_score(search.score), itemsize, template.box, margin)


def _with_bases(
    memory: MemoryModel, search: SearchOptions, template: Template, rotations: NDArray[np.float64]
) -> MemoryModel:
    """Return the memory of a search with the bases of its cells, if these can be made."""
    memory = replace(memory, bases=basis_size(search, template, rotations))
    if memory.compress_bytes() > memory.limit:
        raise InputError(
            f"memory limit {memory.limit / 2**20:.0f} MiB: the basis of the largest cell needs "
            f"{memory.compress_bytes() / 2**20:.0f} MiB. Use a smaller --cell-angle, raise --memory-limit, or use "
            "--engine exact."
        )
    return memory


def _tilings(
    shapes: Sequence[tuple[int, ...]], template: Template, search: SearchOptions, memory: MemoryModel
) -> dict[tuple[int, ...], tuple[Tiling, list[int]]]:
    """Return the tiling of every shape, and the targets of that shape."""
    whole = search.pad_edges or memory.score.partial_overlap
    reach = tuple((0, 0) for _ in template.reach) if whole else template.reach
    tilings = {}
    for shape, targets in group_targets(shapes).items():
        check_fits(template, shape)
        tilings[shape] = (choose_tiling(shape, template.box, reach, memory), targets)
    return tilings


def _count(tilings: dict[tuple[int, ...], tuple[Tiling, list[int]]]) -> int:
    """Return the number of tiles of all targets."""
    return sum(len(list(tiling.tiles())) * len(targets) for tiling, targets in tilings.values())


def check_fits(template: Template, shape: tuple[int, ...]) -> None:
    """Refuse a target that the template cannot lie in at any rotation.

    Raises
    ------
    InputError
        If it is too small, or of another dimension.
    """
    if len(shape) != len(template.box):
        raise InputError(
            f"{len(shape)}D target of shape {shape}: the template is {len(template.box)}D. "
            "Give both in one dimension."
        )
    if any(sum(ends) >= n for n, ends in zip(shape, template.reach, strict=True)):
        raise InputError(
            f"target of shape {shape}: smaller than the template under its mask ({template.mask.shape}). "
            "Crop the template or give larger targets."
        )


def _calibrations(
    fft_shapes: Sequence[tuple[int, ...]], measure: Calibrate
) -> dict[tuple[int, ...], Calibration]:
    """Measure a few shapes; others are scaled from the largest by the work of a transform."""
    if not fft_shapes:
        return {}
    some = _some(fft_shapes)
    measured = {shape: measure(shape) for shape in some}
    reference = some[-1]

    def work(shape: tuple[int, ...]) -> float:
        voxels = float(np.prod(shape))
        return voxels * float(np.log2(voxels))

    result = {}
    for shape in fft_shapes:
        factor = work(shape) / work(reference)
        known = measured[reference]
        result[shape] = measured.get(
            shape, replace(known, rotation=known.rotation * factor, tile=known.tile * factor)
        )
    return result


def _some(fft_shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the smallest, the middle and the largest of the shapes, in this order."""
    by_size = sorted(fft_shapes, key=lambda shape: int(np.prod(shape)))
    return sorted({by_size[0], by_size[len(by_size) // 2], by_size[-1]}, key=by_size.index)


def _group(
    tiling: Tiling,
    targets: tuple[int, ...],
    steps: int,
    memory: MemoryModel,
    calibration: Calibration,
    seconds: float,
) -> TileGroup:
    group = TileGroup(tiling, targets, 1, steps)
    # More tiles in a leaf share the rotated template, but a leaf of all rotations must not last too long.
    by_time = max(1, int(seconds / max(steps * calibration.tile, 1e-9)))
    spread = max(1, int(np.sqrt(LARGEST_BATCH))) if group.tile_count > 1 else 1
    batch = min(
        group.tile_count, LARGEST_BATCH, memory.tiles_that_fit(tiling.fft_shape), max(by_time, spread)
    )
    # Blocks of nearly one length: the rest of a set, a few rotations long, would prepare its tiles for little.
    blocks = max(1, min(steps, round(calibration.leaf_seconds(batch, steps) / seconds)))
    return TileGroup(tiling, targets, batch, -(-steps // blocks))
