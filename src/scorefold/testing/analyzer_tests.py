"""The laws of an analyzer as a test class: whoever writes an analyzer inherits the proof."""

import copy
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scorefold.analyzer import AbstractAnalyzer
from scorefold.errors import InputError
from scorefold.testing.strategies import Observation, merge_along, merge_trees, observations

Analyzer = AbstractAnalyzer[Any, Any]
Bytes = dict[str, tuple[str, tuple[int, ...], bytes]]

# Inherited tests run on objects of many classes, which Hypothesis takes for a mistake.
_laws = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


class AnalyzerTests:
    """Base of test classes that prove the laws of `AbstractAnalyzer` for one analyzer.

    A subclass, whose name pytest must recognise, provides `make_analyzer` and may change the attributes.
    Results are compared by the bytes of `AbstractAnalyzer.to_arrays`.

    Attributes
    ----------
    shape : tuple of int
        Shape of the score maps; (3, 4) by default. Keep it small.
    rotations : ndarray of shape (n, d, d) or None
        The job's rotation set, if the analyzer is made for one; by default rotations are drawn.
    offsets : sequence of tuple of int
        Origins of tiles that are merged with each other; empty for an analyzer without tiles.
    scores : strategy or None
        Score maps, if those of `score_maps` are not what the analyzer takes.
    keywords : strategy or None
        Further keywords of `__call__` for every score map, such as labels, as dictionaries.

    Examples
    --------
    >>> from scorefold.analyzer import MaxScoreOverRotations
    >>> class TestMaximum(AnalyzerTests):
    ...     def make_analyzer(self, offset=None):
    ...         return MaxScoreOverRotations(self.shape, offset=offset)
    >>> TestMaximum().test_merge_is_commutative()
    """

    shape: tuple[int, ...] = (3, 4)
    rotations: NDArray[np.float64] | None = None
    offsets: Sequence[tuple[int, ...]] = ((0, 0), (2, -1), (-7, 5))
    scores: st.SearchStrategy[NDArray[Any]] | None = None
    keywords: st.SearchStrategy[Mapping[str, Any]] | None = None

    _streams: ClassVar[st.SearchStrategy[list[Observation]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # One strategy for all tests of a class: Hypothesis examines every new one anew.
        cls._streams = observations(cls.shape, cls.rotations, scores=cls.scores, keywords=cls.keywords)

    def make_analyzer(self, offset: tuple[int, ...] | None = None) -> Analyzer:
        """Return a new analyzer for score maps of `shape`.

        Parameters
        ----------
        offset : tuple of int, optional
            Origin of its tile; not passed to analyzers without tiles.
        """
        raise NotImplementedError

    def streams(self) -> st.SearchStrategy[list[Observation]]:
        """Return a strategy for streams of score maps; `observations` by default."""
        return self._streams

    @_laws
    @given(data=st.data())
    def test_any_chunking_and_merge_tree_equals_one_pass(self, data: st.DataObject) -> None:
        """One serial pass = any partition of the stream, merged along any tree."""
        analyzer = self.make_analyzer()
        stream = data.draw(self.streams(), "stream")
        count = data.draw(st.integers(1, 5), "parts")
        part_of = data.draw(st.lists(st.integers(0, count - 1), min_size=len(stream), max_size=len(stream)))
        parts = [
            fold(
                self.make_analyzer(),
                [step for step, part in zip(stream, part_of, strict=True) if part == number],
            )
            for number in range(count)
        ]
        tree = data.draw(merge_trees(count), "tree")
        assert_same(analyzer, merge_along(tree, parts, analyzer.merge), fold(analyzer, stream))

    @_laws
    @given(data=st.data())
    def test_order_of_folding_is_irrelevant(self, data: st.DataObject) -> None:
        """One pass = one pass in any other order."""
        analyzer = self.make_analyzer()
        stream = data.draw(self.streams(), "stream")
        shuffled = data.draw(st.permutations(stream), "shuffled")
        assert_same(analyzer, fold(analyzer, shuffled), fold(analyzer, stream))

    @_laws
    @given(data=st.data())
    def test_merge_is_associative(self, data: st.DataObject) -> None:
        """Associativity: (a · b) · c = a · (b · c) = a · b · c."""
        analyzer, (a, b, c) = self._draw_results(data, 3)
        flat = analyzer.merge([a, b, c])
        assert_same(analyzer, analyzer.merge([analyzer.merge([a, b]), c]), flat)
        assert_same(analyzer, analyzer.merge([a, analyzer.merge([b, c])]), flat)

    @_laws
    @given(data=st.data())
    def test_merge_is_commutative(self, data: st.DataObject) -> None:
        """Commutativity: a · b = b · a."""
        analyzer, (a, b) = self._draw_results(data, 2)
        assert_same(analyzer, analyzer.merge([a, b]), analyzer.merge([b, a]))

    @_laws
    @given(data=st.data())
    def test_initial_result_is_the_identity(self, data: st.DataObject) -> None:
        """Identity: a · e = e · a = a for e = result(init_state()) of the same tile."""
        offset = data.draw(self._offsets(), "offset")
        analyzer = self._make(offset)
        result = fold(analyzer, data.draw(self.streams(), "stream"))
        identity = analyzer.result(analyzer.init_state())
        assert_same(analyzer, analyzer.merge([result, identity]), result)
        assert_same(analyzer, analyzer.merge([identity, result]), result)

    @_laws
    @given(data=st.data())
    def test_one_result_merges_to_itself_and_none_is_ignored(self, data: st.DataObject) -> None:
        """The merge of one result is that result; None may stand anywhere."""
        analyzer, (a, b) = self._draw_results(data, 2)
        assert_same(analyzer, analyzer.merge([a]), a)
        assert_same(analyzer, analyzer.merge([None, a, None]), a)
        assert_same(analyzer, analyzer.merge([None, a, None, b]), analyzer.merge([a, b]))

    def test_merge_of_nothing_is_refused(self) -> None:
        """No results are an error that is raised, not a result that is made up."""
        analyzer = self.make_analyzer()
        for nothing in ([], [None, None]):
            with pytest.raises(InputError):
                analyzer.merge(nothing)

    @_laws
    @given(data=st.data())
    def test_merge_leaves_its_inputs_alone(self, data: st.DataObject) -> None:
        """Neither the results nor the list that holds them change."""
        analyzer, results = self._draw_results(data, 3)
        before = [as_bytes(analyzer, result) for result in results]
        frozen = [analyzer.from_arrays(read_only(analyzer.to_arrays(result))) for result in results]
        handed_over = [None, *frozen, results[0]]
        kept = list(handed_over)
        analyzer.merge(handed_over)
        assert len(handed_over) == len(kept), "merge changed the length of the caller's list"
        for now, then in zip(handed_over, kept, strict=True):
            assert now is then, "merge replaced an item of the caller's list"
        for result, content in zip(results, before, strict=True):
            assert as_bytes(analyzer, result) == content, "merge changed a result that it was given"

    @_laws
    @given(data=st.data())
    def test_folding_leaves_its_inputs_alone(self, data: st.DataObject) -> None:
        """Scores and rotation matrices keep their bytes, also where they are writable."""
        analyzer = self.make_analyzer()
        for step in data.draw(self.streams(), "stream"):
            scores, matrix = step.scores.copy(), step.rotation_matrix.copy()
            keywords = copy.deepcopy(dict(step.keywords))
            fold(analyzer, [Observation(scores, matrix, step.rotation_id, keywords)])
            assert scores.tobytes() == step.scores.tobytes(), "__call__ changed the scores"
            assert matrix.tobytes() == step.rotation_matrix.tobytes(), "__call__ changed the rotation matrix"
            for name, given_value in step.keywords.items():
                unchanged = np.array_equal(keywords[name], given_value)
                assert unchanged, f"__call__ changed the keyword {name}"

    @_laws
    @given(data=st.data())
    def test_result_and_state_are_independent(self, data: st.DataObject) -> None:
        """Taking a result changes no state, and going on to fold changes no result."""
        analyzer = self.make_analyzer()
        first, second = data.draw(self.streams(), "first"), data.draw(self.streams(), "second")
        state = fold_state(analyzer, analyzer.init_state(), first)
        early = analyzer.result(state)
        content = as_bytes(analyzer, early)
        state = fold_state(analyzer, state, second)
        assert as_bytes(analyzer, early) == content, "folding on changed an earlier result"
        assert_same(analyzer, analyzer.result(state), fold(analyzer, first + second))

    @_laws
    @given(data=st.data())
    def test_resuming_is_going_on(self, data: st.DataObject) -> None:
        """Fold, take the result, resume from it, fold on = fold all; the result is left alone."""
        analyzer = self.make_analyzer()
        first, second = data.draw(self.streams(), "first"), data.draw(self.streams(), "second")
        checkpoint = fold(analyzer, first)
        content = as_bytes(analyzer, checkpoint)
        resumed = fold_state(analyzer, analyzer.resume(checkpoint), second)
        assert_same(analyzer, analyzer.result(resumed), fold(analyzer, first + second))
        assert as_bytes(analyzer, checkpoint) == content, "resuming changed the result resumed from"

    @settings(_laws, max_examples=5)
    @given(data=st.data())
    def test_result_survives_the_store(self, data: st.DataObject) -> None:
        """A result written to Zarr and read back, by another analyzer, merges as the original does."""
        analyzer, (a, b) = self._draw_results(data, 2)
        restored = self.make_analyzer().from_arrays(through_zarr(analyzer.to_arrays(a)))
        assert_same(analyzer, restored, a)
        assert_same(analyzer, analyzer.merge([restored, b]), analyzer.merge([a, b]))

    @settings(_laws, max_examples=10)
    @given(data=st.data())
    def test_analyzer_and_result_survive_pickling(self, data: st.DataObject) -> None:
        """A worker's copy of the analyzer folds alike, and its result comes back whole."""
        analyzer = self.make_analyzer()
        stream = data.draw(self.streams(), "stream")
        duplicate = pickle.loads(pickle.dumps(analyzer))  # noqa: S301 -- our own bytes
        result = pickle.loads(pickle.dumps(fold(duplicate, stream)))  # noqa: S301
        assert_same(analyzer, result, fold(analyzer, stream))

    def _make(self, offset: tuple[int, ...] | None) -> Analyzer:
        return self.make_analyzer() if offset is None else self.make_analyzer(offset)

    def _offsets(self) -> st.SearchStrategy[tuple[int, ...] | None]:
        return st.sampled_from([None, *self.offsets])

    def _draw_results(self, data: st.DataObject, count: int) -> tuple[Analyzer, list[Any]]:
        """Draw results of tiles at several offsets, and an analyzer to merge them."""
        results = []
        for number in range(count):
            offset = data.draw(self._offsets(), f"offset {number}")
            results.append(fold(self._make(offset), data.draw(self.streams(), f"stream {number}")))
        return self.make_analyzer(), results


def fold_state(analyzer: Analyzer, state: Any, stream: Sequence[Observation]) -> Any:
    """Return a state after a stream of score maps."""
    for step in stream:
        keywords = dict(step.keywords)
        if step.rotation_id is not None:
            keywords["rotation_id"] = step.rotation_id
        state = analyzer(state, scores=step.scores, rotation_matrix=step.rotation_matrix, **keywords)
    return state


def fold(analyzer: Analyzer, stream: Sequence[Observation]) -> Any:
    """Return the result of a stream of score maps."""
    return analyzer.result(fold_state(analyzer, analyzer.init_state(), stream))


def as_bytes(analyzer: Analyzer, result: Any) -> Bytes:
    """Return all that a result consists of."""
    arrays = analyzer.to_arrays(result)
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in sorted(arrays.items())}


def assert_same(analyzer: Analyzer, found: Any, expected: Any) -> None:
    """Assert that two results are the same, bit for bit."""
    found_bytes, expected_bytes = as_bytes(analyzer, found), as_bytes(analyzer, expected)
    assert found_bytes.keys() == expected_bytes.keys()
    for name, content in expected_bytes.items():
        if found_bytes[name] != content:
            found_array, expected_array = (analyzer.to_arrays(result)[name] for result in (found, expected))
            pytest.fail(f"{name} differs: found\n{found_array!r}\nexpected\n{expected_array!r}")


def read_only(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return copies of arrays that cannot be written to."""
    copies = {name: np.array(array) for name, array in arrays.items()}
    for array in copies.values():
        array.setflags(write=False)
    return copies


def through_zarr(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays after a round trip through a Zarr group in memory."""
    group = zarr.create_group(zarr.storage.MemoryStore())
    written = {name: group.create_array(name, data=array) for name, array in arrays.items()}
    return {name: np.asarray(stored[...]) for name, stored in written.items()}
