"""The laws can fail: each deliberately broken analyzer is caught by the law that it breaks."""

from dataclasses import dataclass
from itertools import chain

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from scorefold.analyzer import AbstractAnalyzer, MaxScoreOverRotations, MaxScoreResult, ScoreMoments
from scorefold.analyzer.abstract import present
from scorefold.errors import InputError
from scorefold.testing import (
    AnalyzerTests,
    merge_along,
    merge_trees,
    observations,
    rotation_stacks,
    score_maps,
)


def maximum_tests(**broken_methods):
    """Return the laws for a maximum over rotations in which some methods are replaced."""
    analyzer_class = type("Broken", (MaxScoreOverRotations,), broken_methods)

    class Tests(AnalyzerTests):
        def make_analyzer(self, offset=None):
            return analyzer_class(self.shape, offset=offset)

    return Tests()


@dataclass
class MeanState:
    count: int
    mean: float


class UnweightedMean(AbstractAnalyzer):
    """Mean score whose merge averages means without their counts (fault 2 of the peers)."""

    shareable = False

    def init_state(self):
        return MeanState(0, 0.0)

    def __call__(self, state, scores, rotation_matrix, **kwargs):
        state.count += 1
        state.mean += (float(np.nan_to_num(scores, neginf=0).mean()) - state.mean) / state.count
        return state

    def result(self, state, **kwargs):
        return MeanState(state.count, state.mean)

    def merge(self, results, **kwargs):
        parts = present(results)
        return MeanState(sum(part.count for part in parts), sum(part.mean for part in parts) / len(parts))

    def resume(self, result):
        return MeanState(result.count, result.mean)

    def to_arrays(self, result):
        return {"count": np.array([result.count]), "mean": np.array([result.mean])}

    def from_arrays(self, arrays):
        return MeanState(int(arrays["count"][0]), float(arrays["mean"][0]))


class UnweightedMeanTests(AnalyzerTests):
    offsets = ()

    def make_analyzer(self, offset=None):
        return UnweightedMean()


def fold_so_that_the_later_wins(self, state, scores, rotation_matrix, **kwargs):
    rotation_id = state.register.identify(rotation_matrix)
    better = (scores >= state.scores) & (scores > self.score_threshold)
    state.scores[better] = scores[better]
    state.rotations[better] = rotation_id
    return state


def merge_in_place(results, **kwargs):
    first, *others = present(results)
    for other in others:
        if other.scores.shape == first.scores.shape and (other.offset == first.offset).all():
            np.maximum(first.scores, other.scores, out=first.scores)
    return MaxScoreOverRotations.merge([first, *others])


def merge_that_empties_the_list(results, **kwargs):
    merged = MaxScoreOverRotations.merge(results)
    results.clear()
    return merged


def merge_without_offset(results, **kwargs):
    parts = present(results)
    if len(parts) == 1:
        return parts[0]
    merged = MaxScoreOverRotations.merge(parts)
    return MaxScoreResult(merged.scores, np.zeros_like(merged.offset), merged.rotations, merged.mapping)


def merge_that_stops_at_none(results, **kwargs):
    return MaxScoreOverRotations.merge(
        list(results)[: list(results).index(None)] if None in results else results
    )


def merge_that_makes_up_a_result(results, **kwargs):
    kept = [result for result in results if result is not None]
    return MaxScoreOverRotations.merge(kept) if kept else None


def merge_that_drops_the_last(results, **kwargs):
    parts = present(results)
    return MaxScoreOverRotations.merge(parts[:-1] if len(parts) > 2 else parts)


def fold_that_changes_the_scores(self, state, scores, rotation_matrix, **kwargs):
    if scores.flags.writeable:
        np.nan_to_num(scores, copy=False)
    return MaxScoreOverRotations.__call__(self, state, scores, rotation_matrix)


def result_that_is_the_state(self, state, **kwargs):
    mapping, _ = state.register.table()
    return MaxScoreResult(state.scores, self.offset, state.rotations, mapping)


def resume_that_forgets_the_scores(self, result):
    state = MaxScoreOverRotations.resume(self, result)
    state.scores.fill(self.score_threshold)
    return state


def from_arrays_without_rotations(self, arrays):
    result = MaxScoreOverRotations.from_arrays(self, arrays)
    return MaxScoreResult(result.scores, result.offset, np.zeros_like(result.rotations), result.mapping)


def state_without_threshold(self):
    state = MaxScoreOverRotations.init_state(self)
    state.scores.fill(0.25)
    return state


