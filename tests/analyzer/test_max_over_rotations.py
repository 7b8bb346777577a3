"""The maximum over rotations against NumPy, in all its modes."""

import gc
import multiprocessing
import os
import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.managers import SharedMemoryManager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.analyzer import AnalyzerProduct, MaxScoreOverRotations, ScoreMoments
from scorefold.errors import InputError, ScorefoldWarning
from scorefold.testing import Observation, observations
from scorefold.testing.analyzer_tests import fold_state

SHAPE = (3, 4)
TURNS = np.array([[[1, 0], [0, 1]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]], [[0, 1], [-1, 0]]], dtype=float)


def fold(analyzer, steps, state=None):
    state = analyzer.init_state() if state is None else state
    for scores, matrix, rotation_id, *_ in steps:
        state = analyzer(state, scores=scores, rotation_matrix=matrix, rotation_id=rotation_id)
    return state


def random_steps(count, shape=SHAPE, levels=4, seed=0):
    """Return steps with many ties; each of TURNS occurs about equally often."""
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, levels, shape) / levels, TURNS[n % 4], None) for n in range(count)]


def assert_same(found, expected):
    assert [found[i].tobytes() for i in range(3)] == [expected[i].tobytes() for i in range(3)]
    assert [found[i].dtype for i in range(3)] == [expected[i].dtype for i in range(3)]
    assert found.mapping == expected.mapping


@settings(deadline=None)
@given(steps=observations(SHAPE, TURNS), threshold=st.sampled_from([-np.inf, -0.4, 0, 0.5]))
def test_agrees_with_numpy(steps, threshold):
    analyzer = MaxScoreOverRotations(SHAPE, score_threshold=threshold, rotations=TURNS)
    scores, offset, rotations, mapping = analyzer.result(fold(analyzer, steps))
    stacked = np.full((len(TURNS), *SHAPE), -np.inf, dtype=np.float32)
    for step in steps:
        row = mapping.id_of(step.rotation_matrix)
        stacked[row] = np.fmax(stacked[row], step.scores)
    best = stacked.max(axis=0)
    counts = best > np.float32(threshold)
    np.testing.assert_array_equal(scores, np.where(counts, best, np.float32(threshold)))
    np.testing.assert_array_equal(rotations, np.where(counts, stacked.argmax(axis=0), -1))
    np.testing.assert_array_equal(offset, [0, 0])
    assert (scores.dtype, rotations.dtype) == (np.float32, np.int32)


@settings(deadline=None)
@given(steps=observations(SHAPE, TURNS))
def test_every_mode_gives_the_same_bytes(steps):
    for fixed in ({}, {"rotations": TURNS}):
        plain = MaxScoreOverRotations(SHAPE, **fixed)
        expected = plain.result(fold(plain, steps))
        for mode in (
            {"use_memmap": True},
            {"inversion_mapping": True},
            {"jax_mode": True},
            {"jax_mode": True, "inversion_mapping": True},
            {"thread_safe": False},
        ):
            analyzer = MaxScoreOverRotations(SHAPE, **fixed, **mode)
            assert_same(analyzer.result(fold(analyzer, steps)), expected)


def test_double_precision_keeps_what_single_rounds():
    scores = np.array([[1.0, 1.0 + 1e-12]])
    for dtype, expected in ((np.float32, 1.0), (np.float64, 1.0 + 1e-12)):
        analyzer = MaxScoreOverRotations((1, 2), dtype=dtype)
        result = analyzer.result(fold(analyzer, [(scores, TURNS[0], None)]))
        assert result.scores.dtype == dtype
        assert float(result.scores[0, 1]) == expected


def test_equal_scores_go_to_the_lower_row_whichever_comes_first():
    steps = [(np.ones(SHAPE), TURNS[2], None), (np.ones(SHAPE), TURNS[1], 1), (np.ones(SHAPE), TURNS[3], 3)]
    analyzer = MaxScoreOverRotations(SHAPE, rotations=TURNS)
    assert (analyzer.result(fold(analyzer, steps)).rotations == 1).all()


def test_more_rotations_than_16_bit_ids():
    angles = np.linspace(0, 2 * np.pi, 40_000, endpoint=False)
    turns = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=1).reshape(
        -1, 2, 2
    )
    analyzer = MaxScoreOverRotations((1, 1), rotations=turns)
    result = analyzer.result(fold(analyzer, [([[0.5]], turns[39_999], None), ([[0.4]], turns[7], 7)]))
    assert result.rotations[0, 0] == 39_999


