"""The task that finds where picks of one target may be, on its finished maps, block by block with a halo."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from scorefold.analyzer import ApproximateMoments, Moments, PeakCallerMaximumFilter
from scorefold.analyzer.peaks import PeakCandidates, Peaks, maximum_radius
from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.match.search_tasks import create_maps, moments_from_json
from scorefold.planning.job import PickOptions, Target
from scorefold.planning.node import Node
from scorefold.scoring.climbing import FARTHEST
from scorefold.scoring.rescoring import CANDIDATE_STDS, synthesis_slack
from scorefold.scoring.threshold import false_positive_threshold
from scorefold.store import ResultMaps

MOST_PICKS = 100_000
"""Picks per target when no `top` is given."""

BLOCK_VOXELS = 2**21
HISTOGRAM_BINS = 200


SHOULDER_STDS = 0.25
"""Standard deviations of what noise does to the residual by which neighbours may change places.

What a basis lacks changes little from a voxel to the next.
"""

RIVAL_STDS = 2.0
"""The same for voxels that lie further apart."""


class Map(Protocol):
    """A map of scores or of rotation ids that is read region by region."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the target."""
        ...

    def __getitem__(self, region: tuple[slice, ...]) -> Any:
        """Return a region."""
        ...


@dataclass(frozen=True)
class TargetStatistics:
    """What is known of all scores of a target.

    Attributes
    ----------
    moments : Moments or ApproximateMoments
        Of the scores of all positions at all rotations.
    failure : str or None
        Why the target could not be searched.
    """

    moments: Moments | ApproximateMoments
    failure: str | None = None


def target_statistics(run: MatchRun, index: int) -> TargetStatistics:
    """Verify the maps of a target against their records and return the pooled moments of its scores.

    Raises
    ------
    DamagedPartialError
        If a tile differs from its record.
    """
    maps = ResultMaps(run.store, run.job.targets[index].name)
    pooled: Any = ApproximateMoments() if run.compressed else Moments()
    for batch in run.plan.batches_of(index):
        key = run.plan.write_node(batch).key
        record = run.store.require_commit(key)
        if str(index) in record.summary["failures"]:
            return TargetStatistics(Moments(), record.summary["failures"][str(index)])
        for tile in record.summary["tiles"]:
            if tile["index"] == index:
                maps.check_tile(key, tuple(tile["start"]), tuple(tile["shape"]), tile["digests"])
                pooled = pooled + moments_from_json(tile["moments"])
    return TargetStatistics(pooled)


def find_candidates(run: MatchRun, node: Node) -> str:
    """Find the candidates of one target and commit them with the threshold and a histogram of the best scores.

    Scores of the exact engine are final, and so are these candidates; synthesised scores may be too low, so that more
    candidates are kept than will be picks.
    """
    target = run.job.targets[node.target]
    statistics = target_statistics(run, node.target)
    if statistics.failure is not None:
        run.store.commit(node.key, summary={"failure": statistics.failure})
        return node.key
    maps = ResultMaps(run.store, target.name)
    files = create_maps(run, node.target) | maps.build_levels()
    moments = statistics.moments
    threshold = resolve_threshold(run, moments)
    scores, rotations = (_at_hand(maps.level(name)) for name in ("scores", "rotations"))
    best = _maximum(scores)
    counts, edges = _histogram(run, scores, rotations, max(best, threshold))
    if run.compressed:
        peaks = _approximate_peaks(run, target, scores, rotations, threshold, moments.std)
    else:
        peaks = call_peaks(run, target, scores, rotations, threshold, run.job.picks)
    arrays: dict[str, NDArray[Any]] = {
        "positions": peaks.positions.astype(np.int64),
        "scores": peaks.scores.astype(np.float64),
        "rotations": peaks.rotations,
        "histogram_counts": counts,
        "histogram_edges": edges,
    }
    summary = {
        "threshold": threshold,
        "best": best,
        "tests": moments.count,
        "mean": moments.mean,
        "std": moments.std,
        "files": files,
    }
    run.store.commit(node.key, arrays=arrays, summary=summary)
    return node.key


def resolve_threshold(run: MatchRun, moments: Moments | ApproximateMoments) -> float:
    """Return the threshold as a number; the automatic one follows from all scores of the target."""
    options = run.job.picks
    if not isinstance(options.threshold, str):
        return float(options.threshold)
    return false_positive_threshold(
        moments.count, moments.std, options.false_positives, moments.mean, bounded=run.score.bounded
    )


