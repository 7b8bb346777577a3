"""What a plan will cost: work, memory, bytes in the store, time."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from scorefold.planning.calibration import Calibration
from scorefold.planning.memory import MemoryModel
from scorefold.planning.plan import Plan

RESULT_BYTES = 8
"""Bytes per voxel of the result maps: a float32 score and an int32 rotation id."""

TARGET_SECONDS = 0.1
"""What a small target takes on one worker beside its scores: maps, candidates, a refined pick and the records of all.

Measured with 20,000 images of 64 × 64 pixels on two cores and a local disk.
"""


@dataclass(frozen=True)
class Estimate:
    """The cost of a plan.

    Attributes
    ----------
    targets, tiles, rotations, leaves, merges : int
        Counts.
    fft_shapes : list of tuple of int
        Shapes of the transforms, one per shape of targets.
    largest_rotation_block, largest_batch : int
        Rotations and tiles of the largest leaf.
    worker_bytes : int
        Peak memory of a worker.
    memory_limit : int
        What it may use.
    partial_bytes, result_bytes : int
        Bytes in the store for partials (removed after success) and for results.
    seconds : float
        Expected duration of the search on `workers` workers, without pictures.
    workers : int
        Number of workers.
    """

    targets: int
    tiles: int
    rotations: int
    leaves: int
    merges: int
    fft_shapes: list[tuple[int, ...]]
    largest_rotation_block: int
    largest_batch: int
    worker_bytes: int
    memory_limit: int
    partial_bytes: int
    result_bytes: int
    seconds: float
    workers: int

    def to_json(self) -> dict[str, Any]:
        """Return the estimate as JSON values."""
        return asdict(self)


def estimate(
    plan: Plan,
    memory: MemoryModel,
    calibrations: dict[tuple[int, ...], Calibration],
    workers: int,
    compress_seconds: float = 0.0,
) -> Estimate:
    """Add up what a plan costs.

    Parameters
    ----------
    plan : Plan
        The plan.
    memory : MemoryModel
        Of one worker.
    calibrations : dict
        By transform shape.
    workers : int
        Number of workers with one thread each.
    compress_seconds : float
        To make a basis.
    """
    partials = results = 0
    seconds = compress_seconds * (plan.cell_count or 0) / plan.cell_turns
    worker_bytes = 0
    for group in plan.groups:
        positions = sum(math.prod(tile.shape) for tile in group.tiles) * len(group.targets)
        blocks = -(-plan.step_count // group.rotation_block)
        # Every level of the merge tree writes the states once more.
        levels, count = 0, blocks
        while count > plan.writes_directly(group):
            levels += count
            count = -(-count // 8) if count > 1 else 0
        partials += memory.state_bytes * positions * levels
        results += RESULT_BYTES * math.prod(group.tiling.target_shape) * len(group.targets)
        calibration = calibrations[group.tiling.fft_shape]
        seconds += TARGET_SECONDS * len(group.targets)
        seconds += plan.step_count * (
            group.batch_count * calibration.rotation + group.tile_count * calibration.tile
        )
        tiles = min(group.batch_tiles, group.tile_count)
        worker_bytes = max(
            worker_bytes,
            memory.leaf_bytes(group.tiling.fft_shape, tiles),
            memory.merge_bytes(group.tiling.fft_shape, tiles) if blocks > 1 else 0,
            memory.refine_bytes(group.tiling.fft_shape, group.tiling.target_shape),
            memory.compress_bytes(),
        )
    return Estimate(
        targets=sum(len(group.targets) for group in plan.groups),
        tiles=sum(group.tile_count for group in plan.groups),
        rotations=plan.rotation_count,
        leaves=plan.leaf_count,
        merges=plan.merge_count,
        fft_shapes=[group.tiling.fft_shape for group in plan.groups],
        largest_rotation_block=max(group.rotation_block for group in plan.groups),
        largest_batch=max(min(group.batch_tiles, group.tile_count) for group in plan.groups),
        worker_bytes=worker_bytes,
        memory_limit=plan.memory_limit,
        partial_bytes=partials,
        result_bytes=results,
        seconds=seconds / workers,
        workers=workers,
    )
