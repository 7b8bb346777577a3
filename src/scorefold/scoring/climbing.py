"""From candidates to the maxima of the exact scores, by way of voxels that are next to each other."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from scorefold.scoring.cell_filters import CellFilters
from scorefold.scoring.rescoring import (
    CANDIDATE_STDS,
    NOISE_STDS,
    Rescorer,
    held_bytes,
    synthesis_slack,
    voxel_bytes,
)
from scorefold.scoring.score import TargetTile
from scorefold.scoring.tile import Tile

Array = NDArray[Any]
Voxel = tuple[int, ...]

WINDOW_BYTES = 2**27
"""Memory for the pixels around voxels that are looked at together."""

FIRST_TOGETHER, MOST_TOGETHER = 256, 2048
"""Voxels that are looked at together, at first and at most: after them it is asked whether that takes too much, and
twice as many follow."""

REACH = 1
"""How far apart, along each axis, voxels are next to each other: the maximum may lie beside the synthesised one."""

CLIMBS = 8
"""How often the maximum may lie beside the voxel that was looked at."""

FARTHEST = REACH * CLIMBS
"""How many voxels away from a candidate its exact maximum may lie, along each axis."""

PASSED_STDS = 1.5
"""`CANDIDATE_STDS` for voxels that are passed on the way to a peak: there are few such ways, and many voxels."""

RIVALS = 8
"""Voxels that are looked at together around each maximum, to learn whether one of them is higher."""

NEAR = 4
"""Edge of the blocks of voxels that are looked at one after the other."""


def looking_bytes(filters: CellFilters) -> int:
    """Return the memory that a climber and its rescorer take beside bases and pixels."""
    voxels = _most_together(voxel_bytes(filters))
    return voxels * voxel_bytes(filters) + held_bytes(filters, voxels)


def _most_together(bytes_each: int) -> int:
    """Return how many voxels are looked at together, at most."""
    return min(MOST_TOGETHER, max(1, WINDOW_BYTES // bytes_each))


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


class TooMuchWorkError(Exception):
    """Looking at voxels takes more than is allowed."""


class Climber:
    """Scores candidates exactly, and climbs from each to a voxel that is higher than all next to it.

    A candidate's own voxel is looked at first. Of those next to it, the ones are passed over which are not believed to
    be higher, or to be of interest: where a candidate has an exact score, by the largest residual; where it is of no
    interest itself, by the typical one, as voxels are passed over when candidates are looked for. Where none of them is
    of interest, the search goes on next to those that might have been. All candidates near a peak share what is found;
    a voxel is looked at again only where a lower score than before is of interest. What is known not to matter can be
    settled: nothing is climbed from there.

    Parameters
    ----------
    rescorer : Rescorer
        Scores voxels exactly.
    weights : callable
        Returns what the rescorer wants to know of voxels beside the pixels around them.
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
    reach : int
        How far apart, along each axis, voxels are next to each other.
    beside : float, optional
        Also wanted are the best scores of all voxels next to one of interest, if they are not below this. Default: only
        of those that are higher.
    most_products : float, optional
        What the rescorer may take.

    Attributes
    ----------
    exact : dict of tuple to (float, int)
        Best exact scores by voxel and the rotation ids that gave them, as far as they were found.

    Raises
    ------
    TooMuchWorkError
        By its methods, when the rescorer takes more than it may.
    """

    def __init__(
        self,
        rescorer: Rescorer,
        weights: Callable[[Sequence[Voxel]], Array],
        whole: Tile,
        pixels: TargetTile,
        synthesised: Array,
        *,
        at_least: float,
        std: float,
        residuals: tuple[float, float],
        reach: int = REACH,
        beside: float | None = None,
        most_products: float = np.inf,
    ) -> None:
        self.exact: dict[Voxel, tuple[float, int]] = {}
        self._rescorer = rescorer
        self._weights = weights
        self._reach = reach
        self._whole = whole
        self._pixels = pixels
        self._synthesised = synthesised
        self._at_least = at_least
        self._std = std
        self._typical_residual, self._largest_residual = residuals
        self._beside = beside
        self._most_products = most_products
        # What exact scores do not exceed, as far as that was found out.
        self._highest: dict[Voxel, float] = {}
        self._settled = np.zeros(whole.shape, bool)

    def maxima(self, voxels: Sequence[Voxel]) -> list[Candidate]:
        """Return the maxima of the exact scores that the voxels of candidates lead to, but for those settled."""
        climbing = [voxel for voxel in voxels if not self.is_settled(voxel)]
        climbed = set(climbing)
        self._look(dict.fromkeys(self._promising(climbing, self._at_least, -np.inf), self._at_least))
        maxima: list[Candidate] = []
        for _ in range(CLIMBS):
            self._look(self._wanted(climbing))
            tops = {voxel: self._top(voxel) for voxel in climbing}
            climbing = []
            for voxel, top in tops.items():
                if top == voxel:
                    score, rotation_id = self.exact[top]
                    maxima.append(Candidate(top, rotation_id, score))
                    continue
                for other in self._beyond(voxel) if top is None else [top]:
                    if other not in climbed and not self.is_settled(other):
                        climbed.add(other)
                        climbing.append(other)
        return maxima

    def settle(self, peaks: Iterable[Candidate], distance: float) -> None:
        """Climb no more from or to what lies no further than this (Euclidean) from peaks, and is none of them.

        It is still looked at where it lies next to what is known, and might be higher. What was settled before is not
        any more.
        """
        self._settled[...] = False
        peaks, reach = list(peaks), max(math.floor(distance), 0)
        for peak in peaks:
            place = self._place(peak.voxel)
            there = tuple(
                slice(max(a - reach, 0), min(a + reach + 1, n))
                for a, n in zip(place, self._settled.shape, strict=True)
            )
            away = np.ogrid[
                tuple(slice(part.start - a, part.stop - a) for part, a in zip(there, place, strict=True))
            ]
            self._settled[there] |= sum(offsets.astype(np.int64) ** 2 for offsets in away) <= distance**2
        for peak in peaks:
            self._settled[self._place(peak.voxel)] = False

    def is_settled(self, voxel: Voxel) -> bool:
        """Tell whether nothing is climbed from a voxel; see `settle`."""
        return bool(self._settled[self._place(voxel)])

    def may_exceed(self, score: float) -> float:
        """Return which synthesised scores may belong to exact ones above a score, by the largest residual."""
        return self._enough(score, self._largest_residual, NOISE_STDS)

    def comes_near(self, score: float) -> float:
        """Return from which synthesised scores on exact ones may reach a score, by the typical residual."""
        return self._enough(score, self._typical_residual)

    def next_to(self, voxel: Voxel, synthesised: float) -> list[Voxel]:
        """Return those of a voxel and the ones next to it that have at least a synthesised score."""
        return [one for one in self._around(voxel) if self._synthesised[self._place(one)] >= synthesised]

    def reaching(self, wanted: Mapping[Voxel, float]) -> list[Voxel]:
        """Return those voxels that have exact scores of interest, and not below what is given for each."""
        least = {voxel: max(score, self._at_least) for voxel, score in wanted.items()}
        self._look(
            {voxel: score for voxel, score in least.items() if any(self._promising([voxel], score, -np.inf))}
        )
        return [
            voxel for voxel, score in least.items() if voxel in self.exact and self.exact[voxel][0] >= score
        ]

    def look_around(self, maxima: Sequence[Candidate], distance: float, norm: float) -> list[Candidate]:
        """Look for what is higher than maxima near them, and return those for which there may be more.

        Where something higher is known, nothing is looked at; else what has the highest synthesised scores of all that
        may be higher. That is judged by the typical residual, as candidates are.

        Parameters
        ----------
        maxima : sequence of Candidate
            Some of what `maxima` returned.
        distance : float
            How far away is near, in voxels.
        norm : float
            Order of the norm by which that is measured: 2 for balls, infinity for cubes.
        """
        rivals = self._rivals(maxima, distance, norm) if distance > self._reach and maxima else {}
        wanted: dict[Voxel, float] = {}
        for one, near in rivals.items():
            for rival in near:
                wanted[rival] = min(one.score, wanted.get(rival, np.inf))
        self._look(wanted)
        return list(rivals)

    def _top(self, voxel: Voxel) -> Voxel | None:
        """Return the highest of a voxel and those next to it, if any is known; of equal ones the first in C order."""
        scored = [other for other in self._around(voxel) if other in self.exact]
        return min(scored, key=lambda other: (-self.exact[other][0], other), default=None)

    def _beyond(self, voxel: Voxel) -> Iterator[Voxel]:
        """Yield the voxels next to one, where no score of interest is known, that might have had one.

        The highest synthesised score of a peak may lie further than one voxel from its highest exact one, and have no
        score of interest around it.
        """
        enough = self._enough(self._at_least, self._typical_residual, PASSED_STDS)
        for other in self._around(voxel):
            if self._synthesised[self._place(other)] >= enough:
                yield other

    def _wanted(self, climbing: Sequence[Voxel]) -> dict[Voxel, float]:
        """Return the voxels to look at next to some, and which scores are of interest there."""
        wanted: dict[Voxel, float] = {}
        for voxel in climbing:
            known = voxel in self.exact
            at_least = max(self.exact[voxel][0], self._at_least) if known else self._at_least
            enough = self.may_exceed(at_least) if known else self.comes_near(at_least)
            if known and self._beside is not None:
                at_least, enough = self._beside, -np.inf
            for other in self._promising(self._around(voxel), at_least, enough):
                if known or not self.is_settled(other):
                    wanted[other] = min(at_least, wanted.get(other, np.inf))
        return wanted

    def _rivals(
        self, maxima: Sequence[Candidate], distance: float, norm: float
    ) -> dict[Candidate, list[Voxel]]:
        """Return, of the voxels near maxima that may be higher, those with the best synthesised scores."""
        rivals: dict[Candidate, list[Voxel]] = {}
        known = KDTree(list(self.exact))
        scores = np.array([score for score, _ in self.exact.values()])
        for one in maxima:
            if scores[known.query_ball_point(one.voxel, distance, p=norm)].max() > one.score:
                continue
            enough = self.comes_near(one.score)
            near = self._near(one.voxel, distance, norm, enough)
            best = list(itertools.islice(self._promising(near, one.score, enough), RIVALS))
            if best:
                rivals[one] = best
        return rivals

    def _near(self, voxel: Voxel, distance: float, norm: float, enough: float) -> Iterator[Voxel]:
        """Yield the voxels near one that have at least a synthesised score, the highest first."""
        apart = math.floor(distance)
        start = [max(v - apart, a) for v, a in zip(voxel, self._whole.start, strict=True)]
        cube = tuple(
            slice(a, v - w + apart + 1)
            for a, v, w in zip(self._place(start), voxel, self._whole.start, strict=True)
        )
        synthesised = self._synthesised[cube]
        voxels = np.argwhere(synthesised >= enough) + start
        voxels = voxels[np.linalg.norm(voxels - voxel, norm, axis=1) <= distance]
        order = np.argsort(-synthesised[tuple((voxels - start).T)], kind="stable")
        yield from (tuple(voxels[number].tolist()) for number in order)

    def _promising(self, near: Iterable[Voxel], at_least: float, enough: float) -> Iterator[Voxel]:
        """Yield those voxels whose scores are not known, and may be of interest by all that is known."""
        for voxel in near:
            if (
                voxel not in self.exact
                and self._highest.get(voxel, np.inf) >= at_least
                and self._synthesised[self._place(voxel)] >= enough
            ):
                yield voxel

    def _enough(self, at_least: float, residual: float, noise_stds: float = CANDIDATE_STDS) -> float:
        """Return which synthesised scores may belong to exact ones that are of interest."""
        return at_least - float(synthesis_slack(at_least, residual, self._std, noise_stds))

    def _look(self, wanted: Mapping[Voxel, float]) -> None:
        """Find the best exact scores of voxels, if they are of interest: as many together as memory allows."""
        rescorer = self._rescorer
        most = _most_together(rescorer.voxel_bytes)
        # Neighbours follow each other: they share turned templates.
        voxels = sorted(wanted, key=lambda voxel: (tuple(v // NEAR for v in voxel), voxel))
        start, count = 0, min(FIRST_TOGETHER, most)
        while start < len(voxels):
            if rescorer.products > self._most_products:
                raise TooMuchWorkError
            some = voxels[start : start + count]
            start, count = start + count, min(2 * count, most)
            places = [self._place(voxel) for voxel in some]
            best = rescorer.best(
                rescorer.windows(places, self._pixels),
                self._weights(some),
                np.array([self._synthesised[place] for place in places]),
                np.array([wanted[voxel] for voxel in some]),
            )
            for number, voxel in enumerate(some):
                self._highest[voxel] = float(best.highest[number])
                if best.rotations[number] >= 0:
                    self.exact[voxel] = (float(best.scores[number]), int(best.rotations[number]))

    def _around(self, voxel: Voxel) -> Iterator[Voxel]:
        """Yield a voxel and those next to it, as far as there are any, in C order."""
        reach = self._reach
        return itertools.product(
            *(
                range(max(v - reach, a), min(v + reach + 1, a + n))
                for v, a, n in zip(voxel, self._whole.start, self._whole.shape, strict=True)
            )
        )

    def _place(self, voxel: Sequence[int]) -> Voxel:
        return tuple(v - a for v, a in zip(voxel, self._whole.start, strict=True))


def is_maximum(scores: Array) -> NDArray[np.bool_]:
    """Tell which voxels of a map are maxima as a `Climber` finds them: of equal voxels next to each other the first."""
    found = np.ones(scores.shape, bool)
    padded = np.pad(scores, 1, constant_values=-np.inf)
    own = (0,) * scores.ndim
    for offset in itertools.product((-1, 0, 1), repeat=scores.ndim):
        other = padded[tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, scores.shape, strict=True))]
        if offset < own:
            found &= scores > other
        elif offset > own:
            found &= scores >= other
    return found
