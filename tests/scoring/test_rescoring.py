"""Exact scores of candidates: the exact engine's, and what a synthesis may lack is bounded."""

from functools import cache

import numpy as np
import pytest

from scorefold.analyzer import ScoreMoments
from scorefold.scoring.local import LocalScores
from scorefold.scoring.rescoring import Candidate, Rescorer, synthesis_slack

TOLERANCE = 0.3


class Candidates:
    """What a synthesis found in noise, beside the exact scores."""

    def __init__(self, search, *, at_least=-np.inf, count=40, pass_over=False):
        self.search = search
        (exact,) = search.exactly(search.maximum)
        (found,) = search.compressed(TOLERANCE, search.maximum)
        (moments,) = search.exactly(lambda _: ScoreMoments())
        self.exact, self.std = exact, moments.std
        best = np.argsort(-found.scores, axis=None)[:count]
        self.candidates = [
            Candidate(
                tuple(int(i) for i in np.unravel_index(flat, found.scores.shape)),
                int(found.rotations.flat[flat]),
                float(found.scores.flat[flat]),
            )
            for flat in best
        ]
        coarse = cache(lambda cell: search.filters.bases(cell, TOLERANCE)[0])
        self.bases = cache(lambda cell: search.filters.bases(cell, TOLERANCE)[1])
        local = LocalScores(search.template, search.score, dtype="float32", pad_edges=False)
        residual = max(
            float(search.filters.bases(cell, TOLERANCE)[0].residuals.max())
            for cell in range(len(search.cells))
        )
        self.rescorer = Rescorer(
            search.filters, coarse, self.bases, local, std=self.std, at_least=at_least, residual=residual
        )

        whole, pixels = search.tiles[0], search.pixels[0]
        synthesised = found.scores if pass_over else None
        self.given = [self.rescorer.surroundings(one, whole, pixels, synthesised) for one in self.candidates]

    def cells(self, **options):
        return self.rescorer.cells(self.given, **options)

    def rescored(self, **options):
        for given, cells in zip(self.given, self.cells(**options), strict=True):
            yield given.candidate, self.rescorer.exact(given, cells, **options)


@pytest.mark.parametrize("ndim", [2, 3])
def test_noise_takes_less_from_a_score_than_it_is_allowed_to(a_search, ndim):
    search = a_search(ndim)
    exact, found = search.score_maps(), search.score_maps(TOLERANCE)
    residuals = np.empty((len(search.rotations),) + (1,) * ndim)
    for cell in range(len(search.cells)):
        residuals[search.cells.ids(cell)] = search.filters.bases(cell, TOLERANCE)[0].residuals.reshape(
            (-1,) + (1,) * ndim
        )
    std = float(np.nanstd(exact))
    scored = ~np.isnan(exact)
    assert scored.sum() > 10_000
    below = found < exact - synthesis_slack(exact, residuals, std)
    # A Gaussian goes beyond 3.5 deviations on one side once in 4300 times.
    assert below[scored].mean() < 1e-3
    some = residuals.ravel() > 0.1
    off = (found - exact)[some] / (residuals[some] * std)
    assert 0.5 < np.sqrt(np.nanmean(off**2)) < 1.2, "deviations are of the size that is allowed for"


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_cell_of_the_best_rotation_is_among_those_that_are_looked_at(a_search, ndim):
    given = Candidates(a_search(ndim))
    cells = given.cells()
    for candidate, looked_at in zip(given.candidates, cells, strict=True):
        best = int(given.exact.rotations[candidate.voxel])
        assert given.search.cells.cell_of[best] in looked_at
    assert min(map(len, cells)) < len(given.search.cells), "others are passed over"


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_candidate_gets_the_score_and_rotation_of_the_exact_engine(a_search, ndim, everywhere):
    given = Candidates(a_search(ndim))
    climbed = 0
    for candidate, found in given.rescored(everywhere=everywhere):
        place = tuple(slice(a, a + n) for a, n in zip(found.tile.start, found.tile.shape, strict=True))
        scores, rotations = given.exact.scores[place], given.exact.rotations[place]
        middle = tuple(v - a for v, a in zip(candidate.voxel, found.tile.start, strict=True))
        highest = np.unravel_index(np.nanargmax(scores), scores.shape)
        for voxel in (middle, highest):
            assert found.scores[voxel] == pytest.approx(scores[voxel], abs=2e-5)
            assert found.rotations[voxel] == rotations[voxel]
        if everywhere:
            scored = rotations >= 0
            np.testing.assert_array_equal(found.rotations >= 0, scored)
            np.testing.assert_allclose(found.scores[scored], scores[scored], atol=2e-5)
        climbed += highest != middle
    assert climbed, "some maxima lie beside the synthesised ones"


@pytest.mark.parametrize("ndim", [2, 3])
def test_voxels_that_cannot_be_the_highest_are_passed_over_and_nothing_else_changes(a_search, ndim):
    search = a_search(ndim)
    everything, some = Candidates(search), Candidates(search, pass_over=True)
    assert sum(one.places.size for one in some.given) < sum(one.places.size for one in everything.given)
    for (candidate, found), (_, expected) in zip(some.rescored(), everything.rescored(), strict=True):
        highest = np.unravel_index(np.nanargmax(expected.scores), expected.scores.shape)
        middle = tuple(v - a for v, a in zip(candidate.voxel, found.tile.start, strict=True))
        for voxel in (middle, highest):
            assert found.scores[voxel] == pytest.approx(expected.scores[voxel], abs=1e-6)
            assert found.rotations[voxel] == expected.rotations[voxel]
        assert np.nanargmax(found.scores) == np.nanargmax(expected.scores)


def test_what_is_too_low_is_of_no_interest(a_search):
    given = Candidates(a_search(2), at_least=2.0)
    assert all(not cells for cells in given.cells())
    assert all(found is None for _, found in given.rescored())
