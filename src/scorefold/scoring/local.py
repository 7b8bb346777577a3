"""Exact scores at a few positions, at any rotation: for rescoring candidates and refining picks."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.spatial.transform import Rotation

from scorefold.analyzer.subpixel import parabola_offset
from scorefold.rotations import angle_to_matrix
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import ScipyProvider
from scorefold.scoring.score import LinearScore, Score, TargetTile
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

Array = NDArray[Any]

ROUNDS = 4
"""How often the rotation is improved; the step is halved every time."""


class Pose(NamedTuple):
    """Where a template lies, between the positions and rotations that were searched.

    Attributes
    ----------
    rotation : ndarray, shape (d, d)
        The rotation.
    offset : ndarray, shape (d,)
        Position relative to the voxel it was found at.
    score : float
        The score there, by parabolas through the scores of voxels.
    """

    rotation: NDArray[np.float64]
    offset: NDArray[np.float64]
    score: float


class LocalScores:
    """Exact scores in the neighbourhood of voxels.

    Parameters
    ----------
    template : Template
        What is searched for.
    score : Score
        How template and target are compared.
    dtype : {"float32", "float64"}
        Working precision.
    pad_edges : bool
        Whether positions at which the template sticks out of the target are scored.
    reach : int
        How many voxels a neighbourhood extends from its middle along each axis.
    """

    def __init__(
        self, template: Template, score: Score, *, dtype: str, pad_edges: bool, reach: int = 1
    ) -> None:
        shape = tuple(next_fast_len(2 * reach + b, real=True) for b in template.box)
        self.reach = reach
        self.box = template.box
        self.margin = score.margin
        nothing = np.empty((0, len(shape), len(shape)))
        self._engine = ExactEngine(
            template, nothing, score, ScipyProvider(), shape, dtype=dtype, pad_edges=pad_edges
        )

    def around(self, voxel: tuple[int, ...], whole: Tile, pixels: TargetTile) -> "Neighbourhood":
        """Return the neighbourhood of a voxel of a tile.

        Parameters
        ----------
        voxel : tuple of int
            In the coordinates of the target.
        whole : Tile
            A tile that contains the voxel.
        pixels : TargetTile
            Its pixels.
        """
        reach = self.reach
        start = tuple(max(v - reach, a) for v, a in zip(voxel, whole.start, strict=True))
        stop = tuple(
            min(v + reach + 1, a + n) for v, a, n in zip(voxel, whole.start, whole.shape, strict=True)
        )
        tile = Tile(start, tuple(b - a for a, b in zip(start, stop, strict=True)), whole.target_shape)
        own = whole.cut(pixels, tile, self.box, self.margin)
        return Neighbourhood(self._engine, tile, own, voxel, self._nothing)

    @cached_property
    def _nothing(self) -> Any:
        """What a linear score needs of a filter of zeros, whose scores have the same weights as all others; or None."""
        score, box = self._engine.score, self.box
        return (
            score.prepare_filter(np.zeros(box), self._engine.correlator)
            if isinstance(score, LinearScore)
            else None
        )


class Neighbourhood:
    """The voxels next to a voxel, as far as they belong to its tile, and exact scores there."""

    def __init__(
        self, engine: ExactEngine, tile: Tile, pixels: TargetTile, voxel: tuple[int, ...], nothing: Any
    ) -> None:
        self.tile = tile
        self._nothing = nothing
        self._engine = engine
        self._target = engine.prepare_tiles([tile], [pixels])[0]
        self._voxel = tuple(v - a for v, a in zip(voxel, tile.start, strict=True))

    def scores(self, rotation: NDArray[np.float64]) -> Array:
        """Return the scores of the tile's positions at a rotation; NaN where none is defined."""
        prepared, support = self._engine.prepare_rotation(rotation)
        numerator, weight = self._engine.terms(self.tile, self._target, prepared)
        inside = tuple(slice(a, b) for a, b in self._engine.window(self.tile, support))
        scores = np.full(self.tile.shape, np.nan, numerator.dtype)
        np.multiply(numerator[inside], 1 if weight is None else weight[inside], out=scores[inside])
        return scores

    def weights(self) -> Array:
        """Return the factor between numerators and scores at the tile's positions; NaN where no score is defined.

        Of a `LinearScore`, whose weights no rotation changes.
        """
        _, weight = self._engine.terms(self.tile, self._target, self._nothing)
        inside = tuple(
            slice(a, b) for a, b in self._engine.window(self.tile, self._engine.template.fixed_support)
        )
        weights = np.full(self.tile.shape, np.nan)
        weights[inside] = 1 if weight is None else weight[inside]
        return weights

    def refined(self, rotation: NDArray[np.float64], step: float) -> Pose:
        """Return the pose with the highest score near a rotation, found by parabolas over angles.

        Around every axis in turn the rotation is turned both ways by a step, and then to the vertex of the parabola
        through the three scores, if that is higher; the step is halved and all is done again.

        Parameters
        ----------
        rotation : ndarray, shape (d, d)
            Where to begin.
        step : float
            First step in degrees: about half of the spacing of the rotations that were searched.
        """
        best = self._pose(rotation)
        for _ in range(ROUNDS):
            for axis in range(1 if len(rotation) == 2 else 3):
                best = self._improved(best, axis, step)
            step /= 2
        return best

    def _improved(self, best: Pose, axis: int, step: float) -> Pose:
        tried = [
            self._pose(_turn(len(best.rotation), axis, angle) @ best.rotation) for angle in (-step, step)
        ]
        before, after = tried[0].score, tried[1].score
        curvature = before - 2 * best.score + after
        # Next to a border the template may stick out when it is turned, and have no score.
        if math.isfinite(curvature) and curvature < 0 and best.score >= max(before, after):
            vertex = 0.5 * (before - after) / curvature * step
            tried.append(self._pose(_turn(len(best.rotation), axis, vertex) @ best.rotation))
        return max([best, *tried], key=lambda pose: pose.score)

    def _pose(self, rotation: NDArray[np.float64]) -> Pose:
        """Return the subvoxel maximum near the voxel; a score that is not defined counts as the lowest."""
        scores = self.scores(rotation)
        padded = np.pad(scores.astype(np.float64), 1, constant_values=np.nan)
        around = padded[tuple(slice(v, v + 3) for v in self._voxel)]
        middle = (1,) * around.ndim
        if np.isnan(around[middle]):
            return Pose(rotation, np.zeros(around.ndim), -np.inf)
        offset, height = parabola_offset(around), float(around[middle])
        for axis, shift in enumerate(offset):
            before, _, after = np.moveaxis(around, axis, -1)[(1,) * (around.ndim - 1)]
            if shift:
                height += 0.25 * (after - before) * shift
        return Pose(rotation, offset, height)


