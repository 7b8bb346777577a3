"""The task that calls the picks of one target on its finished maps, block by block with a halo."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import Moments, PeakCallerMaximumFilter
from scorefold.analyzer.peaks import PeakCandidates, Peaks
from scorefold.analyzer.subpixel import parabola_offset
from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.match.search_tasks import moments_from_json
from scorefold.errors import DamagedPartialError
from scorefold.planning.job import Target
from scorefold.planning.node import Node
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


def target_statistics(run: MatchRun, index: int) -> TargetStatistics:
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


def call_picks(run: MatchRun, node: Node) -> str:
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


def resolve_threshold(run: MatchRun, moments: Moments) -> float:
    """Return the threshold as a number; the automatic one follows from all scores of the target."""
    options = run.job.picks
    if not isinstance(options.threshold, str):
        return float(options.threshold)
    return false_positive_threshold(
        moments.count, moments.std, options.false_positives, moments.mean, bounded=run.score.bounded
    )


def _peaks(
    run: MatchRun, target: Target, maps: ResultMaps, threshold: float, best: float
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
    """Yield blocks of an array as (block, block with halo); with its halo one has about `voxels` voxels.

    Only a halo that wide that most of a block would be halo makes them larger.
    """
    edges = block_edges(shape, halo, voxels)
    for start in itertools.product(*(range(0, n, edge) for n, edge in zip(shape, edges, strict=True))):
        core = tuple(slice(a, min(a + edge, n)) for a, edge, n in zip(start, edges, shape, strict=True))
        padded = (
            slice(max(c.start - halo, 0), min(c.stop + halo, n)) for c, n in zip(core, shape, strict=True)
        )
        yield core, tuple(padded)


def block_edges(shape: tuple[int, ...], halo: int, voxels: int = BLOCK_VOXELS) -> tuple[int, ...]:
    """Return the extent of blocks along each axis: the longest is halved until a block with its halo is small enough.

    Examples
    --------
    >>> block_edges((10, 4000, 4000), halo=0, voxels=2**20)
    (10, 250, 250)
    """
    edges = list(shape)
    smallest = max(halo, 16)
    while math.prod(min(edge + 2 * halo, n) for edge, n in zip(edges, shape, strict=True)) > voxels:
        longest = max(range(len(edges)), key=lambda axis: edges[axis])
        if edges[longest] <= smallest:
            break
        edges[longest] = max(-(-edges[longest] // 2), smallest)
    return tuple(edges)


def refined_positions(run: MatchRun, maps: ResultMaps, peaks: Peaks) -> NDArray[np.float64]:
    """Return the target coordinates of the template's rotation centre at every peak."""
    half = ((np.array(run.job.template_shape) - 1) % 2) / 2
    positions = peaks.positions.astype(np.float64)
    if run.job.picks.subpixel:
        scores, rotations = maps.level("scores"), maps.level("rotations")
        for core, padded in blocks(scores.shape, 1):
            first, stop = [c.start for c in core], [c.stop for c in core]
            inside = np.flatnonzero(((peaks.positions >= first) & (peaks.positions < stop)).all(axis=1))
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
