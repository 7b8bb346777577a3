"""Peak callers: planted peaks, brute force, and the rules on distance, boundary and number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import pdist, squareform

from scorefold.analyzer import (
    MaxScoreOverRotations,
    PeakCaller,
    PeakCallerFast,
    PeakCallerMaximumFilter,
    PeakCallerRecursiveMasking,
    PeakCallerScipy,
    PeakCallerSort,
    PeakClustering,
)
from scorefold.errors import InputError, ScorefoldWarning
from scorefold.testing import score_maps

CALLERS = [
    PeakCallerSort,
    PeakCallerMaximumFilter,
    PeakCallerFast,
    PeakCallerRecursiveMasking,
    PeakCallerScipy,
    PeakClustering,
]
every_caller = pytest.mark.parametrize("caller_class", CALLERS)


def call(caller, *maps):
    state = caller.init_state()
    for number, scores in enumerate(maps):
        angle = np.radians(number)
        matrix = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = np.eye(np.ndim(scores)) if np.ndim(scores) != 2 else matrix
        state = caller(state, scores=scores, rotation_matrix=matrix)
    return caller.peaks(caller.result(state))


def landscape(peaks, shape=(40, 50), width=1.5):
    """Return a sum of smooth hills with given heights."""
    scores = np.zeros(shape)
    for position, height in peaks.items():
        hill = np.zeros(shape)
        hill[position] = 1
        hill = gaussian_filter(hill, width)
        scores += height * hill / hill.max()
    return scores


PLANTED = {(10, 12): 1.0, (30, 40): 0.9, (10, 35): 0.8, (28, 8): 0.7}


@every_caller
def test_planted_peaks_are_found_best_first(caller_class):
    peaks = call(caller_class((40, 50), num_peaks=4, min_distance=6), landscape(PLANTED))
    assert list(map(tuple, peaks.positions)) == list(PLANTED)
    np.testing.assert_allclose(
        peaks.scores, list(PLANTED.values()), atol=1e-6
    )  # float32 and the hills' tails


@every_caller
def test_planted_peaks_in_a_volume(caller_class):
    planted = {(5, 6, 7): 1.0, (12, 14, 4): 0.8}
    peaks = call(
        caller_class((18, 20, 16), num_peaks=2, min_distance=4), landscape(planted, (18, 20, 16), 1.2)
    )
    assert list(map(tuple, peaks.positions)) == list(planted)


@every_caller
def test_every_peak_knows_its_rotation(caller_class):
    first = landscape({(10, 12): 1.0, (30, 40): 0.5})
    second = landscape({(10, 12): 0.9, (30, 40): 0.8})
    caller = caller_class((40, 50), num_peaks=2, min_distance=6)
    peaks = call(caller, first, second)
    assert list(map(tuple, peaks.positions)) == [(10, 12), (30, 40)]
    np.testing.assert_allclose(peaks.matrices[:, 1, 0], np.sin(np.radians([0, 1])))
    np.testing.assert_allclose(peaks.scores, [1.0, 0.8], atol=1e-6)


@every_caller
@settings(deadline=None, max_examples=25)
@given(
    scores=score_maps((6, 7)),
    min_distance=st.sampled_from([0, 1, 1.5, 2, 3]),
    border=st.integers(0, 2),
    limits=st.sampled_from([(None, None), (0.1, None), (None, 0.5), (0, 0.5)]),
)
def test_rules_hold_for_any_scores(caller_class, scores, min_distance, border, limits):
    caller = caller_class((6, 7), 5, min_distance, border, *limits)
    peaks = call(caller, scores)
    assert len(peaks) == len(peaks.positions) == len(peaks.rotations) == len(peaks.support) <= 5
    assert (np.diff(peaks.scores) <= 0).all()
    assert np.isfinite(peaks.scores).all()
    assert (peaks.support >= 1).all()
    np.testing.assert_array_equal(scores[tuple(peaks.positions.T)], peaks.scores)
    low, high = (np.float32(limit) if limit is not None else None for limit in limits)
    assert low is None or (peaks.scores >= low).all()
    assert high is None or (peaks.scores <= high).all()
    assert ((peaks.positions >= border) & (peaks.positions < np.array([6, 7]) - border)).all()
    if len(peaks) > 1:
        assert pdist(peaks.positions).min() > min_distance
    if caller_class is PeakCallerSort:
        low, high = low if low is not None else -np.inf, high if high is not None else np.inf
        inner = scores[border : 6 - border, border : 7 - border]
        allowed = inner[np.isfinite(inner) & (inner >= low) & (inner <= high)]
        assert len(peaks) == 0 or peaks.scores[0] == allowed.max()
        assert (len(peaks) == 0) == (allowed.size == 0)


def greedy(scores, min_distance):
    """Return positions by brute force: the best left, then none within the distance, and so on."""
    order = sorted(np.ndindex(scores.shape), key=lambda position: (-scores[position], position))
    chosen = []
    for position in order:
        if all(np.hypot(*np.subtract(position, other)) > min_distance for other in chosen):
            chosen.append(position)
    return chosen


@settings(deadline=None, max_examples=20)
@given(
    scores=score_maps((5, 6), (0.0, 0.25, 0.5, 1.0)),
    min_distance=st.sampled_from([0, 1, 1.5, 2.9]),
)
def test_greedy_suppression_agrees_with_brute_force(scores, min_distance):
    for caller_class in (PeakCallerSort, PeakCallerRecursiveMasking):
        peaks = call(caller_class((5, 6), num_peaks=30, min_distance=min_distance), scores)
        assert list(map(tuple, peaks.positions)) == greedy(scores, min_distance)
    assert call(PeakCallerSort((5, 6), 30, min_distance), scores).support.sum() == 30


@settings(deadline=None, max_examples=20)
@given(scores=score_maps((6, 6)), min_distance=st.sampled_from([1, 2, 3]))
def test_clusters_agree_with_single_linkage(scores, min_distance):
    caller = PeakClustering((6, 6), num_peaks=36, min_distance=min_distance)
    candidates = caller.result(caller(caller.init_state(), scores=scores, rotation_matrix=np.eye(2)))
    peaks = caller.peaks(candidates)
    if len(candidates.positions) < 2:
        assert len(peaks) == len(candidates.positions)
        return
    labels = fcluster(linkage(candidates.positions, "single"), min_distance, "distance")
    best = sorted(np.flatnonzero(labels == label)[0] for label in set(labels))
    np.testing.assert_array_equal(peaks.positions, candidates.positions[best])
    np.testing.assert_array_equal(peaks.support, [(labels == labels[k]).sum() for k in best])


@every_caller
def test_boundary_peaks_do_not_crowd_out_others(caller_class):
    edge = {(y, 0): 0.9 - 0.01 * y for y in range(0, 40, 8)}
    scores = landscape(edge | {(20, 25): 0.3}, width=1)
    caller = caller_class((40, 50), 1, 3, min_boundary_distance=4, num_candidates=1)
    assert list(map(tuple, call(caller, scores).positions)) == [(20, 25)]


@every_caller
def test_tile_obeys_the_boundary_of_the_target(caller_class):
    scores = landscape({(3, 25): 1.0, (20, 3): 0.9, (36, 25): 0.8})
    whole = call(caller_class((40, 50), 10, 8, 5, min_score=0.1), scores)
    flanks = int(caller_class is PeakCallerSort)  # sorting, which knows no peaks, is left with their flanks
    assert len(whole) == 3 * flanks  # all three are too near
    upper, lower = (
        caller_class((20, 50), 10, 8, 5, min_score=0.1, offset=offset, target_shape=(80, 100))
        for offset in ((20, 50), (40, 0))
    )
    inner = {(20, 25): 1.0}
    assert len(call(upper, landscape(inner)[10:30])) == 1
    # Row 19 of the tile at row 60 of the target is no edge; column 3 is too near to one.
    assert len(call(upper, landscape({(19, 25): 1.0})[:20])) == 1
    assert len(call(lower, landscape({(10, 3): 1.0})[:20])) == flanks


def test_positions_are_target_coordinates():
    caller = PeakCallerSort((3, 4), num_peaks=1, offset=(-5, 100))
    scores = np.zeros((3, 4))
    scores[1, 2] = 1
    np.testing.assert_array_equal(call(caller, scores).positions, [[-4, 102]])


@every_caller
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (1, 1, 1)])
@pytest.mark.parametrize("min_distance", [0, 1, 5])
def test_small_arrays_have_their_peak(caller_class, shape, min_distance):
    scores = np.zeros(shape)
    scores[(0,) * len(shape)] = 1
    peaks = call(caller_class(shape, 3, min_distance, min_score=0.5), scores)
    np.testing.assert_array_equal(peaks.positions, [[0] * len(shape)])


@every_caller
@pytest.mark.parametrize("fill", [np.nan, -np.inf])
def test_no_scores_give_no_rows(caller_class, fill):
    peaks = call(caller_class((5, 6)), np.full((5, 6), fill))
    assert len(peaks) == 0
    assert peaks.positions.shape == (0, 2)
    assert peaks.matrices.shape == (0, 2, 2)
    assert len(call(caller_class((5, 6)))) == 0


@every_caller
def test_boundary_wider_than_the_target_leaves_nothing(caller_class):
    assert len(call(caller_class((5, 6), min_boundary_distance=9), np.ones((5, 6)))) == 0


@every_caller
def test_mask_limits_where_peaks_are(caller_class):
    mask = np.ones((40, 50), dtype=bool)
    mask[:, :20] = False
    peaks = call(caller_class((40, 50), num_peaks=2, min_distance=6, mask=mask), landscape(PLANTED))
    assert list(map(tuple, peaks.positions)) == [(30, 40), (10, 35)]


@every_caller
def test_peaks_of_a_maximum_over_rotations(caller_class):
    angles = np.radians([0, 30, 60])
    turns = np.array([[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angles])
    analyzer = MaxScoreOverRotations((40, 50), rotations=turns)
    state = analyzer.init_state()
    for row, (position, height) in enumerate(list(PLANTED.items())[:3]):
        state = analyzer(state, scores=landscape({position: height}), rotation_matrix=turns[row])
    maximum = analyzer.result(state)
    caller = caller_class((40, 50), num_peaks=3, min_distance=6, rotations=turns)
    state = caller(caller.init_state(), maximum.scores, None, rotation_ids=maximum.rotations)
    peaks = caller.peaks(caller.result(state))
    assert list(map(tuple, peaks.positions)) == list(PLANTED)[:3]
    np.testing.assert_array_equal(peaks.rotations, [0, 1, 2])


def test_positions_without_rotation_are_no_candidates():
    caller = PeakCallerSort((1, 3), rotations=[np.eye(2)])
    state = caller(caller.init_state(), [[3, 2, 1]], None, rotation_ids=np.array([[-1, 0, -1]]))
    np.testing.assert_array_equal(caller.result(state).positions, [[0, 1]])


@pytest.mark.parametrize(
    ("rotations", "ids", "message"),
    [
        (None, [[0, 0]], "no rotation set"),
        ([np.eye(2)], [[0, 1]], "below 1"),
        ([np.eye(2)], [[0.0, 0.0]], "expected integers"),
        ([np.eye(2)], [[0]], "expected integers"),
    ],
)
def test_bad_rotation_ids_are_refused(rotations, ids, message):
    caller = PeakCallerSort((1, 2), rotations=rotations)
    with pytest.raises(InputError, match=message):
        caller(caller.init_state(), [[1, 2]], None, rotation_ids=np.array(ids))


def test_a_position_counts_once_with_its_best_rotation():
    caller = PeakCallerSort((1, 2), num_peaks=2, min_distance=0)
    peaks = call(caller, [[0.5, 0.1]], [[0.7, 0.1]], [[0.6, 0.3]])
    np.testing.assert_array_equal(peaks.positions, [[0, 0], [0, 1]])
    np.testing.assert_allclose(peaks.matrices[:, 1, 0], np.sin(np.radians([1, 2])))


def test_peaks_are_more_than_min_distance_apart_across_rotations():
    maps = [landscape({(10, 12 + shift): 1 - 0.1 * shift}) for shift in range(4)]
    peaks = call(PeakCallerMaximumFilter((40, 50), min_distance=5, min_score=0.2), *maps)
    assert list(map(tuple, peaks.positions)) == [(10, 12)]
    assert peaks.support[0] == 4


def test_fast_blocks_are_counted_from_the_target():
    scores = np.random.default_rng(0).random((12, 18))
    whole = PeakCallerFast((12, 18), min_distance=3)
    positions = {tuple(position) for position in call(whole, scores).positions}
    tile = PeakCallerFast((12, 14), min_distance=3, offset=(0, 4))
    found = {tuple(position) for position in call(tile, scores[:, 4:]).positions}
    # Away from the cut, where blocks and neighbours are whole, the candidates are the same.
    assert {p for p in positions if p[1] >= 9} == {p for p in found if p[1] >= 9}


def test_squares_of_distances_do_not_mix_axes():
    positions = call(PeakCallerRecursiveMasking((9, 31), min_distance=3), np.ones((9, 31))).positions
    assert squareform(pdist(positions))[np.triu_indices(len(positions), 1)].min() > 3


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"num_peaks": 0}, "num_peaks 0"),
        ({"min_distance": -1}, "min_distance -1"),
        ({"min_distance": np.nan}, "min_distance nan"),
        ({"min_boundary_distance": -1}, "min_boundary_distance -1"),
        ({"min_score": 1, "max_score": 0}, "no score in between"),
        ({"num_candidates": 3}, "fewer than num_peaks"),
        ({"mask": np.ones((2, 2))}, r"mask of shape \(2, 2\)"),
        ({"target_shape": (9,)}, "2 axes"),
    ],
)
def test_bad_parameters_are_refused(keywords, message):
    with pytest.raises(InputError, match=message):
        PeakCallerSort((5, 6), **keywords)


def test_resuming_with_another_capacity_is_refused():
    smaller = PeakCallerSort((5, 6), num_peaks=2)
    result = smaller.result(smaller.init_state())
    with pytest.raises(InputError, match="num_candidates=32"):
        PeakCallerSort((5, 6), num_peaks=3).resume(result)


def test_unknown_keyword_warns_by_name():
    with pytest.warns(ScorefoldWarning, match="'number_of_peaks'"):
        PeakCallerSort((5, 6), number_of_peaks=3)


def test_the_base_finds_nothing_by_itself():
    with pytest.raises(TypeError, match="find_candidates"):
        PeakCaller((5, 6))
