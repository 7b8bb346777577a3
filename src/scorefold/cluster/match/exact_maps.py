"""Exact score maps of the surroundings of candidates, for tiles that have too many to look at each by itself."""

import itertools
import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scorefold.cluster.match.run import MatchRun
from scorefold.scoring.climbing import Candidate, Voxel, is_maximum
from scorefold.scoring.score import TargetTile
from scorefold.scoring.tile import Tile

Array = NDArray[Any]

TRANSFORMED_PRODUCTS = 100
"""Products of a rescorer that take as long as a voxel of a transform does at one rotation (measured)."""


class ExactMaps:
    """The best exact scores of all voxels of a tile, by the transforms of the run's plan.

    Parameters
    ----------
    run : MatchRun
        The run.
    whole : Tile
        The voxels; it may be larger than the tiles of the plan.
    pixels : TargetTile
        What was read for it.
    fft_shape : tuple of int
        Shape of the plan's transforms.
    """

    def __init__(self, run: MatchRun, whole: Tile, pixels: TargetTile, fft_shape: tuple[int, ...]) -> None:
        self._run = run
        self._whole = whole
        self._pixels = pixels
        self._fft_shape = fft_shape

    @property
    def products(self) -> int:
        """What making the maps takes, as `Rescorer.products` counts."""
        voxels = len(self._pieces) * math.prod(self._fft_shape)
        return TRANSFORMED_PRODUCTS * voxels * len(self._run.rotations)

    def found(
        self, at_least: float, beside: float | None
    ) -> tuple[dict[Voxel, tuple[float, int]], list[Candidate]]:
        """Return scores and rotation ids of all voxels that are of interest, and the maxima among them.

        Parameters
        ----------
        at_least : float
            Scores below this are of no interest.
        beside : float, optional
            Also wanted are the scores next to maxima, if they are not below this.
        """
        scores, rotations = self._maps()
        high = (rotations >= 0) & (scores >= at_least)
        maxima = high & is_maximum(scores) & self._surrounded()
        wanted = high
        if beside is not None:
            near = ndimage.binary_dilation(maxima, np.ones((3,) * scores.ndim))
            wanted = high | (near & (rotations >= 0) & (scores >= beside))
        exact = dict(
            zip(
                map(tuple, (np.argwhere(wanted) + self._whole.start).tolist()),
                zip(scores[wanted].tolist(), rotations[wanted].tolist(), strict=True),
                strict=True,
            )
        )
        voxels = map(tuple, (np.argwhere(maxima) + self._whole.start).tolist())
        return exact, [Candidate(voxel, exact[voxel][1], exact[voxel][0]) for voxel in voxels]

    def _surrounded(self) -> NDArray[np.bool_]:
        """Tell which voxels are not at the edge, unless the target ends there, too: higher ones may lie beyond."""
        whole = self._whole
        inside = np.zeros(whole.shape, bool)
        inside[
            tuple(
                slice(int(a > 0), n - int(a + n < length))
                for a, n, length in zip(whole.start, whole.shape, whole.target_shape, strict=True)
            )
        ] = True
        return inside

    @cached_property
    def _pieces(self) -> list[Tile]:
        """All voxels in tiles that are small enough for the transforms."""
        whole, box = self._whole, self._run.template.box
        most = (f - b + 1 for f, b in zip(self._fft_shape, box, strict=True))
        edges = [-(-n // -(-n // m)) for n, m in zip(whole.shape, most, strict=True)]
        starts = itertools.product(*(range(0, n, edge) for n, edge in zip(whole.shape, edges, strict=True)))
        return [
            Tile(
                tuple(a + b for a, b in zip(whole.start, start, strict=True)),
                tuple(min(edge, n - a) for edge, n, a in zip(edges, whole.shape, start, strict=True)),
                whole.target_shape,
            )
            for start in starts
        ]

    def _maps(self) -> tuple[Array, Array]:
        run, whole = self._run, self._whole
        engine = run.exact_engine(self._fft_shape)
        scores = np.empty(whole.shape, run.job.search.dtype)
        rotations = np.empty(whole.shape, np.int32)
        for tile in self._pieces:
            maximum = run.maximum(tile)
            pixels = whole.cut(self._pixels, tile, run.template.box, run.score.margin)
            batch, states = engine.prepare([tile], [pixels], [maximum]), [maximum.init_state()]
            for rotation_id in range(len(run.rotations)):
                states = batch.fold(rotation_id, states)
            best = maximum.result(states[0])
            place = tuple(
                slice(a - b, a - b + n) for a, b, n in zip(tile.start, whole.start, tile.shape, strict=True)
            )
            scores[place], rotations[place] = best.scores, best.rotations
        return scores, rotations