def test_any_memory_layout_of_scores_is_read_right():
    scores = np.random.default_rng(0).random((4, 3)).T
    for fixed in ({}, {"rotations": TURNS}):
        analyzer = MaxScoreOverRotations(SHAPE, **fixed)
        state = fold(analyzer, [(np.full(SHAPE, 0.5), TURNS[0], None), (scores, TURNS[1], None)])
        expected = np.maximum(scores, 0.5).astype(np.float32)
        np.testing.assert_array_equal(analyzer.result(state).scores, expected)


class TestMerge:
    def tile(self, value, offset, shape=(2, 2), turn=0):
        analyzer = MaxScoreOverRotations(shape, offset=offset)
        return analyzer.result(fold(analyzer, [(np.full(shape, value), TURNS[turn], None)]))

    def test_pastes_by_offset_into_the_bounding_box(self):
        merged = MaxScoreOverRotations.merge([self.tile(0.3, (0, 0)), self.tile(0.7, (-1, 1), turn=1)])
        np.testing.assert_array_equal(merged.offset, [-1, 0])
        expected = np.array([[0, 0.7, 0.7], [0.3, 0.7, 0.7], [0.3, 0.3, 0]], dtype=np.float32)
        np.testing.assert_array_equal(merged.scores, expected)
        np.testing.assert_array_equal(merged.rotations, [[-1, 0, 0], [1, 0, 0], [1, 1, -1]])
        np.testing.assert_array_equal(merged.mapping[0], TURNS[1])  # lexicographic order
        np.testing.assert_array_equal(merged.mapping[1], TURNS[0])

    def test_in_one_call_is_as_in_many(self):
        tiles = [self.tile(0.1 * k, (k, -2 * k), turn=k % 4) for k in range(1, 6)]
        one_by_one = tiles[0]
        for tile in tiles[1:]:
            one_by_one = MaxScoreOverRotations.merge([one_by_one, tile])
        assert_same(MaxScoreOverRotations.merge(tiles[::-1]), one_by_one)
        assert_same(MaxScoreOverRotations.merge(tiles, use_memmap=True), one_by_one)

    def test_accepts_the_bare_tuple(self):
        tiles = [self.tile(0.3, (0, 0)), self.tile(0.7, (1, 1))]
        assert_same(MaxScoreOverRotations.merge(map(tuple, tiles)), MaxScoreOverRotations.merge(tiles))

    def test_a_position_without_rotation_does_not_count_whatever_its_score(self):
        scores, *rest = self.tile(-0.5, (0, 0))  # below the threshold everywhere
        raised = MaxScoreOverRotations.correct_background(scores, mean=-1)
        merged = MaxScoreOverRotations.merge([(raised, *rest)])
        assert (merged.scores == 0).all()
        assert (merged.rotations == -1).all()

    def test_results_of_different_sets_are_united(self):
        results = []
        for turns in (TURNS[:2], TURNS[2:]):
            analyzer = MaxScoreOverRotations((1, 1), rotations=turns)
            results.append(analyzer.result(fold(analyzer, [([[len(results) + 1]], turns[0], 0)])))
        merged = MaxScoreOverRotations.merge(results)
        assert len(merged.mapping) == 4
        np.testing.assert_array_equal(merged.mapping[int(merged.rotations[0, 0])], TURNS[2])

    def test_different_thresholds_or_dimensions_are_refused(self):
        other = MaxScoreOverRotations((2, 2), score_threshold=0.1)
        with pytest.raises(InputError, match="thresholds"):
            MaxScoreOverRotations.merge([self.tile(1, (0, 0)), other.result(other.init_state())])
        flat = MaxScoreOverRotations((2, 2, 2))
        with pytest.raises(InputError, match="dimensions"):
            MaxScoreOverRotations.merge([self.tile(1, (0, 0)), flat.result(flat.init_state())])


