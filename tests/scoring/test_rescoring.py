"""Exact scores of voxels: the exact engine's, and what a synthesis may lack is bounded."""

import tracemalloc

import numpy as np
import pytest

from scorefold.analyzer import ScoreMoments
from scorefold.scoring import rescoring
from scorefold.scoring.basis import Basis
from scorefold.scoring.climbing import MOST_TOGETHER, WINDOW_BYTES, looking_bytes
from scorefold.scoring.rescoring import synthesis_slack

TOLERANCE = 0.3

LOCAL = ("FLCSphericalMask", "FLC")


class Found:
    """The voxels at which a synthesis found the highest scores in noise, beside the exact ones."""

    def __init__(self, search, count=60):
        (exact,) = search.exactly(search.maximum)
        (found,) = search.compressed(TOLERANCE, search.maximum)
        (moments,) = search.exactly(lambda _: ScoreMoments())
        self.std = moments.std
        self.rescorer, weights = search.rescorer(TOLERANCE, self.std)
        flat = np.argsort(-found.scores, axis=None)[:count]
        self.voxels = [
            tuple(map(int, voxel)) for voxel in np.transpose(np.unravel_index(flat, found.scores.shape))
        ]
        self.found = found.scores.ravel()[flat].astype(float)
        self.exact, self.rotations = exact.scores.ravel()[flat].astype(float), exact.rotations.ravel()[flat]
        self.found_rotations = found.rotations.ravel()[flat]
        self.windows = self.rescorer.windows(self.voxels, search.pixels[0])
        self.weights = weights(self.voxels)

    def best(self, at_least, some=slice(None)):
        at_least = np.broadcast_to(at_least, self.found.shape)[some]
        return self.rescorer.best(self.windows[some], self.weights[some], self.found[some], at_least)


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_noise_takes_less_from_a_score_than_it_is_allowed_to(a_search, ndim, name):
    search = a_search(ndim, name)
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


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_voxels_get_the_scores_and_rotations_of_the_exact_engine(a_search, ndim, name, turned):
    given = Found(a_search(ndim, name, turned=turned))
    best = given.best(-np.inf)
    np.testing.assert_allclose(best.scores, given.exact, atol=2e-5)
    np.testing.assert_array_equal(best.rotations, given.rotations)
    np.testing.assert_array_equal(best.highest, best.scores)
    assert (given.found_rotations != given.rotations).any(), "the synthesis is mistaken at times"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_what_is_too_low_is_not_found_and_bounded(a_search, ndim, name, turned):
    given = Found(a_search(ndim, name, turned=turned))
    at_least = given.exact + np.where(np.arange(len(given.exact)) % 2, 1e-3, -1e-3)
    best = given.best(at_least)
    reached = at_least < given.exact
    np.testing.assert_array_equal(best.rotations, np.where(reached, given.rotations, -1))
    np.testing.assert_array_equal(np.isnan(best.scores), ~reached)
    assert (best.highest[~reached] < at_least[~reached]).all()
    assert (best.highest[~reached] > given.exact[~reached] - 2e-5).all()
    assert (given.best(2.0).rotations == -1).all()


def test_few_rotations_are_turned_for_a_voxel(a_search, monkeypatch):
    search = a_search(3)
    given = Found(search, count=20)
    turned = set()
    of_rotation = search.filters.of_rotation
    monkeypatch.setattr(given.rescorer, "_filter", lambda one: turned.add(one) or of_rotation(one))
    given.best(-np.inf, slice(0, 1))
    assert len(turned) < len(search.rotations) / 4


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_scores_do_not_depend_on_what_is_looked_at_together(a_search, ndim, name, turned):
    given = Found(a_search(ndim, name, turned=turned), count=20)
    together = given.best(-np.inf)
    for number in range(20):
        alone = given.best(-np.inf, slice(number, number + 1))
        assert alone.scores[0] == together.scores[number]
        assert alone.rotations[0] == together.rotations[number]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("ndim", [2, 3])
def test_whether_bases_or_pixels_are_turned_does_not_matter(a_search, monkeypatch, ndim, turned):
    given = Found(a_search(ndim, turned=turned), count=20)

    def bounds_and_products():
        before = given.rescorer.products
        bounds = given.rescorer._of_cells(given.windows, given.weights, given.found)
        return bounds, given.rescorer.products - before

    few, by_windows = bounds_and_products()
    monkeypatch.setattr(rescoring, "HELD_BYTES", 0)
    many, by_bases = bounds_and_products()
    assert (by_windows != by_bases) == turned
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_turning_bases_and_those_of_masks_is_work(a_search, ndim, name):
    search = a_search(ndim, name, turned=True)
    given = Found(search)

    def takes(cell):
        before = given.rescorer.products
        given.rescorer._bounds(cell, bases.coarse, given.windows, given.weights, given.found)
        return given.rescorer.products - before

    bases = search.filters.bases(0, TOLERANCE)
    masks = 0 if bases.masks is None else bases.masks.vectors.size
    assert takes(1) - takes(0) == rescoring.GRID_PRODUCTS * (bases.coarse.vectors.size + masks)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("ndim", [2, 3])
def test_looking_at_voxels_takes_no_more_memory_than_is_planned_for(a_search, ndim, name, turned):
    search = a_search(ndim, name, turned=turned)
    given = Found(search)
    planned = looking_bytes(search.filters)
    count = min(MOST_TOGETHER, WINDOW_BYTES // given.rescorer.voxel_bytes)
    some = np.arange(count) % len(given.voxels)
    given.best(2.0)  # compiles
    tracemalloc.start()
    try:
        windows = given.rescorer.windows([given.voxels[number] for number in some], search.pixels[0])
        given.rescorer.best(windows, given.weights[some], given.found[some], given.found[some])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(f"{peak / planned:.2f} of {planned / 2**20:.1f} MiB")
    assert planned / 10 < peak <= planned


def test_blocks_of_bases_are_as_large_as_memory_allows(monkeypatch):
    bases = [(cell, Basis(np.ones((3, 100), np.float32), np.ones((5, 3)), np.ones(5))) for cell in range(7)]
    monkeypatch.setattr(rescoring, "BLOCK_ROWS", 9)
    assert [len(block) for block in rescoring._blocks(bases)] == [3, 3, 1]
    monkeypatch.setattr(rescoring, "BLOCK_BYTES", 7 * 400)
    assert [len(block) for block in rescoring._blocks(bases)] == [2, 2, 2, 1]
    monkeypatch.setattr(rescoring, "BLOCK_BYTES", 1)
    assert [cell for block in rescoring._blocks(bases) for cell, _ in block] == list(range(7))


def test_voxels_without_a_score_have_none(a_search):
    given = Found(a_search(2))
    given.weights[::2] = np.nan
    best = given.best(-np.inf)
    assert (best.rotations[::2] == -1).all()
    assert np.isnan(best.scores[::2]).all()
    np.testing.assert_array_equal(best.rotations[1::2], given.rotations[1::2])