class PicklesAnotherThreshold(MaxScoreOverRotations):
    def __getstate__(self):
        return {**super().__getstate__(), "score_threshold": 0.25}


class PicklesAnotherThresholdTests(AnalyzerTests):
    def make_analyzer(self, offset=None):
        return PicklesAnotherThreshold(self.shape, offset=offset)


FAULTS = {
    "unweighted mean: grouping": (UnweightedMeanTests(), "test_merge_is_associative"),
    "unweighted mean: parts": (UnweightedMeanTests(), "test_any_chunking_and_merge_tree_equals_one_pass"),
    "unweighted mean: identity": (UnweightedMeanTests(), "test_initial_result_is_the_identity"),
    "ties go to the later": (
        maximum_tests(__call__=fold_so_that_the_later_wins),
        "test_order_of_folding_is_irrelevant",
    ),
    "merge empties the list": (
        maximum_tests(merge=staticmethod(merge_that_empties_the_list)),
        "test_merge_leaves_its_inputs_alone",
    ),
    "offset dropped for two": (
        maximum_tests(merge=staticmethod(merge_without_offset)),
        "test_initial_result_is_the_identity",
    ),
    "None ends the merge": (
        maximum_tests(merge=staticmethod(merge_that_stops_at_none)),
        "test_one_result_merges_to_itself_and_none_is_ignored",
    ),
    "nothing merged to None": (
        maximum_tests(merge=staticmethod(merge_that_makes_up_a_result)),
        "test_merge_of_nothing_is_refused",
    ),
    "last part lost": (
        maximum_tests(merge=staticmethod(merge_that_drops_the_last)),
        "test_merge_is_associative",
    ),
    "scores changed": (
        maximum_tests(__call__=fold_that_changes_the_scores),
        "test_folding_leaves_its_inputs_alone",
    ),
    "result is the state": (
        maximum_tests(result=result_that_is_the_state),
        "test_result_and_state_are_independent",
    ),
    "resume forgets": (maximum_tests(resume=resume_that_forgets_the_scores), "test_resuming_is_going_on"),
    "store loses rotations": (
        maximum_tests(from_arrays=from_arrays_without_rotations),
        "test_result_survives_the_store",
    ),
    "initial state is no identity": (
        maximum_tests(init_state=state_without_threshold),
        "test_initial_result_is_the_identity",
    ),
    "pickling loses a parameter": (
        PicklesAnotherThresholdTests(),
        "test_analyzer_and_result_survive_pickling",
    ),
}


def run(tests, law):
    """Run one law, the same way each time, without looking for the simplest counterexample."""
    test = getattr(type(tests), law)
    if not hasattr(test, "hypothesis"):
        test(tests)
        return

    @settings(max_examples=50, deadline=None, phases=[Phase.generate], derandomize=True, database=None)
    @given(data=st.data())
    def law_of_tests(data):
        test.hypothesis.inner_test(tests, data)

    law_of_tests()


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    tests, law = FAULTS[fault]
    with pytest.raises((AssertionError, pytest.fail.Exception, InputError)):
        run(tests, law)


def test_write_into_a_given_result_is_caught():
    tests = maximum_tests(merge=staticmethod(merge_in_place))
    with pytest.raises((AssertionError, ValueError), match=r"read-only|merge changed"):
        run(tests, "test_merge_leaves_its_inputs_alone")


def laws(tests):
    return [name for name in dir(tests) if name.startswith("test_")]


@pytest.mark.parametrize("law", laws(AnalyzerTests))
def test_sound_analyzer_passes(law):
    class Tests(AnalyzerTests):
        offsets = ()

        def make_analyzer(self, offset=None):
            return ScoreMoments()

    getattr(Tests(), law)()


@given(tree=merge_trees(5))
def test_merge_tree_has_every_part_once(tree):
    parts = [[number] for number in range(5)]
    assert sorted(merge_along(tree, parts, lambda lists: list(chain(*lists)))) == list(range(5))


@given(scores=score_maps((2, 3)), rotations=rotation_stacks(3), steps=observations((2, 3)))
def test_what_is_drawn_has_the_promised_form(scores, rotations, steps):
    assert (scores.shape, scores.dtype, scores.flags.writeable) == ((2, 3), np.float32, False)
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-14)  # rounding of nine products
    for step in steps:
        assert step.scores.shape == (2, 3)
        assert step.rotation_matrix.shape == (2, 2)
