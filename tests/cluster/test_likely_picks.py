"""Which maxima may be picks: the same picks as if it were climbed from every candidate."""

import numpy as np
import pytest
from scipy import ndimage

from scorefold.analyzer.peaks import PeakCallerMaximumFilter, maximum_radius
from scorefold.cluster.match.likely_picks import LikelyPicks
from scorefold.planning.job import PickOptions
from scorefold.scoring.climbing import Candidate, Climber, is_maximum
from scorefold.scoring.rescoring import BestScores, synthesis_slack
from scorefold.scoring.tile import Tile

RESIDUALS = (0.2, 0.4)
STD = 0.01


class KnownScores:
    """A rescorer that has a map of exact scores."""

    voxel_bytes = 1
    products = 0

    def __init__(self, scores):
        self.scores = scores
        self.looked_at = []

    def windows(self, voxels, pixels):
        return np.array(voxels)

    def best(self, windows, weights, synthesised, at_least):
        self.looked_at += [tuple(voxel) for voxel in windows.tolist()]
        scores = self.scores[tuple(windows.T)]
        enough = scores >= at_least
        return BestScores(
            np.where(enough, scores, np.nan),
            np.where(enough, 3, -1),
            np.where(enough, scores, at_least - 1e-9),
        )


class Scene:
    """Exact and synthesised scores of a target of one tile, or of several, of which one is looked at."""

    def __init__(self, exact, synthesised, *, min_distance, threshold, tiles=None, tile=None, boundary=0):
        self.exact, self.synthesised, self.threshold = exact, synthesised, threshold
        self.options = PickOptions(min_distance=min_distance, boundary=boundary)
        whole = Tile((0,) * exact.ndim, exact.shape, exact.shape)
        self.tiles = tiles or [whole]
        self.rescorer = KnownScores(exact)
        self.climber = Climber(
            self.rescorer,
            len,
            whole,
            None,
            synthesised,
            at_least=threshold,
            std=STD,
            residuals=RESIDUALS,
        )
        self.likely = LikelyPicks(self.options, "float64", tile or self.tiles[0], self.tiles)
        lowest = threshold - float(synthesis_slack(threshold, RESIDUALS[0], STD))
        places = np.argwhere(is_maximum(synthesised) & (synthesised >= lowest))
        own = tile or self.tiles[0]
        self.candidates = [
            Candidate(tuple(place), 3, synthesised[tuple(place)])
            for place in places.tolist()
            if all(a <= v < a + n for v, a, n in zip(place, own.start, own.shape, strict=True))
        ]

    def picks(self, maxima):
        """Return the picks among maxima, as they are called."""
        return self.called(*self.known(maxima))

    def known(self, maxima):
        """Return a map of what is known of exact scores, and which of them are maxima that may be picks."""
        apart = maximum_radius(self.options.min_distance, self.exact.ndim)
        kept = self.likely.looked_around(self.climber, maxima, apart, np.inf)
        mask = np.zeros(self.exact.shape, bool)
        mask[tuple(np.array([one.voxel for one in kept], int).reshape(-1, mask.ndim).T)] = True
        scores = np.full(self.exact.shape, -1.0)
        for voxel, (score, _) in self.climber.exact.items():
            scores[voxel] = score
        return scores, mask

    def called(self, scores, mask=None):
        """Return the picks of a map."""
        options = {"min_distance": self.options.min_distance, "min_boundary_distance": self.options.boundary}
        caller = PeakCallerMaximumFilter(
            scores.shape, num_peaks=1000, min_score=self.threshold, mask=mask, **options
        )
        state = caller(caller.init_state(), scores, np.eye(scores.ndim), rotation_id=0)
        return set(map(tuple, caller.peaks(caller.result(state)).positions.astype(int).tolist()))

    def likely_maxima(self):
        return self.likely.maxima(self.climber, self.candidates)

    def all_maxima(self):
        return self.climber.maxima([one.voxel for one in self.candidates])

    def likely_picks(self):
        return self.picks(self.likely_maxima())

    def picks_of_all(self):
        return self.picks(self.all_maxima())


