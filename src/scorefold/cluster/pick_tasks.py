"""The task that calls the picks of one target on its finished maps, block by block with a halo."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import Moments, PeakCallerMaximumFilter
from scorefold.analyzer.peaks import PeakCandidates, Peaks
from scorefold.analyzer.subpixel import parabola_offset
from scorefold.cluster.context import RunContext
from scorefold.cluster.search_tasks import moments_from_json
from scorefold.errors import DamagedPartialError
from scorefold.planning.job import Target
from scorefold.planning.plan import Node
from scorefold.scoring.threshold import false_positive_threshold
from scorefold.store import ResultMaps

MOST_PICKS = 100_000
"""Picks per target when no `top` is given."""

BLOCK_VOXELS = 2**21
HISTOGRAM_BINS = 200


@dataclass(frozen=True)
class TargetStatistics:
    """What is known of all scores of a target.

    Attributes
    ----------
    moments : Moments
        Of the scores of all positions at all rotations.
    failure : str or None
        Why the target could not be searched.
    """

    moments: Moments
    failure: str | None = None


def target_statistics(run: RunContext, index: int) -> TargetStatistics:
    """Verify the maps of a target against their records and return the pooled moments of its scores.

    Raises
    ------
    DamagedPartialError
        If a tile differs from its record.
    """
    maps = ResultMaps(run.store, run.job.targets[index].name)
    pooled = Moments()
    for batch in run.plan.batches_of(index):
        key = run.plan.write_node(batch).key
        record = run.store.read_commit(key)
        if record is None:
            raise DamagedPartialError(key, "there is no commit record")
        if str(index) in record.summary["failures"]:
            return TargetStatistics(Moments(), record.summary["failures"][str(index)])
        for tile in record.summary["tiles"]:
            if tile["index"] == index:
                maps.check_tile(key, tuple(tile["start"]), tuple(tile["shape"]), tile["digests"])
                pooled = pooled + moments_from_json(tile["moments"])
    return TargetStatistics(pooled)


def call_picks(run: RunContext, node: Node) -> str:
    """Find the picks of one target and commit them with the threshold and a histogram of the best scores."""
    target = run.job.targets[node.target]
    statistics = target_statistics(run, node.target)
    if statistics.failure is not None:
        run.store.commit(node.key, summary={"failure": statistics.failure})
        return node.key
    maps = ResultMaps(run.store, target.name)
    maps.build_levels()
    threshold = resolve_threshold(run, statistics.moments)
    best = _maximum(maps.level("scores"))
    peaks, histogram = _peaks(run, target, maps, threshold, best)
    positions = refined_positions(run, maps, peaks)
    arrays: dict[str, NDArray[Any]] = {
        "positions": positions,
        "scores": peaks.scores.astype(np.float64),
        "rotations": peaks.rotations,
        "histogram_counts": histogram[0],
        "histogram_edges": histogram[1],
    }
    moments = statistics.moments
    summary = {
        "threshold": threshold,
        "best": best,
        "tests": moments.count,
        "mean": moments.mean,
        "std": moments.std,
    }
    run.store.commit(node.key, arrays=arrays, summary=summary)
    return node.key


def resolve_threshold(run: RunContext, moments: Moments) -> float:
    """Return the threshold as a number; the automatic one follows from all scores of the target."""
    options = run.job.picks
    if not isinstance(options.threshold, str):
        return float(options.threshold)
    return false_positive_threshold(
        moments.count, moments.std, options.false_positives, moments.mean, bounded=run.score.bounded
    )


def _peaks(
    run: RunContext, target: Target, maps: ResultMaps, threshold: float, best: float
) -> tuple[Peaks, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    options = run.job.picks
    scores, rotations = maps.level("scores"), maps.level("rotations")
    # A position and its rival never lie further apart than this.
    halo = math.ceil(options.min_distance) + 1
    lowest, highest = run.job.search.score_threshold, max(best, threshold)
    edges = np.linspace(lowest, max(highest, lowest + 1e-6), HISTOGRAM_BINS + 1)
    counts = np.zeros(HISTOGRAM_BINS, np.int64)
    found: list[PeakCandidates] = []

    def caller(shape: tuple[int, ...], **keywords: Any) -> PeakCallerMaximumFilter:
        return PeakCallerMaximumFilter(
            shape,
            num_peaks=options.top or MOST_PICKS,
            min_distance=options.min_distance,
            min_boundary_distance=options.boundary,
            min_score=threshold,
            target_shape=target.shape,
            rotations=run.rotation_table,
            num_candidates=16 * MOST_PICKS,
            **keywords,
        )

    for core, padded in blocks(target.shape, halo):
        block, ids = np.asarray(scores[padded]), np.asarray(rotations[padded])
        inner = tuple(slice(c.start - p.start, c.stop - p.start) for c, p in zip(core, padded, strict=True))
        recorded = block[inner][ids[inner] >= 0]
        counts += np.histogram(recorded, edges)[0]
        mask = np.zeros(block.shape, bool)
        mask[inner] = True
        block_caller = caller(block.shape, offset=[p.start for p in padded], mask=mask)
        state = block_caller(block_caller.init_state(), block, None, rotation_ids=ids)
        found.append(block_caller.result(state))
        if len(found) > 1:
            found = [PeakCallerMaximumFilter.merge(found)]
    return caller((1,) * len(target.shape)).peaks(found[0]), (counts, edges)


def _maximum(scores: Any) -> float:
    return max(float(np.max(scores[core])) for core, _ in blocks(scores.shape, 0))


def blocks(
    shape: tuple[int, ...], halo: int, voxels: int = BLOCK_VOXELS
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield slabs of an array as (slab, slab with halo), each of about `voxels` voxels."""
    rows = max(1, voxels // math.prod(shape[1:]), 4 * halo)
    for start in range(0, shape[0], rows):
        stop = min(start + rows, shape[0])
        rest = tuple(slice(0, n) for n in shape[1:])
        yield (slice(start, stop), *rest), (slice(max(start - halo, 0), min(stop + halo, shape[0])), *rest)


def refined_positions(run: RunContext, maps: ResultMaps, peaks: Peaks) -> NDArray[np.float64]:
    """Return the target coordinates of the template's rotation centre at every peak."""
    half = ((np.array(run.job.template_shape) - 1) % 2) / 2
    positions = peaks.positions.astype(np.float64)
    if run.job.picks.subpixel:
        scores, rotations = maps.level("scores"), maps.level("rotations")
        for core, padded in blocks(scores.shape, 1):
            inside = np.flatnonzero(
                (peaks.positions[:, 0] >= core[0].start) & (peaks.positions[:, 0] < core[0].stop)
            )
            if not inside.size:
                continue
            # What was never scored must not bend the parabola.
            block = np.where(
                np.asarray(rotations[padded]) < 0, np.nan, np.asarray(scores[padded], np.float64)
            )
            block = np.pad(block, 1, constant_values=np.nan)
            for row in inside:
                local = peaks.positions[row] - [p.start for p in padded]
                around = block[tuple(slice(int(i), int(i) + 3) for i in local)]
                positions[row] += parabola_offset(around)
    return positions + half
