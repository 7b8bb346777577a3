"""Faults that other programs have or had, each ruled out; the numbers are those of the research notes."""

import numpy as np
import pytest

from scorefold.analyzer import (
    MaxScoreOverRotations,
    MaxScoreOverRotationsConstrained,
    PeakCallerSort,
    PeakClustering,
    RotationTable,
    ScoreMoments,
)
from scorefold.errors import ScorefoldWarning

RNG_SHAPE = (20, 30)


def turns(count):
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    rows = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=1)
    return rows.reshape(-1, 2, 2)


def search(analyzer, maps, matrices):
    state = analyzer.init_state()
    for scores, matrix in zip(maps, matrices, strict=True):
        state = analyzer(state, scores=scores, rotation_matrix=matrix)
    return analyzer.result(state)


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(8, *RNG_SHAPE)).astype(np.float32)


@pytest.mark.parametrize("jobs", [1, 2, 3, 8])
def test_1_background_correction_does_not_depend_on_the_number_of_jobs(maps, jobs):
    """The background's moments are part of the result; scores are corrected once, after the last merge."""
    matrices = turns(8)
    analyzer = MaxScoreOverRotations(RNG_SHAPE, rotations=matrices, score_threshold=-np.inf)
    background = ScoreMoments()

    def corrected(parts):
        maximum = analyzer.merge([search(analyzer, maps[part], matrices[part]) for part in parts])
        noise = background.merge([search(background, maps[part], matrices[part]) for part in parts])
        return analyzer.correct_background(maximum.scores, noise.mean, 1 / noise.std)

    alone = corrected([slice(None)])
    divided = corrected([slice(job, None, jobs) for job in range(jobs)])
    assert divided.tobytes() == alone.tobytes()


def test_2_variances_of_unequal_tiles_are_pooled():
    rng = np.random.default_rng(1)
    tiles = [rng.normal(mean, 2, size) for mean, size in ((0, (50, 50)), (9, (10, 10)), (3, (5, 80)))]
    analyzer = ScoreMoments()
    results = [search(analyzer, [tile], [np.eye(2)]) for tile in tiles]
    pooled = np.concatenate([tile.ravel() for tile in tiles])
    flat = analyzer.merge(results)
    nested = analyzer.merge([analyzer.merge(results[:2]), results[2]])
    assert flat == nested
    assert flat.variance == pytest.approx(pooled.var(), rel=1e-12)  # rounding of 3000 summands


def test_3_rotation_ids_are_rows_in_every_run_and_at_ties(maps):
    matrices = turns(8)
    tied = np.round(maps)
    results = []
    for order in (np.arange(8), np.arange(8)[::-1], np.random.default_rng(2).permutation(8)):
        analyzer = MaxScoreOverRotations(RNG_SHAPE, rotations=matrices)
        results.append(search(analyzer, tied[order], matrices[order]))
    for result in results:
        assert result.rotations.tobytes() == results[0].rotations.tobytes()
        assert result.mapping == RotationTable(matrices)
    winners = tied.argmax(axis=0)  # the lowest row among equals
    has_score = tied.max(axis=0) > 0
    np.testing.assert_array_equal(results[0].rotations[has_score], winners[has_score])


def test_4_inputs_merged_together_keep_their_own_matrices():
    sets = turns(5)[:2], turns(5)[2:]
    results = []
    for offset, matrices in zip(((0, 0), (0, 1)), sets, strict=True):
        analyzer = MaxScoreOverRotations((1, 1), offset=offset)
        results.append(search(analyzer, [[[0.5]]], matrices[:1]))
    merged = MaxScoreOverRotations.merge(results)
    for column, matrices in enumerate(sets):
        winner = merged.mapping[int(merged.rotations[0, column])]
        np.testing.assert_array_equal(winner, matrices[0] + 0.0)


def test_5_merge_leaves_the_list_takes_none_anywhere_and_keeps_offsets(maps):
    analyzer = MaxScoreOverRotations(RNG_SHAPE, offset=(5, -3))
    result = search(analyzer, maps, turns(8))
    handed_over = [None, result, None, result]
    merged = MaxScoreOverRotations.merge(handed_over)
    assert len(handed_over) == 4
    for found in (merged, MaxScoreOverRotations.merge([result])):
        np.testing.assert_array_equal(found.offset, [5, -3])
        assert found.scores.tobytes() == result.scores.tobytes()


def test_6_forbidden_rotation_does_not_beat_an_allowed_negative_score():
    analyzer = MaxScoreOverRotationsConstrained(
        (1, 1), [[0, 0]], np.eye(2), cone_angle=5, acceptance_radius=1, score_threshold=-1
    )
    result = search(analyzer, [[[-0.4]], [[0.0]]], [np.eye(2), -np.eye(2)])
    assert result.scores[0, 0] == np.float32(-0.4)


def test_7_peak_callers_apply_the_boundary_first_and_invent_nothing():
    scores = np.zeros((6, 6))
    scores[0] = 9  # six positions on the edge score higher than the peak
    scores[3, 3] = 1
    caller = PeakCallerSort((6, 6), 1, min_distance=0, min_boundary_distance=1, num_candidates=1)
    peaks = caller.peaks(search(caller, [scores], [np.eye(2)]))
    np.testing.assert_array_equal(peaks.positions, [[3, 3]])
    tiny = PeakCallerSort((1, 1), num_peaks=5, min_distance=0)
    peaks = tiny.peaks(search(tiny, [[[0.25]]], [np.eye(2)]))
    assert len(peaks) == 1  # and not five, padded with dummies
    clusters = PeakClustering((1, 9), min_distance=2)
    peaks = clusters.peaks(search(clusters, [[[0, 0, 5, 0, 3, 0, 0, 0, 0]]], [np.eye(2)]))
    assert peaks.scores[0] == 5  # a score, not a coordinate


def test_8_ids_do_not_overflow_16_bits():
    count = 53_256  # a 5 degree set in space
    analyzer = MaxScoreOverRotations((1, 1), rotations=turns(count))
    result = search(analyzer, [[[1.0]]], turns(count)[-1:])
    assert result.rotations.dtype == np.int32
    assert result.rotations[0, 0] == count - 1


def test_9_results_are_stored_as_plain_arrays(maps):
    analyzer = MaxScoreOverRotations(RNG_SHAPE, use_memmap=True)
    for array in analyzer.to_arrays(search(analyzer, maps, turns(8))).values():
        assert array.dtype.kind in "iuf"
        assert not isinstance(array, np.memmap)


def test_10_a_last_partial_block_keeps_its_rows(maps):
    matrices = turns(8)
    analyzer = MaxScoreOverRotations(RNG_SHAPE, rotations=matrices)
    blocks = [slice(0, 3), slice(3, 6), slice(6, 8)]
    merged = analyzer.merge([search(analyzer, maps[block], matrices[block]) for block in blocks])
    np.testing.assert_array_equal(merged.rotations, np.where(maps.max(axis=0) > 0, maps.argmax(axis=0), -1))


def test_11_a_keyword_that_is_not_known_is_not_swallowed():
    with pytest.warns(ScorefoldWarning, match="'only_unique_rotations'"):
        MaxScoreOverRotations((2, 2), only_unique_rotations=True)
