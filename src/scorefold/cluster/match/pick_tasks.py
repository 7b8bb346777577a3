"""The task that makes the picks of one target of its candidates, which were scored exactly and refined."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.peaks import Peaks
from scorefold.analyzer.subpixel import parabola_offset
from scorefold.cluster.match.candidate_tasks import Map, blocks, call_peaks
from scorefold.cluster.match.refine_tasks import RefinedCandidates, read_refined
from scorefold.cluster.match.result_map import ResultMap
from scorefold.cluster.match.run import MatchRun
from scorefold.planning.job import Target
from scorefold.planning.node import Node


def call_picks(run: MatchRun, node: Node) -> str:
    """Commit the picks of one target: positions, scores, rotation ids and rotation matrices, best first."""
    target = run.job.targets[node.target]
    arrays, record = run.store.read_partial(run.plan.candidate_node(node.target, run.job.picks.digest).key)
    if "failure" in record.summary:
        run.store.commit(node.key, summary={"failure": record.summary["failure"]})
        return node.key
    refined, failure = read_refined(run, node.target)
    if failure is not None and run.compressed:  # without exact scores there are no picks
        run.store.commit(node.key, summary={"failure": failure})
        return node.key
    scores: Map = ResultMap(run, node.target, "scores")
    rotations: Map = ResultMap(run, node.target, "rotations")
    if run.compressed:
        scores, rotations = _exact_maps(run, target, refined)
        # What lies at the edge of what was scored may only seem to be a maximum.
        maxima = refined.voxels[refined.maxima]
        peaks = call_peaks(
            run, target, scores, rotations, record.summary["threshold"], run.job.picks, among=maxima
        )
    else:
        peaks = Peaks(
            arrays["positions"],
            arrays["rotations"],
            arrays["scores"],
            np.ones(len(arrays["scores"]), np.int64),
            run.rotation_table,
        )
    positions = refined_positions(run, scores, rotations, peaks)
    matrices = run.rotations[peaks.rotations]
    _use_poses(run, peaks, refined, positions, matrices)
    run.store.commit(
        node.key,
        arrays={
            "positions": positions,
            "scores": peaks.scores.astype(np.float64),
            "rotations": peaks.rotations,
            "matrices": matrices,
            "histogram_counts": arrays["histogram_counts"],
            "histogram_edges": arrays["histogram_edges"],
        },
        summary={
            **{name: record.summary[name] for name in ("threshold", "best", "tests", "mean", "std")},
            **({"not_refined": f"picks not refined: {failure}"} if failure else {}),
        },
    )
    return node.key


class SparseMap:
    """A map that is known at a few voxels, and the same everywhere else.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    voxels : ndarray of int, shape (m, d)
        Where it is known.
    values : ndarray, shape (m,)
        What is known.
    fill : float
        Its value elsewhere.
    """

    def __init__(
        self, shape: tuple[int, ...], voxels: NDArray[np.int64], values: NDArray[Any], fill: float
    ) -> None:
        self.shape = shape
        self._voxels = voxels
        self._values = values
        self._fill = fill

    def __getitem__(self, region: tuple[slice, ...]) -> NDArray[Any]:
        start, stop = np.array([part.start for part in region]), np.array([part.stop for part in region])
        block = np.full(stop - start, self._fill, self._values.dtype)
        inside = ((self._voxels >= start) & (self._voxels < stop)).all(axis=1)
        block[tuple((self._voxels[inside] - start).T)] = self._values[inside]
        return block


def _exact_maps(run: MatchRun, target: Target, refined: RefinedCandidates) -> tuple[SparseMap, SparseMap]:
    """Return the exact scores around the candidates, and their rotations; nothing else can be a pick."""
    recorded = refined.scores > run.job.search.score_threshold
    voxels = refined.voxels[recorded]
    scores = refined.scores[recorded].astype(run.job.search.dtype)
    return (
        SparseMap(target.shape, voxels, scores, run.job.search.score_threshold),
        SparseMap(target.shape, voxels, refined.rotations[recorded], -1),
    )


def _use_poses(
    run: MatchRun,
    peaks: Peaks,
    refined: RefinedCandidates,
    positions: NDArray[np.float64],
    matrices: NDArray[np.float64],
) -> None:
    """Replace positions and matrices of the peaks by refined ones, where there are."""
    poses = {tuple(voxel): row for row, voxel in enumerate(refined.pose_voxels.tolist())}
    for row, voxel in enumerate(peaks.positions.tolist()):
        pose = poses.get(tuple(voxel))
        if pose is None:
            continue
        matrices[row] = refined.pose_rotations[pose]
        if run.job.picks.subpixel:
            positions[row] = np.add(voxel, refined.pose_offsets[pose]) + run.job.half_voxel


def refined_positions(run: MatchRun, scores: Map, rotations: Map, peaks: Peaks) -> NDArray[np.float64]:
    """Return the target coordinates of the template's rotation centre at every peak."""
    positions = peaks.positions.astype(np.float64)
    if run.job.picks.subpixel:
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
    return positions + run.job.half_voxel