def in_a_row(exact, synthesised, *, shape=(48, 60)):
    """Return maps of exact and synthesised scores that are zero but for some columns of row 20."""
    maps = []
    for scores in (exact, synthesised):
        maps.append(np.zeros(shape))
        for column, score in scores.items():
            maps[-1][20, column] = score
    return maps


def spots(*peaks, shape=(48, 48), width=1.5):
    """Return a map with round peaks, given as (y, x, height)."""
    y, x = np.indices(shape)
    return np.max([h * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 2 / width**2) for a, b, h in peaks], axis=0)


def test_what_a_candidate_leads_to_may_lie_outside_of_what_a_pick_suppresses():
    """The highest synthesised score lies ten voxels from the pick, which are too few, the exact one eleven."""
    exact, synthesised = spots((20, 20, 0.9), (20, 31, 0.6)), spots((20, 20, 0.9), (20, 30, 0.6))
    options = {"min_distance": 10, "threshold": 0.45}
    assert Scene(exact, synthesised, **options).likely_picks() == {(20, 20), (20, 31)}


def test_near_a_pick_nothing_is_climbed_that_cannot_be_one():
    around = [(20 + 4 * a, 20 + 4 * b, 0.7) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    exact = spots((20, 20, 0.9), *around, (40, 40, 0.6), width=0.8)
    scene = Scene(exact, exact, min_distance=10, threshold=0.45)
    assert len(scene.candidates) == 10
    assert [one.voxel for one in scene.likely.maxima(scene.climber, scene.candidates)] == [(20, 20), (40, 40)]
    assert not {(y, x) for y, x, _ in around} & set(scene.rescorer.looked_at)
    every = Scene(exact, exact, min_distance=10, threshold=0.45)
    assert every.picks_of_all() == {(20, 20), (40, 40)}
    assert len(every.rescorer.looked_at) > 2 * len(scene.rescorer.looked_at)


def test_who_is_higher_than_all_that_is_likely_is_no_pick_before_the_unlikely_was_looked_at():
    """A score that a synthesis has far too low, and one that only the first of the two suppresses."""
    exact = spots((20, 20, 0.7), (20, 26, 0.74), (20, 14, 0.6), width=1.0)
    synthesised = spots((20, 20, 0.71), (20, 26, 0.66), (20, 14, 0.6), width=1.0)
    scene = Scene(exact, synthesised, min_distance=8, threshold=0.45)
    assert scene.likely_picks() == {(20, 26), (20, 14)}


def test_what_a_pick_settled_is_climbed_from_when_it_proves_to_be_none():
    """A candidate outside leads to a higher score, and is only climbed from as a higher candidate leads nowhere."""
    exact, synthesised = in_a_row(
        {20: 0.7, 12: 0.6, 30: 0.72, 31: 0.69, 32: 0.675, 33: 0.66},
        {20: 0.71, 12: 0.6, 30: 0.637, 31: 0.65, 32: 0.655, 33: 0.66, 38: 0.69},
    )
    scene = Scene(exact, synthesised, min_distance=10, threshold=0.45)
    assert [one.voxel for one in scene.candidates] == [(20, 12), (20, 20), (20, 33), (20, 38)]
    assert scene.likely_picks() == {(20, 30), (20, 12)}


def test_what_ended_at_what_was_settled_goes_on_when_that_is_settled_no_more():
    """As before; and beside what is settled begins a climb into it, the top of which is no candidate."""
    exact, synthesised = in_a_row(
        {20: 0.7, 30: 0.72, 31: 0.69, 32: 0.675, 33: 0.66, 10: 0.6, 11: 0.62, 12: 0.64},
        {20: 0.71, 30: 0.637, 31: 0.65, 32: 0.655, 33: 0.66, 38: 0.69, 10: 0.61, 11: 0.6, 12: 0.6},
    )
    scene = Scene(exact, synthesised, min_distance=10, threshold=0.45)
    assert [one.voxel for one in scene.candidates] == [(20, 10), (20, 20), (20, 33), (20, 38)]
    assert scene.likely_picks() == {(20, 30), (20, 12)}


def test_what_is_found_because_of_one_pick_is_no_pick_before_its_own_surroundings_were_looked_at():
    """What a synthesis has too low is higher than the first, and another such than that."""
    exact, synthesised = in_a_row(
        {20: 0.7, 25: 0.699, 26: 0.74, 34: 0.8}, {20: 0.71, 25: 0.665, 26: 0.66, 34: 0.79, 42: 0.81}
    )
    likely, every = (Scene(exact, synthesised, min_distance=10, threshold=0.45) for _ in range(2))
    assert likely.likely_picks() == every.picks_of_all() == {(20, 34)}


def test_what_is_higher_beside_a_candidate_that_is_not_suppresses_a_pick():
    exact, synthesised = in_a_row(
        {20: 0.7, 26: 0.66, 27: 0.74, 12: 0.6}, {20: 0.71, 26: 0.68, 27: 0.679, 12: 0.6}
    )
    likely, every = (Scene(exact, synthesised, min_distance=10, threshold=0.45) for _ in range(2))
    assert likely.likely_picks() == every.picks_of_all() == {(20, 27), (20, 12)}


def test_so_does_what_lies_two_voxels_from_a_candidate_that_comes_near():
    exact, synthesised = in_a_row(
        {20: 0.7, 26: 0.69, 27: 0.71, 28: 0.74, 12: 0.6}, {20: 0.71, 26: 0.68, 27: 0.665, 28: 0.66, 12: 0.6}
    )
    likely, every = (Scene(exact, synthesised, min_distance=10, threshold=0.45) for _ in range(2))
    assert likely.likely_picks() == every.picks_of_all() == {(20, 28), (20, 12)}


def test_no_candidates_lead_nowhere():
    nothing = np.zeros((9, 9))
    scene = Scene(nothing, nothing, min_distance=4, threshold=0.45)
    assert scene.likely.maxima(scene.climber, []) == []


def fields(ndim, count, *, residual):
    """Yield exact scores that are fields of peaks, and synthesised ones that are off by what a residual does."""
    rng = np.random.default_rng(ndim)
    shape = (64, 64) if ndim == 2 else (26, 26, 26)
    for _ in range(count):
        field = ndimage.gaussian_filter(rng.normal(size=shape), 1.6)
        exact = 0.4 + 0.12 * field / field.std()
        off = ndimage.gaussian_filter(rng.normal(size=shape), 1.0)
        yield exact, exact * (1 - residual**2 / 2) + residual * STD * off / off.std()


@pytest.mark.parametrize("ndim", [2, 3])
def test_picks_are_those_of_a_map_and_fewer_voxels_are_looked_at(ndim):
    """Fields of peaks, and a synthesis that is off by what it may be off: none of hundreds of picks is lost or new."""
    picks = fewer = looked_at = 0
    for exact, synthesised in fields(ndim, 30, residual=RESIDUALS[0]):
        likely, every = (Scene(exact, synthesised, min_distance=10, threshold=0.5) for _ in range(2))
        expected = likely.called(exact)
        assert likely.likely_picks() == every.picks_of_all() == expected
        picks += len(expected)
        fewer += len(likely.rescorer.looked_at)
        looked_at += len(every.rescorer.looked_at)
    assert picks > 300
    assert fewer < 0.9 * looked_at


@pytest.mark.parametrize("min_distance", [0.0, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("ndim", [2, 3])
def test_picks_are_as_if_all_candidates_had_been_climbed_from_whatever_the_distance(ndim, min_distance):
    """Peaks so near each other that some have no candidate are lost either way."""
    picks = wrong = 0
    for exact, synthesised in fields(ndim, 10, residual=RESIDUALS[0]):
        likely, every = (
            Scene(exact, synthesised, min_distance=min_distance, threshold=0.5) for _ in range(2)
        )
        expected, found = likely.called(exact), likely.likely_picks()
        assert found == every.picks_of_all()
        picks += len(expected)
        wrong += len(found ^ expected)
    assert picks > 400
    assert wrong < (0.005 if min_distance == 5 else 0.02) * picks


@pytest.mark.parametrize("ndim", [2, 3])
def test_with_larger_residuals_than_typical_no_more_is_lost_or_new_than_without_settling(ndim):
    picks = wrong = wrong_of_all = 0
    for exact, synthesised in fields(ndim, 20, residual=0.3):
        likely, every = (Scene(exact, synthesised, min_distance=10, threshold=0.5) for _ in range(2))
        expected = likely.called(exact)
        picks += len(expected)
        wrong += len(likely.likely_picks() ^ expected)
        wrong_of_all += len(every.picks_of_all() ^ expected)
    assert picks > 200
    assert wrong <= wrong_of_all + 0.01 * picks


@pytest.mark.parametrize("boundary", [0, 6])
@pytest.mark.parametrize("ndim", [2, 3])
def test_tiles_together_find_the_picks_of_a_whole(ndim, boundary):
    for exact, synthesised in fields(ndim, 10, residual=0.2):
        options = {"min_distance": 5, "threshold": 0.5, "boundary": boundary}
        cell = (exact.shape[0] // 2, *exact.shape[1:])
        tiles = [Tile((first, *(0,) * (ndim - 1)), cell, exact.shape) for first in (0, cell[0])]
        scenes = [Scene(exact, synthesised, tiles=tiles, tile=tile, **options) for tile in tiles]
        scores, masks = zip(*(scene.known(scene.likely_maxima()) for scene in scenes), strict=True)
        every = Scene(exact, synthesised, **options)
        assert scenes[0].called(np.max(scores, axis=0), np.any(masks, axis=0)) == every.picks_of_all()


@pytest.mark.parametrize(
    ("tile", "tiles", "boundary", "sure"),
    [
        ((0, 0, 40, 80), 2, 0, True),  # 18 rows below, which are the distance and all that may be climbed
        ((0, 0, 39, 80), 2, 0, False),
        ((3, 0, 77, 80), 2, 0, True),
        ((4, 0, 76, 80), 2, 0, False),
        ((0, 0, 80, 80), 1, 21, True),
        ((0, 0, 80, 80), 1, 22, False),
    ],
)
def test_near_other_tiles_and_borders_without_picks_nothing_is_sure(tile, tiles, boundary, sure):
    exact = spots((21, 40, 0.9), (21, 46, 0.6), shape=(80, 80), width=1.0)
    first, shape = tile[:2], tile[2:]
    own = Tile(first, shape, exact.shape)
    others = [Tile((0, 0), (first[0], 80), exact.shape)] * (first[0] > 0)
    others = [
        *others,
        own,
        *[Tile((shape[0], 0), (80 - shape[0], 80), exact.shape)] * (tiles > 1 and not others),
    ]
    scene = Scene(exact, exact, min_distance=10, threshold=0.45, tiles=others, tile=own, boundary=boundary)
    maxima = scene.climber.maxima([(21, 40), (21, 46)])
    assert len(maxima) == 2
    assert len(scene.likely.not_suppressed(maxima, scene.climber.exact)) == (1 if sure else 2)


def test_of_equal_maxima_near_each_other_none_is_sure():
    exact = spots((21, 40, 0.9), (21, 46, 0.9), width=1.0, shape=(60, 80))
    scene = Scene(exact, exact, min_distance=10, threshold=0.45)
    maxima = scene.climber.maxima([(21, 40), (21, 46)])
    assert scene.likely.not_suppressed(maxima, scene.climber.exact) == maxima
