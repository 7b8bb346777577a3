"""Climbing from candidates to maxima of the exact scores."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from scorefold.analyzer import ScoreMoments
from scorefold.scoring import climbing
from scorefold.scoring.climbing import (
    CLIMBS,
    FIRST_TOGETHER,
    RIVALS,
    Candidate,
    Climber,
    TooMuchWorkError,
    is_maximum,
)
from scorefold.scoring.rescoring import BestScores
from scorefold.scoring.tile import Tile

TOLERANCE = 0.3


class KnownScores:
    """A rescorer of which a map of exact scores decides everything."""

    voxel_bytes = 1

    def __init__(self, scores):
        self.scores = np.asarray(scores, float)
        self.looked_at = []

    @property
    def products(self):
        return 10 * len(self.looked_at)

    def windows(self, voxels, pixels):
        return np.array(voxels)

    def best(self, windows, weights, synthesised, at_least):
        assert (weights == 2.0).all()
        self.looked_at += [tuple(voxel) for voxel in windows.tolist()]
        scores = self.scores[tuple(windows.T)]
        enough = scores >= at_least
        rotations = np.where(enough, 7, -1)
        return BestScores(
            np.where(enough, scores, np.nan), rotations, np.where(enough, scores, at_least - 1e-9)
        )


def climbed(scores, candidates, *, synthesised=None, at_least=0.5, **options):
    """Return the maxima, by voxel, to which candidates lead, and the climber and what it looked at."""
    known = KnownScores(scores)
    whole = Tile((0,) * known.scores.ndim, known.scores.shape, known.scores.shape)
    climber = Climber(
        known,
        lambda voxels: np.full(len(voxels), 2.0),
        whole,
        None,
        known.scores if synthesised is None else synthesised,
        at_least=at_least,
        std=0.01,
        residuals=(0.2, 0.4),
        **options,
    )
    found = climber.maxima(candidates)
    assert all(one.rotation_id == 7 and one.score == known.scores[one.voxel] for one in found)
    return [one.voxel for one in found], climber, known.looked_at


def test_a_candidate_leads_to_the_maximum_beside_it():
    scores = np.zeros((9, 9))
    scores[4, 2:6] = 0.6, 0.7, 0.8, 0.75
    assert climbed(scores, [(4, 2)])[0] == [(4, 4)]


def test_a_candidate_that_is_not_of_interest_may_lie_next_to_a_voxel_that_is():
    scores = np.zeros((9, 9))
    scores[4, 3:5] = 0.49, 0.6
    assert climbed(scores, [(4, 3)])[0] == [(4, 4)]
    assert climbed(scores, [(2, 3)])[0] == []


def test_a_peak_is_found_where_its_highest_synthesised_score_lies_voxels_away():
    """Nothing next to the candidate is of interest, but all the way from it to the peak might be."""
    scores, synthesised = np.zeros((9, 15)), np.zeros((9, 15))
    scores[4, 8] = 0.6
    synthesised[4, 3:9] = np.linspace(0.6, 0.52, 6)
    assert climbed(scores, [(4, 3)], synthesised=synthesised)[0] == [(4, 8)]
    synthesised[4, 5] = 0.3  # what cannot be of interest is not passed
    assert climbed(scores, [(4, 3)], synthesised=synthesised)[0] == []


def test_of_equal_neighbours_the_first_is_the_maximum():
    scores = np.zeros((9, 9))
    scores[4, 3:6] = 0.7
    for candidates in ([(4, 3)], [(4, 4)], [(4, 5)], [(4, 5), (4, 3)]):
        assert climbed(scores, candidates)[0] == [(4, 3)]


def test_candidates_around_a_peak_share_what_is_found():
    y, x = np.mgrid[:15, :15] - 7.0
    scores = np.exp(-(y**2 + x**2) / 20)
    candidates = [(7 + a, 7 + b) for a, b in itertools.product((-2, 0, 2), repeat=2)]
    found, _, looked_at = climbed(scores, candidates)
    assert found == [(7, 7)]
    again = len(looked_at) - len(set(looked_at))
    assert again < len(set(looked_at)) / 5, "a voxel is looked at again only for a lower score of interest"


def test_voxels_that_are_not_believed_to_be_higher_are_passed_over():
    scores = np.zeros((9, 9))
    scores[4, 4], scores[4, 5] = 0.8, 0.79
    found, climber, looked_at = climbed(scores, [(4, 4)])
    assert found == [(4, 4)]
    assert sorted(looked_at) == [(4, 4), (4, 5)]
    assert climber.exact == {(4, 4): (0.8, 7)}


def test_everything_beside_a_maximum_is_known_where_that_is_wanted():
    scores = np.random.default_rng(0).uniform(0.1, 0.4, (9, 9))
    scores[4, 4] = 0.9
    scores[3, 3] = -0.2
    found, climber, _ = climbed(scores, [(4, 4)], beside=0.0)
    assert found == [(4, 4)]
    expected = {(y, x): (scores[y, x], 7) for y in (3, 4, 5) for x in (3, 4, 5) if (y, x) != (3, 3)}
    assert climber.exact == expected


def test_who_climbs_too_long_arrives_nowhere():
    slope = np.zeros((3, CLIMBS + 6))
    slope[1] = np.linspace(0.6, 0.9, CLIMBS + 6)
    top = slope.shape[1] - 1
    assert climbed(slope, [(1, top - CLIMBS)])[0] == []
    assert climbed(slope, [(1, top - CLIMBS + 1)])[0] == [(1, top)]


def test_what_may_be_higher_near_a_maximum_is_looked_at_the_most_promising_first(monkeypatch):
    scores = np.zeros((15, 15))
    scores[7, 4], scores[7, 7], scores[7, 10] = 0.7, 0.75, 0.9
    synthesised = scores.copy()
    synthesised[9, 4] = 0.8  # it only seems to be higher
    maximum = Candidate((7, 4), 7, 0.7)
    for together, rounds in ((1, 2), (RIVALS, 1)):
        monkeypatch.setattr(climbing, "RIVALS", together)
        found, climber, looked_at = climbed(scores, [(7, 4)], synthesised=synthesised)
        assert found == [(7, 4)]
        assert climber.look_around([maximum], 1, np.inf) == []
        for _ in range(rounds):
            assert (7, 7) not in climber.exact
            assert climber.look_around([maximum], 3, np.inf) == [maximum]
        assert looked_at[-2:] == ([(9, 4), (7, 7)] if together == 1 else [(7, 7), (9, 4)])
        assert climber.exact[7, 7] == (0.75, 7)
        # Where a higher one is known, others are not looked for.
        assert climber.look_around([maximum], 6, np.inf) == []
        assert (7, 10) not in looked_at


def test_near_a_maximum_may_be_a_ball_or_a_cube():
    scores = np.zeros((15, 15))
    scores[7, 7], scores[9, 9] = 0.7, 0.8
    maximum = Candidate((7, 7), 7, 0.7)
    for distance, norm, is_near in ((2, np.inf, True), (2, 2, False), (2.5, 2, False), (2.83, 2, True)):
        _, climber, looked_at = climbed(scores, [(7, 7)])
        assert climber.look_around([maximum], distance, norm) == [maximum] * is_near
        assert ((9, 9) in looked_at) == is_near
        assert climber.look_around([maximum], distance, norm) == []


@given(
    scores=st.integers(1, 3).flatmap(
        lambda ndim: arrays(
            np.float32, array_shapes(min_dims=ndim, max_dims=ndim, max_side=7), elements=st.integers(0, 9)
        )
    ),
    distance=st.floats(0, 4) | st.just(1e6),
    places=st.lists(st.integers(0, 2**16), min_size=1, max_size=3),
)
@settings(deadline=None, max_examples=50)
def test_nothing_is_climbed_from_what_is_settled(scores, distance, places):
    voxels = list(np.ndindex(scores.shape))
    peaks = [voxels[place % len(voxels)] for place in places]
    _, climber, _ = climbed(scores, [], at_least=-1.0, synthesised=np.full(scores.shape, 19.0))
    climber.settle([Candidate(peak, 7, 9.0) for peak in peaks], distance)
    found = [one.voxel for one in climber.maxima(voxels)]
    at = np.array(voxels)
    near = np.zeros(len(voxels), bool)
    for peak in peaks:
        near |= ((at - peak) ** 2).sum(axis=1) <= distance**2
    near[[voxels.index(peak) for peak in peaks]] = False
    assert [climber.is_settled(voxel) for voxel in voxels] == near.tolist()
    expected = set(map(tuple, np.argwhere(is_maximum(scores)).tolist()))
    assert sorted(found) == [
        voxel for voxel, settled in zip(voxels, near, strict=True) if voxel in expected and not settled
    ]


def test_what_was_settled_before_is_not_any_more():
    _, climber, _ = climbed(np.zeros((9, 9)), [])
    climber.settle([Candidate((2, 2), 7, 0.9)], 1)
    climber.settle([Candidate((6, 6), 7, 0.9)], 1)
    assert climber.is_settled((6, 5))
    assert not climber.is_settled((2, 1))


def test_next_to_what_is_settled_nothing_seems_to_be_a_maximum():
    """The slope of a peak begins inside of what is settled and goes on outside of it."""
    scores = np.zeros((3, 12))
    scores[1, 2:] = np.linspace(0.9, 0.55, 10)
    found, climber, looked_at = climbed(scores, [(1, 2)])
    assert found == [(1, 2)]
    climber.settle([Candidate((1, 2), 7, 0.9)], 4)
    looked_at.clear()
    assert climber.maxima([(1, 4), (1, 7)]) == []
    assert (1, 4) not in looked_at
    assert (1, 6) in looked_at


def test_looking_at_voxels_ends_when_it_takes_too_much():
    scores = np.full((40, 40), 0.1)
    candidates = list(itertools.product(range(40), repeat=2))
    assert climbed(scores, candidates, most_products=10 * len(candidates))[0] == []
    with pytest.raises(TooMuchWorkError):
        climbed(scores, candidates, most_products=10 * FIRST_TOGETHER - 1)


@given(
    scores=st.integers(1, 3).flatmap(
        lambda ndim: arrays(
            np.float32, array_shapes(min_dims=ndim, max_dims=ndim, max_side=6), elements=st.integers(0, 4)
        )
    )
)
@settings(deadline=None, max_examples=50)
def test_maxima_of_a_map_are_those_that_are_climbed_to(scores):
    voxels = list(np.ndindex(scores.shape))
    found, *_ = climbed(scores, voxels, at_least=-1.0, synthesised=np.full(scores.shape, 9.0))
    assert sorted(found) == sorted(map(tuple, np.argwhere(is_maximum(scores)).tolist()))


def test_no_candidates_lead_nowhere():
    assert climbed(np.zeros((5, 5)), [])[0] == []


@pytest.mark.parametrize("name", ["FLCSphericalMask", "FLC"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_maxima_are_those_of_the_exact_engine(a_search, ndim, name):
    search = a_search(ndim, name)
    (exact,) = search.exactly(search.maximum)
    (found,) = search.compressed(TOLERANCE, search.maximum)
    (moments,) = search.exactly(lambda _: ScoreMoments())
    bases = [search.filters.bases(cell, TOLERANCE) for cell in range(len(search.cells))]
    residuals = np.concatenate([basis.residuals for basis, _, _ in bases]).astype(float)
    highest = found.scores == ndimage.maximum_filter(found.scores, 3)
    flat = np.flatnonzero(highest)
    flat = flat[np.argsort(-found.scores.ravel()[flat])][:25]
    flat = np.append(flat[:5], flat[5:] + 1)  # maxima, and voxels beside them
    candidates = list(map(tuple, np.transpose(np.unravel_index(flat, found.scores.shape)).tolist()))
    at_least = 0.9 * min(float(found.scores[voxel]) for voxel in candidates)
    climber = Climber(
        *search.rescorer(TOLERANCE, moments.std),
        search.tiles[0],
        search.pixels[0],
        found.scores,
        at_least=at_least,
        std=moments.std,
        residuals=(float(np.sqrt((residuals**2).mean())), float(residuals.max())),
    )
    maxima = climber.maxima(candidates)
    expected = {climb(exact.scores, voxel) for voxel in candidates}
    assert {one.voxel for one in maxima} == expected
    assert expected - set(candidates), "some maxima lie beside the synthesised ones"
    for voxel, (score, rotation_id) in climber.exact.items():
        assert score == pytest.approx(exact.scores[voxel], abs=2e-5)
        assert rotation_id == exact.rotations[voxel]


def climb(scores, voxel):
    """Return the maximum to which the steepest way leads."""
    while True:
        around = tuple(slice(max(v - 1, 0), v + 2) for v in voxel)
        first = [part.start for part in around]
        top = np.add(np.unravel_index(np.nanargmax(scores[around]), scores[around].shape), first)
        if tuple(top.tolist()) == voxel:
            return voxel
        voxel = tuple(top.tolist())
