"""The task that scores the candidates in the tiles of a batch exactly, and refines their rotations and positions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.peaks import maximum_radius
from scorefold.cluster.match.bases import drop_bases, keeping_bases
from scorefold.cluster.match.exact_maps import ExactMaps
from scorefold.cluster.match.likely_picks import LikelyPicks, Scores
from scorefold.cluster.match.result_map import ResultMap
from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.run import one_line
from scorefold.errors import InputError
from scorefold.planning.memory import margin_of
from scorefold.planning.node import Node
from scorefold.scoring.climbing import Candidate, Climber, TooMuchWorkError, Voxel
from scorefold.scoring.local import LocalScores, VoxelWeights, room_at
from scorefold.scoring.local_rescoring import LocalRescorer
from scorefold.scoring.rescoring import Rescorer
from scorefold.scoring.tile import Tile

Array = NDArray[Any]

_Rescored = tuple[Scores, list[Candidate], list[Candidate]]
"""Scores of voxels, the maxima among them, and those of the maxima that may be picks."""

WEIGHTS_REACH = 4
"""Weights of so many voxels to all sides of one are found at a time, which takes little more than of one."""


@dataclass(frozen=True)
class RefinedCandidates:
    """What is known exactly of the candidates of one target.

    Attributes
    ----------
    voxels : ndarray of int64, shape (m, d)
        Voxels that were scored again: the candidates of a compressed search and those next to them.
    scores : ndarray of float64, shape (m,)
        Their best exact scores.
    rotations : ndarray of int32, shape (m,)
        And the rotation ids that gave them.
    maxima : ndarray of bool, shape (m,)
        Which of these are higher than all next to them.
    pose_voxels : ndarray of int64, shape (p, d)
        Voxels whose rotation was refined.
    pose_offsets : ndarray of float64, shape (p, d)
        Where the maximum lies from there.
    pose_rotations : ndarray of float64, shape (p, d, d)
        The refined rotations.
    """

    voxels: NDArray[np.int64]
    scores: NDArray[np.float64]
    rotations: NDArray[np.int32]
    maxima: NDArray[np.bool_]
    pose_voxels: NDArray[np.int64]
    pose_offsets: NDArray[np.float64]
    pose_rotations: NDArray[np.float64]


def read_refined(run: MatchRun, index: int) -> tuple[RefinedCandidates, str | None]:
    """Return what the batches of a target found out about its candidates, and why some could not be looked at."""
    parts: list[dict[str, Array]] = []
    failure = None
    for batch in run.plan.batches_of(index):
        arrays, record = run.store.read_partial(run.plan.refine_node(batch, run.job.picks.digest).key)
        failure = record.summary["failures"].get(str(index), failure)
        own, poses = arrays["targets"] == index, arrays["pose_targets"] == index
        parts.append(
            {
                field.name: arrays[field.name][poses if field.name.startswith("pose_") else own]
                for field in fields(RefinedCandidates)
            }
        )
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    # Tiles that meet may have looked at one voxel both: the higher score is the one of more rotations.
    scored = _first_of_each(found["voxels"], -found["scores"], found["rotations"])
    maxima = set(map(tuple, found["voxels"][found["maxima"]].tolist()))
    posed = _first_of_each(found["pose_voxels"])
    for name, array in found.items():
        found[name] = array[posed if name.startswith("pose_") else scored]
    found["maxima"] = np.array([tuple(voxel) in maxima for voxel in found["voxels"].tolist()], bool)
    return RefinedCandidates(**found), failure


def _first_of_each(voxels: NDArray[np.int64], *keys: Array) -> NDArray[np.intp]:
    """Return the row of every voxel that comes first by some keys, in the order of voxels."""
    order = np.lexsort((*keys[::-1], *voxels.T[::-1]))
    ordered = voxels[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order[new]


def refine(run: MatchRun, node: Node) -> str:
    """Look at the candidates in the tiles of a batch again, and commit what was found.

    With the compressed engine every candidate is scored exactly at all rotations that may be the best, by way of its
    neighbours up to the next maximum. With either engine the rotations of what may be picks are refined between those
    of the set, if the run wants that.
    """
    found = _Found(len(run.job.template_shape))
    failures: dict[str, str] = {}
    if run.compressed or run.refining_step:
        with keeping_bases(run, run.plan.group_of(node.batch)):
            failures = _refine_tiles(run, node, found)
    run.store.commit(node.key, arrays=found.arrays(), summary={"failures": failures})
    return node.key


def _refine_tiles(run: MatchRun, node: Node, found: "_Found") -> dict[str, str]:
    """Look at the candidates in the tiles of a batch; return why some targets could not be read."""
    failures: dict[str, str] = {}
    of_target = {index: _candidates_of(run, index) for index in run.plan.targets_of(node.batch)}
    maps: dict[int, ResultMap] = {}
    for index, tile in run.plan.batch_tiles(node.batch):
        candidates = of_target[index].inside(tile)
        if not len(candidates.voxels) or str(index) in failures:
            continue
        if run.compressed and index not in maps:
            maps[index] = ResultMap(run, index, "scores")
        try:
            _Refiner(run, node.batch, index, tile, candidates, maps.get(index)).run(found)
        except _NotReadError as error:
            failures[str(index)] = f"searched, but not read again: {error}"
    return failures


class _NotReadError(Exception):
    """The target cannot be read, which was readable when it was searched."""


@dataclass(frozen=True)
class _Candidates:
    """Candidates of a target, and what its scores are like."""

    voxels: NDArray[np.int64]
    scores: NDArray[np.float64]
    rotations: NDArray[np.int32]
    threshold: float
    std: float

    def inside(self, tile: Tile) -> "_Candidates":
        """Return those in a tile."""
        stop = np.add(tile.start, tile.shape)
        which = ((self.voxels >= tile.start) & (self.voxels < stop)).all(axis=1)
        return replace(
            self,
            voxels=self.voxels[which],
            scores=self.scores[which],
            rotations=self.rotations[which],
        )


def _candidates_of(run: MatchRun, index: int) -> _Candidates:
    """Return the committed candidates of a target; none of one that could not be searched."""
    arrays, record = run.store.read_partial(run.plan.candidate_node(index, run.job.picks.digest).key)
    if "failure" in record.summary:
        nothing = np.empty((0, len(run.job.template_shape)), np.int64)
        return _Candidates(nothing, np.empty(0), np.empty(0, np.int32), 0.0, 0.0)
    return _Candidates(
        arrays["positions"],
        arrays["scores"],
        arrays["rotations"],
        record.summary["threshold"],
        record.summary["std"],
    )


class _Found:
    """Collects what is found in the tiles of a batch."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._scored: dict[tuple[int, Voxel], tuple[float, int]] = {}
        self._maxima: set[tuple[int, Voxel]] = set()
        self._poses: dict[tuple[int, Voxel], tuple[Array, Array]] = {}

    def add_score(self, target: int, voxel: Voxel, score: float, rotation_id: int) -> None:
        """Note an exact score, the best of those of one voxel; at equal scores that of the lower rotation id."""
        held = self._scored.get((target, voxel))
        if held is None or (score, -rotation_id) > (held[0], -held[1]):
            self._scored[target, voxel] = (score, rotation_id)

    def add_maximum(self, target: int, voxel: Voxel) -> None:
        """Note a voxel that is higher than all next to it."""
        self._maxima.add((target, voxel))

    def add_pose(self, target: int, voxel: Voxel, offset: Array, rotation: Array) -> None:
        """Note a refined pose, the first of those of one voxel."""
        self._poses.setdefault((target, voxel), (offset, rotation))

    def arrays(self) -> dict[str, Array]:
        """Return all as arrays, in the order of targets and voxels."""
        scored, poses = sorted(self._scored.items()), sorted(self._poses.items(), key=lambda item: item[0])
        d = self._dimensions
        return {
            "targets": np.array([key[0] for key, _ in scored], np.int64),
            "voxels": np.array([key[1] for key, _ in scored], np.int64).reshape(-1, d),
            "scores": np.array([value[0] for _, value in scored], np.float64),
            "rotations": np.array([value[1] for _, value in scored], np.int32),
            "maxima": np.array([key in self._maxima for key, _ in scored], bool),
            "pose_targets": np.array([key[0] for key, _ in poses], np.int64),
            "pose_voxels": np.array([key[1] for key, _ in poses], np.int64).reshape(-1, d),
            "pose_offsets": np.array([value[0] for _, value in poses], np.float64).reshape(-1, d),
            "pose_rotations": np.array([value[1] for _, value in poses], np.float64).reshape(-1, d, d),
        }


