"""Which maxima of the exact scores in a tile may be picks, found without a climb from every candidate."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial import KDTree

from scorefold.planning.job import PickOptions
from scorefold.scoring.climbing import FARTHEST, Candidate, Climber, Voxel
from scorefold.scoring.tile import Tile

Scores = Mapping[Voxel, tuple[float, int]]
"""Best exact scores by voxel, and the rotation ids that gave them."""

ACROSS = 2
"""Voxels inside of what a pick suppresses from which is still climbed: what they lead to may lie outside (measured)."""


class LikelyPicks:
    """Tells which maxima in a tile may be picks.

    Parameters
    ----------
    options : PickOptions
        How picks are called.
    dtype : str
        Working precision, in which picks are compared.
    tile : Tile
        The tile.
    tiles : sequence of Tile
        All tiles of the target, the first and the last one at its corners.
    """

    def __init__(self, options: PickOptions, dtype: str, tile: Tile, tiles: Sequence[Tile]) -> None:
        self._options = options
        self._dtype = dtype
        self._tile = tile
        self._first, self._last = tiles[0], tiles[-1]

    def maxima(self, climber: Climber, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Climb from candidates, the highest of their surroundings first, but not near what proves to be a pick.

        What may be higher than such a pick by the largest residual is looked at first: the candidates near it and the
        voxels next to these. It is climbed from those that are higher, and from the candidates that come near. Only if
        that finds nothing higher, all others near the pick are settled.
        """
        distance = self._options.min_distance
        maxima: dict[Candidate, None] = {}
        climbed: set[Voxel] = set()
        doubted: set[Candidate] = set()
        sure: list[Candidate] = []
        wanted = _highest_around(candidates, distance)
        while wanted:
            climbed.update(wanted)
            maxima |= dict.fromkeys(climber.maxima(wanted))
            self.looked_around(climber, list(maxima), distance, 2)
            before, sure = sure, self._sure(list(maxima), climber.exact)
            while new := [one for one in sure if one not in doubted]:
                doubted.update(new)
                doubts = _near_in_height(climber, new, candidates, distance)
                maxima |= dict.fromkeys(climber.maxima(climber.reaching(doubts)))
                self.looked_around(climber, list(maxima), distance, 2)
                sure = self._sure(list(maxima), climber.exact)
            if not set(before) <= set(sure):
                climbed.clear()  # what was settled is not any more, and climbs ended there
            climber.settle(sure, distance - ACROSS)
            unsettled = (one.voxel for one in candidates if not climber.is_settled(one.voxel))
            wanted = [voxel for voxel in unsettled if voxel not in climbed]
        return list(maxima)

    def looked_around(
        self, climber: Climber, maxima: Sequence[Candidate], distance: float, norm: float
    ) -> list[Candidate]:
        """Return the maxima that may be picks, after a look at what may be higher near them."""
        done: set[Candidate] = set()
        while True:
            # What is found may show that a maximum is none of the picks, and suppresses none.
            kept = self.not_suppressed(maxima, climber.exact)
            new = [one for one in kept if one not in done]
            if not new:
                return kept
            done.update(set(new).difference(climber.look_around(new, distance, norm)))

    def not_suppressed(self, maxima: Sequence[Candidate], exact: Scores) -> list[Candidate]:
        """Return the maxima but for those too close to one that is sure to be a pick."""
        sure = self._sure(maxima, exact)
        if not sure:
            return list(maxima)
        distance, _ = KDTree([one.voxel for one in sure]).query([one.voxel for one in maxima])
        picks = set(sure)
        return [
            one
            for one, far in zip(maxima, distance, strict=True)
            if one in picks or far > self._options.min_distance
        ]

    def _sure(self, maxima: Sequence[Candidate], exact: Scores) -> list[Candidate]:
        """Return the maxima that are sure to be picks, as nothing higher is known near them."""
        if not maxima:
            return []
        options = self._options
        voxels = np.array(list(exact))
        scores = np.array([score for score, _ in exact.values()], self._dtype)
        near, places = KDTree(voxels), KDTree([one.voxel for one in maxima])
        lower = np.zeros(len(maxima), bool)
        sure: list[Candidate] = []
        for number in _best_first(maxima):
            one = maxima[number]
            if lower[number] or not self._is_far_inside(one.voxel, options.min_distance + FARTHEST):
                continue
            close = np.array(near.query_ball_point(one.voxel, options.min_distance))
            own = (voxels[close] == one.voxel).all(axis=1)
            if (scores[close[~own]] < scores[close[own]]).all():
                sure.append(one)
                lower[places.query_ball_point(one.voxel, options.min_distance)] = True
        return sure

    def _is_far_inside(self, voxel: Voxel, margin: float) -> bool:
        """Tell whether no other tile is near a voxel, nor a border of the target at which there are no picks."""
        tile, first, last = self._tile, self._first, self._last
        return all(
            (tile.start[axis] == first.start[axis] or v - tile.start[axis] >= margin)
            and (
                tile.start[axis] == last.start[axis] or tile.start[axis] + tile.shape[axis] - 1 - v >= margin
            )
            and min(v, tile.target_shape[axis] - 1 - v) >= self._options.boundary
            for axis, v in enumerate(voxel)
        )


def _best_first(candidates: Sequence[Candidate]) -> list[int]:
    return sorted(
        range(len(candidates)), key=lambda number: (-candidates[number].score, candidates[number].voxel)
    )


def _highest_around(candidates: Sequence[Candidate], distance: float) -> list[Voxel]:
    """Return the candidates, best first, that have none of these near them before."""
    if not candidates:
        return []
    places = KDTree([one.voxel for one in candidates])
    free = np.ones(len(candidates), bool)
    highest: list[Voxel] = []
    for number in _best_first(candidates):
        if free[number]:
            highest.append(candidates[number].voxel)
            free[places.query_ball_point(candidates[number].voxel, distance)] = False
    return highest


def _near_in_height(
    climber: Climber, peaks: Sequence[Candidate], candidates: Sequence[Candidate], distance: float
) -> dict[Voxel, float]:
    """Return what may be higher than peaks by the largest residual: candidates near them, and voxels next to these.

    With them comes from which exact scores they are climbed from: candidates when they come near to a peak, the others
    when they are as high.
    """
    places = KDTree([one.voxel for one in candidates])
    found: dict[Voxel, float] = {}
    for peak in peaks:
        enough, near = climber.may_exceed(peak.score), climber.comes_near(peak.score)
        for number in places.query_ball_point(peak.voxel, distance):
            one = candidates[number]
            if one.score >= enough and one.voxel != peak.voxel:
                for voxel in climber.next_to(one.voxel, enough):
                    least = near if voxel == one.voxel else peak.score
                    found[voxel] = min(least, found.get(voxel, np.inf))
    return found