class TestInput:
    def test_unknown_keyword_warns_by_name(self):
        with pytest.warns(ScorefoldWarning, match="MaxScoreOverRotations: unknown keyword 'treshold'"):
            analyzer = MaxScoreOverRotations(SHAPE, treshold=3)
        state = analyzer.init_state()
        with pytest.warns(ScorefoldWarning, match="'angle'"):
            analyzer(state, np.zeros(SHAPE), TURNS[0], angle=3)
        with pytest.warns(ScorefoldWarning, match="'fourier_shift'"):
            analyzer.result(state, fourier_shift=3)
        with pytest.warns(ScorefoldWarning, match="'out'"):
            MaxScoreOverRotations.merge([analyzer.result(state)], out=None)

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"shape": (0, 3)}, "positive integer"),
            ({"shape": (2.5, 3)}, "positive integer"),
            ({"shape": ()}, "positive integer"),
            ({"offset": (1,)}, "expected 2 integers"),
            ({"offset": (1, 0.5)}, "expected 2 integers"),
            ({"score_threshold": np.nan}, "nan"),
            ({"dtype": np.int16}, "float32 or float64"),
            ({"rotations": np.eye(3)[None]}, "of 2 dimensions"),
            ({"rotations": np.empty((0, 2, 2))}, "at least one"),
            ({"use_memmap": True, "jax_mode": True}, "exclude each other"),
        ],
    )
    def test_bad_parameters_are_refused(self, keywords, message):
        with pytest.raises(InputError, match=message):
            MaxScoreOverRotations(**{"shape": SHAPE, **keywords})

    @pytest.mark.parametrize(
        ("scores", "matrix", "message"),
        [
            (np.zeros((4, 3)), TURNS[0], "made for shape"),
            (np.zeros(SHAPE, dtype=complex), TURNS[0], "real numbers"),
            (np.zeros(SHAPE), np.eye(3), r"shape \(3, 3\)"),
            (np.zeros(SHAPE), np.full((2, 2), np.nan), "not finite"),
        ],
    )
    @pytest.mark.parametrize("jax_mode", [False, True])
    def test_bad_calls_are_refused(self, scores, matrix, message, jax_mode):
        analyzer = MaxScoreOverRotations(SHAPE, jax_mode=jax_mode)
        with pytest.raises(InputError, match=message):
            analyzer(analyzer.init_state(), scores=scores, rotation_matrix=matrix)

    def test_resuming_elsewhere_is_refused(self):
        analyzer = MaxScoreOverRotations(SHAPE, rotations=TURNS)
        result = analyzer.result(analyzer.init_state())
        with pytest.raises(InputError, match="another rotation set"):
            MaxScoreOverRotations(SHAPE, rotations=TURNS[:2]).resume(result)
        with pytest.raises(InputError, match="tile has shape"):
            MaxScoreOverRotations(SHAPE, offset=(1, 1), rotations=TURNS).resume(result)


def test_correct_background_is_flat_fielding_and_copies():
    scores = np.array([1.0, 2.0], dtype=np.float32)
    corrected = MaxScoreOverRotations.correct_background(scores, mean=0.5, inv_std=2)
    np.testing.assert_array_equal(corrected, [1.0, 3.0])
    assert corrected.dtype == np.float32
    np.testing.assert_array_equal(scores, [1, 2])
    unchanged = MaxScoreOverRotations.correct_background(scores)
    np.testing.assert_array_equal(unchanged, scores)
    assert not np.shares_memory(unchanged, scores)


