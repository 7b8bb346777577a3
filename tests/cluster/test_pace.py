"""How long work may take follows from how long it has taken."""

import pytest

from scorefold.cluster.pace import Pace, TimeLeft


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_nothing_is_said_before_something_ended():
    assert Pace(Clock()).left({"score_leaf": 0}, {"score_leaf": 4}) is None


def test_a_stage_goes_on_as_fast_as_it_went():
    clock = Clock()
    pace = Pace(clock)
    for clock.now in (2.0, 5.0, 6.0):
        pace.ended("score_leaf")
    assert pace.left({"score_leaf": 3}, {"score_leaf": 10}) == TimeLeft("score_leaf", 14.0)
    clock.now = 12.0  # while nothing ends, it gets slower
    assert pace.left({"score_leaf": 3}, {"score_leaf": 10}) == TimeLeft("score_leaf", 28.0)


def test_what_was_done_before_it_was_watched_does_not_count():
    clock = Clock()
    pace = Pace(clock)
    clock.now = 10.0
    pace.ended("measure")
    assert pace.left({"measure": 91}, {"measure": 100}) == TimeLeft("measure", 90.0)


def test_a_later_stage_begins_when_the_one_before_has_ended():
    clock = Clock()
    pace = Pace(clock)
    clock.now = 100.0
    pace.ended("score_images")
    clock.now = 101.0
    pace.ended("measure")
    total = {"score_images": 1, "measure": 5}
    assert pace.left({"score_images": 1, "measure": 1}, total) == TimeLeft("measure", 4.0)
    assert pace.left(total, total) is None


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {"stage": "score_leaf"}, {"stage": "x", "seconds": 1.0}, {"stage": [], "seconds": 1.0}],
)
def test_what_is_no_time_left_reads_as_none(value):
    assert TimeLeft.from_json(value) is None


def test_it_comes_back_as_it_was():
    assert TimeLeft.from_json({"stage": "merge", "seconds": 2.5}) == TimeLeft("merge", 2.5)
