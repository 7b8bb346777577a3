"""From candidates to the maxima of the exact scores, by way of voxels that are next to each other."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from scorefold.scoring.local import LocalScores
from scorefold.scoring.rescoring import Rescorer, synthesis_slack
from scorefold.scoring.score import TargetTile
from scorefold.scoring.tile import Tile

Array = NDArray[Any]
Voxel = tuple[int, ...]

WINDOW_BYTES = 2**27
"""Memory for the pixels around voxels that are looked at together."""

CLIMBS = 8
"""How often the maximum may lie beside the voxel that was looked at."""


@dataclass(frozen=True)
class Candidate:
    """What was found at a voxel.

    Attributes
    ----------
    voxel : tuple of int
        In the coordinates of the target.
    rotation_id : int
        The rotation with the best score there.
    score : float
        That score.
    """

    voxel: Voxel
    rotation_id: int
    score: float


class Climber:
    """Scores candidates exactly, and climbs from each to a voxel that is higher than all next to it.

    A candidate's own voxel is looked at first. Of those next to it, the ones are passed over which are not believed to
    be higher, or to be of interest: where a candidate has an exact score, by the largest residual; where it is of no
    interest itself, by the typical one, as voxels are passed over when candidates are looked for. No voxel is looked at
    twice for the same, so that all candidates near a peak share what is found.

    Parameters
    ----------
    rescorer : Rescorer
        Scores voxels exactly.
    local : LocalScores
        Of the same template and score; its reach decides which voxels are next to each other.
    whole : Tile
        The candidates' tile, with as many voxels around as may be climbed to.
    pixels : TargetTile
        Its pixels.
    synthesised : ndarray
        The best synthesised scores of these voxels, or what they do not exceed.
    at_least : float
        Scores below this are of no interest.
    std : float
        Standard deviation of all scores.
    residuals : tuple of float
        Of the synthesis that found the candidates: the root mean square and the largest.
    everywhere : bool
        Whether the best scores of all voxels next to one of interest are wanted, even where they are lower.

    Attributes
    ----------
    exact : dict of tuple to (float, int)
        Best exact scores by voxel and the rotation ids that gave them, as far as they were found.
    """

    def __init__(
        self,
        rescorer: Rescorer,
        local: LocalScores,
        whole: Tile,
        pixels: TargetTile,
        synthesised: Array,
        *,
        at_least: float,
        std: float,
        residuals: tuple[float, float],
        everywhere: bool = False,
    ) -> None:
        self.exact: dict[Voxel, tuple[float, int]] = {}
        self._rescorer = rescorer
        self._local = local
        self._whole = whole
        self._pixels = pixels
        self._synthesised = synthesised
        self._at_least = at_least
        self._std = std
        self._typical_residual, self._largest_residual = residuals
        self._everywhere = everywhere
        # What exact scores do not exceed, as far as that was found out.
        self._highest: dict[Voxel, float] = {}
        self._weights: dict[Voxel, float] = {}

    def maxima(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the maxima of the exact scores that candidates lead to."""
        for one in candidates:
            self._weigh(one.voxel, one.rotation_id)
        self._look({one.voxel: self._at_least for one in candidates})
        rotation_of = {one.voxel: one.rotation_id for one in candidates}
        climbing, climbed = list(rotation_of), set(rotation_of)
        maxima: list[Candidate] = []
        for _ in range(CLIMBS):
            self._look(self._wanted(climbing, rotation_of))
            tops = {voxel: self._top(voxel) for voxel in climbing}
            climbing = []
            for voxel, top in tops.items():
                if top is None:
                    continue
                score, rotation_of[top] = self.exact[top]
                if top == voxel:
                    maxima.append(Candidate(top, rotation_of[top], score))
                elif top not in climbed:
                    climbed.add(top)
                    climbing.append(top)
        return maxima

    def look_around(self, maxima: Sequence[Candidate], apart: int) -> None:
        """Look at what may be higher than maxima in cubes around them, where nothing higher is known.

        What that may be is judged by the typical residual, as candidates are.

        Parameters
        ----------
        maxima : sequence of Candidate
            Some of what `maxima` returned.
        apart : int
            How far the cubes reach along each axis, in voxels.
        """
        self._look(self._rivals(maxima, apart))

    def _top(self, voxel: Voxel) -> Voxel | None:
        """Return the highest of a voxel and those next to it, if any is known; of equal ones the first in C order."""
        scored = [other for other in self._around(voxel, self._local.reach) if other in self.exact]
        return min(scored, key=lambda other: (-self.exact[other][0], other), default=None)

    def _wanted(self, climbing: Sequence[Voxel], rotation_of: Mapping[Voxel, int]) -> dict[Voxel, float]:
        """Return the voxels to look at next to some, and which scores are of interest there."""
        wanted: dict[Voxel, float] = {}
        for voxel in climbing:
            near = self._around(voxel, self._local.reach)
            for other, at_least in self._promising(voxel, near, everywhere=self._everywhere):
                wanted[other] = min(at_least, wanted.get(other, np.inf))
                if other not in self._weights:
                    self._weigh(voxel, rotation_of[voxel])
        return wanted

    def _rivals(self, maxima: Sequence[Candidate], apart: int) -> dict[Voxel, float]:
        """Return the voxels near maxima that may be higher, where nothing higher is known."""
        wanted: dict[Voxel, float] = {}
        if apart <= self._local.reach or not maxima:
            return wanted
        known = KDTree(list(self.exact))
        scores = np.array([score for score, _ in self.exact.values()])
        for one in maxima:
            if scores[known.query_ball_point(one.voxel, apart, p=np.inf)].max() > one.score:
                continue
            start = np.maximum(np.subtract(one.voxel, self._whole.start) - apart, 0)
            around = tuple(
                slice(a, v - w + apart + 1)
                for a, v, w in zip(start, one.voxel, self._whole.start, strict=True)
            )
            synthesised = self._synthesised[around]
            # Of voxels outside of the tile nothing is known here.
            enough = self._enough(one.score, self._typical_residual)
            high = np.isfinite(synthesised) & (synthesised >= enough)
            near = (tuple(voxel) for voxel in (np.argwhere(high) + start + self._whole.start).tolist())
            for other, at_least in self._promising(one.voxel, near):
                wanted[other] = min(at_least, wanted.get(other, np.inf))
                if other not in self._weights:
                    self._weigh(other, one.rotation_id)
        return wanted

    def _promising(
        self, voxel: Voxel, near: Iterable[Voxel], *, everywhere: bool = False
    ) -> Iterator[tuple[Voxel, float]]:
        """Yield those of the voxels near one that have to be looked at, and which scores are of interest there."""
        if voxel not in self.exact:
            at_least, residual = self._at_least, self._typical_residual
        else:
            at_least, residual = max(self.exact[voxel][0], self._at_least), self._largest_residual
        enough = self._enough(at_least, residual)
        if everywhere and voxel in self.exact:
            at_least, enough = self._at_least, -np.inf
        for other in near:
            if (
                other not in self.exact
                and other != voxel
                and self._highest.get(other, np.inf) >= at_least
                and self._synthesised[self._place(other)] >= enough
            ):
                yield other, at_least

    def _enough(self, at_least: float, residual: float) -> float:
        """Return which synthesised scores may belong to exact ones that are of interest."""
        return at_least - float(synthesis_slack(at_least, residual, self._std))

    def _look(self, wanted: Mapping[Voxel, float]) -> None:
        """Find the best exact scores of voxels, if they are of interest: as many together as memory allows."""
        rescorer = self._rescorer
        most = max(1, WINDOW_BYTES // rescorer.voxel_bytes)
        voxels = sorted(wanted)
        for start in range(0, len(voxels), most):
            some = voxels[start : start + most]
            places = [self._place(voxel) for voxel in some]
            found = np.array([self._synthesised[place] for place in places])
            best = rescorer.best(
                rescorer.windows(places, self._pixels),
                np.array([self._weights[voxel] for voxel in some]),
                np.where(np.isfinite(found), found, -np.inf),
                np.array([wanted[voxel] for voxel in some]),
            )
            for number, voxel in enumerate(some):
                self._highest[voxel] = float(best.highest[number])
                if best.rotations[number] >= 0:
                    self.exact[voxel] = (float(best.scores[number]), int(best.rotations[number]))

    def _weigh(self, voxel: Voxel, rotation_id: int) -> None:
        """Find out the weights of a voxel and of those next to it."""
        around = self._local.around(voxel, self._whole, self._pixels)
        weights = around.weights(self._rescorer.rotation(rotation_id))
        self._weights.update(zip(around.tile.voxels(), weights.ravel().tolist(), strict=True))

    def _around(self, voxel: Voxel, reach: int) -> Iterator[Voxel]:
        """Yield a voxel and those around it, as far as there are any, in C order."""
        return itertools.product(
            *(
                range(max(v - reach, a), min(v + reach + 1, a + n))
                for v, a, n in zip(voxel, self._whole.start, self._whole.shape, strict=True)
            )
        )

    def _place(self, voxel: Voxel) -> Voxel:
        return tuple(v - a for v, a in zip(voxel, self._whole.start, strict=True))