class TestSharing:
    def test_threads_fold_into_one_state(self):
        analyzer = MaxScoreOverRotations((40, 50))
        steps = random_steps(64, (40, 50))
        state = analyzer.init_state()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda step: fold(analyzer, [step], state), steps))
        assert_same(analyzer.result(state), analyzer.result(fold(analyzer, steps)))

    def test_processes_fold_into_one_state(self):
        steps = random_steps(200, (32, 32))
        stream = [Observation(*step) for step in steps]
        with SharedMemoryManager() as manager:
            analyzer = MaxScoreOverRotations((32, 32), shm_handler=manager)
            assert analyzer.shareable
            state = analyzer.init_state()
            context = multiprocessing.get_context("spawn")
            workers = [
                context.Process(target=fold_state, args=(analyzer, state, stream[part::2]))
                for part in range(2)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            assert [worker.exitcode for worker in workers] == [0, 0]
            alone = MaxScoreOverRotations((32, 32))
            assert_same(analyzer.result(state), alone.result(fold(alone, steps)))

    @pytest.mark.parametrize("rotations", [None, TURNS])
    def test_a_copy_of_a_shared_state_is_the_same_state(self, rotations):
        with SharedMemoryManager() as manager:
            analyzer = MaxScoreOverRotations(SHAPE, shm_handler=manager, rotations=rotations)
            state = analyzer.init_state()
            copy, twin = pickle.loads(pickle.dumps((state, analyzer)))
            for number, (step, owner) in enumerate(zip(random_steps(8), [state, copy] * 4, strict=True)):
                fold((analyzer, twin)[number % 2], [step], owner)
            alone = MaxScoreOverRotations(SHAPE, rotations=rotations)
            expected = alone.result(fold(alone, random_steps(8)))
            assert_same(analyzer.result(state), expected)
            assert_same(twin.result(copy), expected)
            with pytest.raises(InputError, match="another process"):
                twin.init_state()

    def test_lock_file_goes_with_the_state(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with SharedMemoryManager() as manager:
            analyzer = MaxScoreOverRotations(SHAPE, shm_handler=manager)
            state = fold(analyzer, random_steps(2))
            copy = pickle.loads(pickle.dumps(state))
            assert len(list(tmp_path.glob("*.lock"))) == 1
            del copy
            gc.collect()
            assert len(list(tmp_path.glob("*.lock"))) == 1
            del state
            gc.collect()
            assert not list(tmp_path.glob("*.lock"))

    def test_only_a_locked_shared_state_is_shareable(self):
        assert not MaxScoreOverRotations(SHAPE).shareable
        with SharedMemoryManager() as manager:
            assert not MaxScoreOverRotations(SHAPE, shm_handler=manager, thread_safe=False).shareable
            shared = MaxScoreOverRotations(SHAPE, shm_handler=manager)
            assert AnalyzerProduct(shared).shareable
            assert not AnalyzerProduct(shared, ScoreMoments()).shareable


class TestMemmap:
    def test_buffers_are_in_files_that_are_gone_with_them(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        analyzer = MaxScoreOverRotations((64, 64), use_memmap=True)
        state = analyzer.init_state()

        def mapped_files():
            return [
                line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line
            ]

        assert len(mapped_files()) == 2  # scores and rotations
        result = analyzer.result(state)
        assert len(mapped_files()) == 4
        assert not list(tmp_path.iterdir()), "a named file would outlive a killed process"
        del state, result
        gc.collect()
        assert not mapped_files()

    def test_full_disk_is_an_error_before_any_write(self, monkeypatch):
        def no_space(*_):
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(os, "posix_fallocate", no_space)
        with pytest.raises(OSError, match="No space"):
            MaxScoreOverRotations(SHAPE, use_memmap=True).init_state()


class TestFunctionalMode:
    def test_state_is_never_modified(self):
        analyzer = MaxScoreOverRotations(SHAPE, jax_mode=True)
        first = analyzer.init_state()
        second = fold(analyzer, random_steps(3), first)
        assert (np.asarray(first.scores) == 0).all()
        assert len(first.matrices) == 0
        assert (np.asarray(second.scores) > 0).any()

    def test_compiles_with_jax(self):
        jax = pytest.importorskip("jax")
        steps = [(scores.astype(np.float32), matrix, None) for scores, matrix, _ in random_steps(6)]
        analyzer = MaxScoreOverRotations(SHAPE, jax_mode=True, rotations=TURNS)
        compiled = jax.jit(lambda *args: analyzer(*args[:3], rotation_id=args[3]))
        state = analyzer.init_state()
        for number, (scores, matrix, _) in enumerate(steps):
            state = compiled(state, scores, matrix, number % 4)
        plain = MaxScoreOverRotations(SHAPE, rotations=TURNS)
        assert_same(analyzer.result(state), plain.result(fold(plain, steps)))
        # Once for NumPy's and once for JAX's arrays in the state, not once for each rotation.
        assert compiled._cache_size() <= 2

    def test_compiles_with_jax_without_a_rotation_set(self):
        jax = pytest.importorskip("jax")
        steps = [(scores.astype(np.float32), matrix, None) for scores, matrix, _ in random_steps(3)]
        analyzer = MaxScoreOverRotations(SHAPE, jax_mode=True)
        state = analyzer.init_state()
        for scores, matrix, _ in steps:
            state = jax.jit(analyzer)(state, scores, matrix)
        plain = MaxScoreOverRotations(SHAPE)
        assert_same(analyzer.result(state), plain.result(fold(plain, steps)))

    def test_traced_rotation_needs_its_id(self):
        jax = pytest.importorskip("jax")
        analyzer = MaxScoreOverRotations(SHAPE, jax_mode=True, rotations=TURNS)
        with pytest.raises(InputError, match="pass rotation_id"):
            jax.jit(analyzer)(analyzer.init_state(), np.zeros(SHAPE, np.float32), TURNS[0])


def test_result_unpacks_and_survives_pickling():
    analyzer = MaxScoreOverRotations(SHAPE, score_threshold=0.25)
    result = pickle.loads(pickle.dumps(analyzer.result(fold(analyzer, random_steps(3)))))
    scores, offset, rotations, mapping = result
    assert scores is result.scores
    assert offset is result.offset
    assert rotations is result.rotations
    assert mapping is result.mapping
    assert result.score_threshold == 0.25