def _approximate_peaks(
    run: MatchRun, target: Target, scores: Map, rotations: Map, threshold: float, std: float
) -> Peaks:
    """Return the maxima of synthesised scores whose exact scores may be those of picks."""
    residual, options = run.residuals[0], run.job.picks
    lowest = threshold - float(synthesis_slack(threshold, residual, std, CANDIDATE_STDS))
    everything = replace(options, min_distance=1.0, top=None, boundary=max(options.boundary - FARTHEST, 0))
    found = call_peaks(run, target, scores, rotations, lowest, everything)
    shoulders = _shoulders(
        scores, rotations, lowest, everything.boundary, options.min_distance, residual, std
    )
    maxima = len(found)
    found = _both(found, shoulders)
    values = found.scores.astype(np.float64)
    if (
        run.filters.masks_turn
    ):  # beside a jump of contrast maps may be far too high: none is sure to be a pick
        return found
    keep = ~_suppressed(found.positions, values, maxima, target.shape, options, threshold, residual, std)
    if options.top is not None and keep.sum() > options.top:
        apart = call_peaks(run, target, scores, rotations, lowest, options)
        if len(apart) == options.top:
            least = float(apart.scores.min())
            keep &= values >= least - 2 * synthesis_slack(least, residual, std)
    return found.kept(keep)


@dataclass(frozen=True)
class _Voxels:
    """Voxels of a target's maps.

    Attributes
    ----------
    positions : ndarray of int64, shape (n, d)
        Where they are.
    scores, rotations : ndarray, shape (n,)
        What the maps hold there.
    """

    positions: NDArray[np.int64]
    scores: NDArray[Any]
    rotations: NDArray[Any]


def _shoulders(
    scores: Map,
    rotations: Map,
    lowest: float,
    boundary: int,
    min_distance: float,
    residual: float,
    std: float,
) -> _Voxels:
    """Return voxels that are maxima but for what a synthesis may be off: of each two along every axis the highest.

    There are at most `MOST_PICKS`, the highest. On a ridge the highest exact score may lie voxels away from the
    highest synthesised one.

    Parameters
    ----------
    scores, rotations : Map
        The target's maps.
    lowest : float
        Scores below this are of no interest.
    boundary : int
        How far voxels lie from the border of the target, at least.
    min_distance : float
        Picks are the highest as far as this.
    residual, std : float
        As for `synthesis_slack`: they tell by how much a voxel may be lower than those next to it, and than any that a
        pick would have to exceed.
    """
    dimensions = len(scores.shape)
    apart = maximum_radius(min_distance, dimensions)
    parts = [_Voxels(np.empty((0, dimensions), np.int64), np.empty(0), np.empty(0, np.int32))]
    for core, padded in blocks(scores.shape, apart + 1):
        block, ids = np.asarray(scores[padded]), np.asarray(rotations[padded])
        high = (block >= lowest) & (ids >= 0)
        if not high.any():
            continue
        for size, stds in ((3, SHOULDER_STDS), (2 * apart + 1, RIVAL_STDS)):
            highest = ndimage.maximum_filter(block, size, mode="nearest")
            high &= block >= highest - synthesis_slack(block, residual, std, stds)
        high &= block > ndimage.minimum_filter(block, 2 * apart + 1, mode="nearest")  # no plateaus
        inside = [
            slice(max(c.start, boundary), max(min(c.stop, n - boundary), c.start))
            for c, n in zip(core, scores.shape, strict=True)
        ]
        own = np.zeros(block.shape, bool)
        own[
            tuple(slice(i.start - p.start, i.stop - p.start) for i, p in zip(inside, padded, strict=True))
        ] = True
        places = np.argwhere(high & own)
        held = tuple(places.T)
        parts.append(_highest_of_pairs([_Voxels(places + [p.start for p in padded], block[held], ids[held])]))
    voxels = _highest_of_pairs(parts)
    best = np.lexsort((*voxels.positions.T[::-1], -voxels.scores))[:MOST_PICKS]
    return _Voxels(voxels.positions[best], voxels.scores[best], voxels.rotations[best])


