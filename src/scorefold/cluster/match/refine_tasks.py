"""The task that scores the candidates in the tiles of a batch exactly, and refines their rotations and positions."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.cluster.match.candidate_tasks import MARGIN_STDS
from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.run import one_line
from scorefold.errors import InputError
from scorefold.planning.node import Node
from scorefold.rotations import rotation_spacing
from scorefold.scoring.local import LocalScores
from scorefold.scoring.rescoring import Candidate, Rescorer
from scorefold.scoring.score import TargetTile
from scorefold.scoring.tile import Tile

Array = NDArray[Any]
Voxel = tuple[int, ...]

REACH = 2
"""Voxels around a candidate that are scored exactly: the maximum may lie beside the synthesised one."""

CLIMBS = 4
"""How often the maximum may lie beside the voxel that was looked at."""


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
    return RefinedCandidates(
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ), failure


def refine(run: MatchRun, node: Node) -> str:
    """Look at the candidates in the tiles of a batch again, and commit what was found.

    With the compressed engine every candidate is scored exactly at the rotations that may be the best, by way of its
    neighbours up to the next maximum. With either engine the rotations of what may be picks are refined between those
    of the set, if the run wants that.
    """
    dimensions = len(run.job.template_shape)
    found = _Found(dimensions)
    failures: dict[str, str] = {}
    for index, tile in run.plan.batch_tiles(node.batch):
        candidates = _candidates_in(run, index, tile)
        if not len(candidates.voxels) or str(index) in failures:
            continue
        try:
            refiner = _Refiner(run, index, tile, candidates)
        except (InputError, OSError) as error:  # it was readable when it was searched
            failures[str(index)] = f"searched, but not read again: {one_line(error)}"
            continue
        refiner.run(found)
    run.store.commit(node.key, arrays=found.arrays(), summary={"failures": failures})
    return node.key


@dataclass(frozen=True)
class _Candidates:
    """Candidates of a target in a tile, and what the target's scores are like."""

    voxels: NDArray[np.int64]
    scores: NDArray[np.float64]
    rotations: NDArray[np.int32]
    threshold: float
    std: float


def _candidates_in(run: MatchRun, index: int, tile: Tile) -> _Candidates:
    arrays, record = run.store.read_partial(run.plan.candidate_node(index, run.job.picks.digest).key)
    if "failure" in record.summary or not (run.compressed or _refines(run)):
        nothing = np.empty((0, len(tile.shape)), np.int64)
        return _Candidates(nothing, np.empty(0), np.empty(0, np.int32), 0.0, 0.0)
    stop = np.add(tile.start, tile.shape)
    inside = ((arrays["positions"] >= tile.start) & (arrays["positions"] < stop)).all(axis=1)
    return _Candidates(
        arrays["positions"][inside],
        arrays["scores"][inside],
        arrays["rotations"][inside],
        record.summary["threshold"],
        record.summary["std"],
    )


def _refines(run: MatchRun) -> bool:
    """Tell whether rotations are refined: a single rotation was asked for as it is."""
    return run.job.picks.refine and len(run.rotations) > 1