class _Refiner:
    """Looks at the candidates of one tile, whose pixels it holds with those of a few voxels around."""

    def __init__(
        self,
        run: MatchRun,
        batch: int,
        index: int,
        tile: Tile,
        candidates: _Candidates,
        synthesised: ResultMap | None,
    ) -> None:
        self._run = run
        self._index = index
        self._tile = tile
        group = run.plan.group_of(batch)
        self._fft_shape = group.tiling.fft_shape
        self._likely = LikelyPicks(run.job.picks, run.job.search.dtype, tile, group.tiles)
        self._threshold, self._std = candidates.threshold, candidates.std
        self._candidates = [
            Candidate(tuple(voxel), rotation, score)
            for voxel, rotation, score in zip(
                candidates.voxels.tolist(),
                candidates.rotations.tolist(),
                candidates.scores.tolist(),
                strict=True,
            )
        ]
        self._apart = maximum_radius(run.job.picks.min_distance, len(tile.shape))
        self._whole = _grown(tile, margin_of(run.job.picks.min_distance, run.template.box))
        self._synthesised: Array = np.empty(0)
        if synthesised is not None:
            region = tuple(slice(a, a + n) for a, n in zip(self._whole.start, self._whole.shape, strict=True))
            self._synthesised = np.asarray(synthesised[region])
        try:
            self._pixels = run.pixels(run.job.targets[index], self._whole)
        except (InputError, OSError) as error:
            raise _NotReadError(one_line(error)) from error
        search = run.job.search
        self._local = partial(
            LocalScores, run.template, run.score, dtype=search.dtype, pad_edges=search.pad_edges
        )

    def run(self, found: _Found) -> None:
        """Score and refine every candidate."""
        peaks = self._rescored(found) if self._run.compressed else self._candidates
        if not self._run.refining_step:
            return
        next_to = self._local(reach=1)
        for peak in peaks:
            around = next_to.around(peak.voxel, self._whole, self._pixels)
            pose = around.refined(self._run.rotations[peak.rotation_id], self._run.refining_step)
            found.add_pose(self._index, peak.voxel, pose.offset, pose.rotation)

    def _rescored(self, found: _Found) -> list[Candidate]:
        """Find the exact scores at and around the candidates; return the maxima that may be picks."""
        run = self._run
        # Positions follow from the scores next to them, where poses are not refined.
        beside = None if run.refining_step else run.job.search.score_threshold
        maps = ExactMaps(run, self._whole, self._pixels, self._fft_shape)
        exact, maxima, kept = self._looked_at(beside, maps.products) or self._all_scored(maps, beside)
        for voxel, (score, rotation_id) in exact.items():
            found.add_score(self._index, voxel, score, rotation_id)
        for one in maxima:
            found.add_maximum(self._index, one.voxel)
        return kept

    def _all_scored(self, maps: ExactMaps, beside: float | None) -> _Rescored:
        """Score all voxels at all rotations."""
        drop_bases(self._run)
        exact, maxima = maps.found(self._threshold, beside)
        return exact, maxima, self._likely.not_suppressed(maxima, exact) if self._run.refining_step else []

    def _looked_at(self, beside: float | None, most_products: float) -> _Rescored | None:
        """Look at voxels one by one, or return nothing if that takes too much."""
        climber = Climber(
            *self._rescorer(),
            self._whole,
            self._pixels,
            self._synthesised,
            at_least=self._threshold,
            std=self._std,
            residuals=self._run.residuals,
            beside=beside,
            most_products=most_products,
        )
        try:
            if self._run.filters.masks_turn:
                # Beside a jump of contrast maps tell too little of what is the highest.
                maxima = climber.maxima([one.voxel for one in self._candidates])
            else:
                maxima = self._likely.maxima(climber, self._candidates)
            kept = self._likely.looked_around(climber, maxima, self._apart, np.inf)
        except TooMuchWorkError:
            return None
        return climber.exact, maxima, kept

    def _rescorer(self) -> tuple[Rescorer, Callable[[Sequence[Voxel]], Array]]:
        """Return what scores voxels exactly, and what it wants to know of them."""
        run, whole = self._run, self._whole
        bases = run.filters, run.bases.of_model, run.finer_bases.of_model
        if not run.filters.masks_turn:
            weights = VoxelWeights(self._local(reach=WEIGHTS_REACH), whole, self._pixels)
            return Rescorer(*bases, std=self._std), weights
        room = partial(
            room_at,
            box=run.template.box,
            target_shape=whole.target_shape,
            everywhere=run.job.search.pad_edges,
        )
        return LocalRescorer(*bases, run.mask_bases.of_model, std=self._std), room


def _grown(tile: Tile, margin: int) -> Tile:
    """Return a tile with the positions around it, as far as there are any."""
    start = tuple(max(a - margin, 0) for a in tile.start)
    stop = (
        min(a + n + margin, whole)
        for a, n, whole in zip(tile.start, tile.shape, tile.target_shape, strict=True)
    )
    return Tile(start, tuple(b - a for a, b in zip(start, stop, strict=True)), tile.target_shape)
