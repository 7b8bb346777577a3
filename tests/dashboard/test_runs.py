"""What is known of runs: right for what drivers and workers tell, whatever else somebody logs."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.dashboard import runs as module
from scorefold.dashboard.page import Page
from scorefold.dashboard.runs import MOST_FAILURES, MOST_PREVIEWS, MOST_RUNS, MOST_SCORES, MOST_WORST, Runs
from scorefold.events import FINISHED, PREVIEW_CELLS, STOPPED, WORKING, DriverEvent, LeafEvent, Preview

RUN = "/data/run"
GRID = (5, 7)


class Clock:
    """Shows the time that it is set to."""

    now = 1000.0

    def __call__(self):
        return self.now


def part(values, start=(0, 0), grid=GRID, target="a"):
    cells = np.asarray(values, "<f4")
    return Preview(target, float(np.nanmax(cells)), grid, start, cells.shape, cells.tobytes())


def told(*events, clock=None):
    runs = Runs(clock or Clock())
    for event in events:
        runs.hear(event.message())
    return runs


ODD_NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 10**400, -1, 2**63])
)
ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), ODD_NUMBERS, st.text(max_size=5), st.binary(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
GOOD_PREVIEW = dataclasses.asdict(part(np.ones((2, 3)), (1, 1)))
PREVIEWS = st.lists(
    st.fixed_dictionaries(
        {}, optional={name: st.one_of(st.just(value), ODD) for name, value in GOOD_PREVIEW.items()}
    ),
    max_size=2,
)


def messages_like(event):
    """Messages with the fields of an event, some of them left out, some of them odd."""
    values = {name: st.one_of(st.just(value), ODD) for name, value in event.message().items()}
    values |= {"what": st.just(event.what), "run": st.sampled_from([RUN, "other"])}
    if "previews" in values:
        values["previews"] = st.one_of(values["previews"], PREVIEWS)
    return st.fixed_dictionaries({}, optional=values)


MESSAGES = st.one_of(
    ODD,
    messages_like(
        LeafEvent(RUN, "score_leaf", 2.0, 4, [part(np.ones(GRID))], [0.5], {"OK": 1}, [("b", 1.0)])
    ),
    messages_like(DriverEvent(RUN, "one", "match", "title", done={"score_leaf": 1}, total={"score_leaf": 2})),
)


@pytest.fixture(scope="module")
def page():
    """A page, which takes half a second to make, to be given other runs."""
    return Page(Runs(Clock()))


@given(messages=st.lists(MESSAGES, max_size=6))
@settings(deadline=None)  # a page is made of many models
def test_no_message_whatsoever_breaks_what_comes_after_it(page, messages):
    runs = Runs(Clock())
    page._runs, page._run, page._shown = runs, RUN, None
    for message in messages:
        runs.hear(message)
        page.update()
    for view in runs.views():
        assert view.rotations >= 0
        assert view.rate(runs.clock()) >= 0
        assert math.isfinite(view.fraction)
        assert all(np.isfinite(score) for _, score in view.worst)
    before = runs.get(RUN)
    before = 0 if before is None or before.driver.driver not in ("", "last") else before.rotations
    runs.hear(DriverEvent(RUN, "last", "match", total={"score_leaf": 3}, done={"score_leaf": 1}).message())
    runs.hear(LeafEvent(RUN, "score_leaf", 1.0, 5, [part(np.full(GRID, 9.0))]).message())
    page.update()
    view = runs.get(RUN)
    assert view.rotations == before + 5
    assert view.targets["a"].cells.shape == GRID
    assert (view.targets["a"].cells >= 9).all()
    assert "1 of 3" in page.stages.data["text"]


def test_numbers_that_are_too_large_to_be_drawn_are_left_out(page):
    runs = Runs(Clock())
    page._runs, page._run, page._shown = runs, RUN, None
    largest = np.finfo(np.float32).max
    for event in (
        LeafEvent(RUN, scores=[-1.7e308, 1.7e308]),
        LeafEvent(RUN, scores=[math.nan, math.inf]),
        LeafEvent(RUN, worst=[("a", math.nan)]),
        LeafEvent(RUN, seconds=math.inf),
    ):
        runs.hear(event.message())
    assert runs.version == 0
    runs.hear(LeafEvent(RUN, previews=[part([[-largest, math.inf], [math.nan, largest]])]).message())
    assert runs.version == 0, "its best score is infinite"
    runs.hear(LeafEvent(RUN, previews=[part([[-largest, 0], [math.nan, largest]])]).message())
    page.update()
    assert sum(page.bins.data["count"]) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": b"123"},
        {"shape": (5, 8)},
        {"start": (1, 0)},
        {"start": (-1, 0)},
        {"grid": (0, 7)},
        {"grid": (PREVIEW_CELLS + 1, 7)},
        {"grid": (10**9, 10**9)},
        {"best": math.nan},
    ],
)
def test_an_event_with_a_preview_that_cannot_be_is_left_out_as_a_whole(changes):
    runs = told(LeafEvent(RUN, rotations=2))
    message = LeafEvent(RUN, rotations=3, previews=[part(np.ones(GRID)), part(np.ones(GRID))]).message()
    message["previews"][1] |= changes
    runs.hear(message)
    assert runs.get(RUN).rotations == 2
    assert not runs.get(RUN).targets


def test_what_a_later_version_adds_to_an_event_is_left_out():
    runs = Runs(Clock())
    runs.hear(LeafEvent(RUN, rotations=3).message() | {"colour": "red"})
    assert runs.get(RUN).rotations == 3


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4), st.integers(0, 6), st.integers(1, 5), st.integers(1, 7), st.integers(0, 99)
        ),
        max_size=8,
    ),
    st.randoms(),
)
def test_parts_make_the_same_whole_in_any_order(boxes, random):
    expected = np.full(GRID, np.nan, np.float32)
    parts = []
    for row, column, height, width, seed in boxes:
        values = np.random.default_rng(seed).random((min(height, 5 - row), min(width, 7 - column)))
        values = values.astype(np.float32)
        parts.append(part(values, (row, column)))
        for (i, j), value in np.ndenumerate(values):
            at = row + i, column + j
            expected[at] = value if np.isnan(expected[at]) else max(expected[at], value)
    random.shuffle(parts)
    leaves = [LeafEvent(RUN, previews=[preview]) for preview in parts]
    view = told(LeafEvent(RUN), *leaves).get(RUN)
    if parts:
        np.testing.assert_array_equal(view.targets["a"].cells, expected)
        assert view.best == max(preview.best for preview in parts) == view.targets["a"].best
        assert view.best == pytest.approx(float(np.nanmax(expected)), abs=1e-6)
    else:
        assert math.isnan(view.best)


def test_cells_that_are_unknown_hide_nothing():
    view = told(
        LeafEvent(RUN, previews=[part(np.full(GRID, 2.0))]),
        LeafEvent(
            RUN,
            previews=[dataclasses.replace(part(np.ones(GRID)), cells=np.full(GRID, np.nan, "<f4").tobytes())],
        ),
    ).get(RUN)
    assert (view.targets["a"].cells == 2).all()


@given(st.lists(st.tuples(st.floats(0, 400), st.integers(0, 1000)), max_size=30))
@settings(max_examples=50)
def test_rotations_are_summed_and_the_rate_is_that_of_the_last_two_minutes(leaves):
    clock = Clock()
    runs = told(DriverEvent(RUN), clock=clock)
    for after, count in sorted(leaves):
        clock.now = 1000 + after
        runs.hear(LeafEvent(RUN, "score_leaf", 2.5, count).message())
    clock.now = 1400.0
    view = runs.get(RUN)
    assert view.rotations == sum(count for _, count in leaves)
    assert view.seconds["score_leaf"] == pytest.approx(2.5 * len(leaves))
    recent = sum(count for after, count in leaves if 1400 - (1000 + after) <= module.RATE_SECONDS)
    assert view.rate(clock()) == pytest.approx(recent / module.RATE_SECONDS)


def test_the_rate_of_a_run_that_has_just_begun_is_over_its_own_time():
    clock = Clock()
    runs = told(DriverEvent(RUN), clock=clock)
    clock.now += 10
    runs.hear(LeafEvent(RUN, rotations=50).message())
    assert runs.get(RUN).rate(clock()) == 5


def test_a_run_is_as_far_as_its_work_of_all_stages():
    view = told(
        DriverEvent(RUN, done={"score_leaf": 3, "report": 0}, total={"score_leaf": 5, "report": 1})
    ).get(RUN)
    assert view.fraction == 0.5
    assert told(DriverEvent(RUN)).get(RUN).fraction == 0


def test_a_driver_that_is_silent_is_gone_until_it_speaks_again():
    clock = Clock()
    runs = told(DriverEvent(RUN, "one"), LeafEvent(RUN, rotations=4), clock=clock)
    clock.now += module.SILENT_SECONDS
    assert runs.get(RUN).state(clock()) == WORKING
    clock.now += 0.1
    assert runs.get(RUN).state(clock()) == STOPPED
    runs.hear(LeafEvent(RUN, rotations=4).message())
    assert runs.get(RUN).state(clock()) == STOPPED, "workers end their leaves without a driver"
    runs.hear(DriverEvent(RUN, "one").message())
    assert runs.get(RUN).state(clock()) == WORKING
    assert runs.get(RUN).rotations == 8


@pytest.mark.parametrize("state", [FINISHED, STOPPED])
def test_a_driver_that_has_ended_need_not_say_so_again(state):
    clock = Clock()
    runs = told(DriverEvent(RUN, state=state), clock=clock)
    clock.now += 10 * module.SILENT_SECONDS
    assert runs.get(RUN).state(clock()) == state


def test_another_driver_of_a_run_counts_anew():
    clock = Clock()
    first = DriverEvent(RUN, "one", state=STOPPED, reason="full")
    leaf = LeafEvent(RUN, rotations=4, failures={"b": "unreadable"})
    runs = told(DriverEvent(RUN, "one"), leaf, first, clock=clock)
    clock.now += 5
    runs.hear(DriverEvent(RUN, "two").message())
    view = runs.get(RUN)
    assert (view.rotations, view.failures, view.driver.reason, view.began) == (0, {}, "", clock.now)


def test_the_end_of_a_driver_whose_run_was_taken_over_changes_nothing():
    lost = DriverEvent(RUN, "one", state=STOPPED, reason="another driver has taken over")
    view = told(DriverEvent(RUN, "one"), DriverEvent(RUN, "two"), LeafEvent(RUN, rotations=3), lost).get(RUN)
    assert (view.driver.driver, view.driver.state, view.rotations) == ("two", WORKING, 3)


def test_what_workers_tell_before_the_driver_counts():
    assert told(LeafEvent(RUN, rotations=4), DriverEvent(RUN, "one")).get(RUN).rotations == 4


def test_runs_are_kept_apart_and_the_latest_comes_first():
    clock = Clock()
    runs = told(DriverEvent("a"), clock=clock)
    clock.now += 1
    runs.hear(DriverEvent("b").message())
    runs.hear(LeafEvent("a", rotations=1).message())
    runs.hear(LeafEvent("b", rotations=2).message())
    assert [(view.location, view.rotations) for view in runs.views()] == [("b", 2), ("a", 1)]


def test_of_many_runs_those_heard_of_last_are_kept():
    clock = Clock()
    runs = Runs(clock)
    for index in range(MOST_RUNS + 5):
        clock.now += 1
        runs.hear(DriverEvent(f"run {index}").message())
        runs.hear(DriverEvent("run 0").message())
    kept = {view.location for view in runs.views()}
    assert kept == {"run 0", *(f"run {index}" for index in range(6, MOST_RUNS + 5))}


def test_what_is_kept_of_a_run_is_bounded_and_is_the_latest():
    runs = Runs(Clock())
    for index in range(max(MOST_PREVIEWS, MOST_FAILURES) + 10):
        preview = part(np.full(GRID, index), target=f"t{index}")
        runs.hear(LeafEvent(RUN, previews=[preview], failures={f"f{index}": "odd"}).message())
    view = runs.get(RUN)
    last = max(MOST_PREVIEWS, MOST_FAILURES) + 9
    assert list(view.targets) == [f"t{i}" for i in range(last - MOST_PREVIEWS + 1, last + 1)]
    assert list(view.failures) == [f"f{i}" for i in range(last - MOST_FAILURES + 1, last + 1)]
    runs.hear(LeafEvent(RUN, previews=[part(np.full(GRID, 1), target="small")]).message())
    assert view.best == last, "the best score outlives the preview of its target"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 7))
def test_the_worst_images_are_those_of_all(scores, images_of_a_leaf):
    names = {f"image {index}": score for index, score in enumerate(scores)}
    rows = list(names.items())
    leaves = [rows[i : i + images_of_a_leaf] for i in range(0, len(rows), images_of_a_leaf)]
    view = told(
        *(
            LeafEvent(RUN, worst=leaf, scores=[score for _, score in leaf], verdicts={"OK": len(leaf)})
            for leaf in leaves
        )
    ).get(RUN)
    assert [score for _, score in view.worst] == sorted(scores, reverse=True)[:MOST_WORST]
    assert all(names[name] == score for name, score in view.worst)
    assert list(view.scores) == scores[-MOST_SCORES:]
    assert view.verdicts == {"OK": len(scores)}


def test_the_version_grows_with_what_is_heard_alone():
    runs = Runs(Clock())
    runs.hear({"what": "nonsense"})
    assert runs.version == 0
    runs.hear(DriverEvent(RUN).message())
    assert runs.version == 1