class _Found:
    """Collects what is found in the tiles of a batch."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._scored: dict[tuple[int, Voxel], tuple[float, int]] = {}
        self._poses: dict[tuple[int, Voxel], tuple[Array, Array]] = {}

    def add_score(self, target: int, voxel: Voxel, score: float, rotation_id: int) -> None:
        """Note an exact score, the best of those of one voxel; at equal scores that of the lower rotation id."""
        held = self._scored.get((target, voxel))
        if held is None or (score, -rotation_id) > (held[0], -held[1]):
            self._scored[target, voxel] = (score, rotation_id)

    def add_pose(self, target: int, voxel: Voxel, offset: Array, rotation: Array) -> None:
        """Note a refined pose."""
        self._poses[target, voxel] = (offset, rotation)

    def arrays(self) -> dict[str, Array]:
        """Return all as arrays, in the order of targets and voxels."""
        scored, poses = sorted(self._scored.items()), sorted(self._poses.items(), key=lambda item: item[0])
        d = self._dimensions
        return {
            "targets": np.array([key[0] for key, _ in scored], np.int64),
            "voxels": np.array([key[1] for key, _ in scored], np.int64).reshape(-1, d),
            "scores": np.array([value[0] for _, value in scored], np.float64),
            "rotations": np.array([value[1] for _, value in scored], np.int32),
            "pose_targets": np.array([key[0] for key, _ in poses], np.int64),
            "pose_voxels": np.array([key[1] for key, _ in poses], np.int64).reshape(-1, d),
            "pose_offsets": np.array([value[0] for _, value in poses], np.float64).reshape(-1, d),
            "pose_rotations": np.array([value[1] for _, value in poses], np.float64).reshape(-1, d, d),
        }


class _Refiner:
    """Looks at the candidates of one tile, whose pixels it holds with those of a few voxels around."""

    def __init__(self, run: MatchRun, index: int, tile: Tile, candidates: _Candidates) -> None:
        self._run = run
        self._index = index
        self._candidates = candidates
        self._whole = _grown(tile, REACH * CLIMBS + 1)
        self._pixels: TargetTile = run.pixels(run.job.targets[index], self._whole)
        search = run.job.search
        self._local = partial(
            LocalScores, run.template, run.score, dtype=search.dtype, pad_edges=search.pad_edges
        )
        self._step = rotation_spacing(run.rotations) / 2

    def run(self, found: _Found) -> None:
        """Score and refine every candidate."""
        run = self._run
        rescorer = (
            Rescorer(run.filters, run.bases.of_cell, self._local(reach=REACH)) if run.compressed else None
        )
        next_to = self._local(reach=1)
        candidates = self._candidates
        for voxel, score, rotation in zip(
            candidates.voxels.tolist(), candidates.scores.tolist(), candidates.rotations.tolist(), strict=True
        ):
            peak: Candidate | None = Candidate(tuple(voxel), rotation, score)
            if rescorer is not None:
                peak = self._rescored(Candidate(tuple(voxel), rotation, score), rescorer, found)
            if peak is not None and _refines(run):
                around = next_to.around(peak.voxel, self._whole, self._pixels)
                pose = around.refined(run.rotations[peak.rotation_id], self._step)
                found.add_pose(self._index, peak.voxel, pose.offset, pose.rotation)

    def _rescored(self, candidate: Candidate, rescorer: Rescorer, found: _Found) -> Candidate | None:
        """Score a candidate exactly and climb to the maximum; return that if it may be a pick."""
        std = self._candidates.std
        slack = MARGIN_STDS * (self._run.job.search.tolerance or 0.0) * std
        at_least = self._candidates.threshold - slack
        for _ in range(CLIMBS):
            exact = rescorer.exact(
                candidate,
                self._whole,
                self._pixels,
                std=std,
                at_least=at_least,
                everywhere=not _refines(self._run),  # positions follow from the scores next to them then
            )
            if exact is None:
                return None
            for place in zip(*np.nonzero(exact.rotations >= 0), strict=True):
                voxel = _voxel(place, exact.tile)
                found.add_score(self._index, voxel, float(exact.scores[place]), int(exact.rotations[place]))
            top = np.unravel_index(int(np.nanargmax(exact.scores)), exact.scores.shape)
            before = candidate.voxel
            candidate = Candidate(
                _voxel(top, exact.tile), int(exact.rotations[top]), float(exact.scores[top])
            )
            if candidate.voxel == before:
                break
        return candidate


def _voxel(place: tuple[Any, ...], tile: Tile) -> Voxel:
    return tuple(int(p) + a for p, a in zip(place, tile.start, strict=True))


def _grown(tile: Tile, margin: int) -> Tile:
    """Return a tile with the positions around it, as far as there are any."""
    start = tuple(max(a - margin, 0) for a in tile.start)
    stop = (
        min(a + n + margin, whole)
        for a, n, whole in zip(tile.start, tile.shape, tile.target_shape, strict=True)
    )
    return Tile(start, tuple(b - a for a, b in zip(start, stop, strict=True)), tile.target_shape)