class VoxelWeights:
    """The factors between numerators and scores at voxels, for a `LinearScore`.

    Parameters
    ----------
    local : LocalScores
        Of the template and the score. Weights are found for all its reach at a time.
    whole : Tile
        A tile that contains the voxels.
    pixels : TargetTile
        Its pixels.
    """

    def __init__(self, local: LocalScores, whole: Tile, pixels: TargetTile) -> None:
        self._local = local
        self._whole = whole
        self._pixels = pixels
        self._found: dict[tuple[int, ...], float] = {}

    def __call__(self, voxels: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        """Return the weights of voxels, shape (n,); NaN where there is no score."""
        return np.array([self._weight(voxel) for voxel in voxels])

    def _weight(self, voxel: tuple[int, ...]) -> float:
        if voxel not in self._found:
            reach = self._local.reach
            edge = 2 * reach + 1
            middle = tuple(v // edge * edge + reach for v in voxel)
            block = self._local.around(middle, self._whole, self._pixels)
            self._found.update(zip(block.tile.voxels(), block.weights().ravel().tolist(), strict=True))
        return self._found[voxel]


def room_at(
    voxels: Sequence[tuple[int, ...]],
    box: tuple[int, ...],
    target_shape: tuple[int, ...],
    *,
    everywhere: bool,
) -> NDArray[np.int64]:
    """Return the first and the last index of the search box that lie inside of the target, shape (n, d, 2).

    Parameters
    ----------
    voxels : sequence of tuple of int
        Positions of the box.
    box, target_shape : tuple of int
        Shapes of the search box and of the target.
    everywhere : bool
        Whether it does not matter what lies outside.
    """
    origin = np.reshape(np.array(voxels, np.int64), (-1, len(box))) - (np.array(box) - 1) // 2
    first, last = np.maximum(-origin, 0), np.minimum(np.subtract(target_shape, origin), box) - 1
    if everywhere:
        first, last = np.zeros_like(first), np.zeros_like(last) + box
    return np.stack([first, last], axis=2)


def _turn(dimensions: int, axis: int, degrees: float) -> NDArray[np.float64]:
    """Return a rotation about an axis of the target; in the plane there is one only."""
    if dimensions == 2:
        return angle_to_matrix(degrees)
    vector = np.zeros(3)
    vector[axis] = np.radians(degrees)
    matrix: NDArray[np.float64] = Rotation.from_rotvec(vector).as_matrix()
    return matrix