def _highest_of_pairs(parts: Sequence[_Voxels]) -> _Voxels:
    """Return, of each two voxels along every axis, the highest."""
    voxels = _Voxels(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(_Voxels))
    )
    order = np.lexsort((*voxels.positions.T[::-1], -voxels.scores, *(voxels.positions // 2).T[::-1]))
    pairs = voxels.positions[order] // 2
    first = np.ones(len(order), bool)
    first[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    kept = order[first]
    return _Voxels(voxels.positions[kept], voxels.scores[kept], voxels.rotations[kept])


def _both(peaks: Peaks, voxels: _Voxels) -> Peaks:
    """Return peaks, and after them the voxels that are none of them."""
    known = set(map(tuple, peaks.positions.tolist()))
    new = np.array([voxel not in known for voxel in map(tuple, voxels.positions.tolist())], bool)
    return Peaks(
        np.concatenate([peaks.positions, voxels.positions[new]]),
        np.concatenate([peaks.rotations, voxels.rotations[new].astype(peaks.rotations.dtype)]),
        np.concatenate([peaks.scores, voxels.scores[new].astype(peaks.scores.dtype)]),
        np.ones(len(peaks) + int(new.sum()), np.int64),
        peaks.mapping,
    )


def _suppressed(
    positions: NDArray[np.int64],
    values: NDArray[np.float64],
    maxima: int,
    shape: tuple[int, ...],
    options: PickOptions,
    threshold: float,
    residual: float,
    std: float,
) -> NDArray[np.bool_]:
    """Tell which candidates lie too close to one of the first that is sure to be a pick, whatever the exact scores.

    The first are the maxima of the synthesised scores. Sure is what is far enough above the threshold and every other
    of them nearby, and inside of the boundary.
    """
    suppressed = np.zeros(len(values), bool)
    moved = 2 * FARTHEST
    if options.min_distance <= moved or maxima < 2:
        return suppressed
    at, heights = positions[:maxima], values[:maxima]
    slack = synthesis_slack(heights, residual, std)
    pairs = KDTree(at).query_pairs(options.min_distance + moved, output_type="ndarray")
    rival = np.full(len(heights), threshold)
    for first, second in (pairs.T, pairs.T[::-1]):
        np.maximum.at(rival, first, (heights + 2 * slack)[second])
    inside = np.minimum(at, np.subtract(shape, 1) - at).min(axis=1) >= options.boundary + moved
    sure = at[inside & (heights - slack > rival)]
    if len(sure):
        distance, _ = KDTree(sure).query(positions)
        suppressed[(distance > 0) & (distance <= options.min_distance - moved)] = True
    return suppressed


def call_peaks(
    run: MatchRun,
    target: Target,
    scores: Map,
    rotations: Map,
    threshold: float,
    options: PickOptions,
    among: NDArray[np.int64] | None = None,
) -> Peaks:
    """Return the peaks of a target's maps; if voxels are given, `among` these."""
    # A position and its rival never lie further apart than this.
    halo = math.ceil(options.min_distance) + 1
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
        mask = np.zeros(block.shape, bool)
        mask[inner] = among is None
        if among is not None:
            inside = ((among >= [c.start for c in core]) & (among < [c.stop for c in core])).all(axis=1)
            mask[tuple((among[inside] - [p.start for p in padded]).T)] = True
        block_caller = caller(block.shape, offset=[p.start for p in padded], mask=mask)
        state = block_caller(block_caller.init_state(), block, None, rotation_ids=ids)
        found.append(block_caller.result(state))
        if len(found) > 1:
            found = [PeakCallerMaximumFilter.merge(found)]
    return caller((1,) * len(target.shape)).peaks(found[0])


def _histogram(
    run: MatchRun, scores: Map, rotations: Map, highest: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts and edges of the best scores that were recorded."""
    lowest = run.job.search.score_threshold
    edges = np.linspace(lowest, max(highest, lowest + 1e-6), HISTOGRAM_BINS + 1)
    counts = np.zeros(HISTOGRAM_BINS, np.int64)
    for core, _ in blocks(scores.shape, 0):
        recorded = np.asarray(scores[core])[np.asarray(rotations[core]) >= 0]
        counts += np.histogram(recorded, edges)[0]
    return counts, edges


def _at_hand(stored: Map) -> Map:
    """Return a map that is no more than one block as an array, which is read once for all that looks at it."""
    if math.prod(stored.shape) > BLOCK_VOXELS:
        return stored
    whole: Map = stored[tuple(slice(0, n) for n in stored.shape)]
    return whole


def _maximum(scores: Map) -> float:
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
