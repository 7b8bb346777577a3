"""Every stage of every kind of run has a function that does its work."""

import pytest

from scorefold.cluster import tasks
from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.train_run import TrainRun
from scorefold.cluster.match.run import MatchRun


@pytest.mark.parametrize("kind", [MatchRun, InspectRun, TrainRun])
def test_what_does_the_work_of_a_stage_can_be_imported(kind):
    for stage in tasks._TASKS[kind.kind]:
        assert callable(tasks.task_of(kind.kind, stage))


def test_work_is_listed_for_the_kinds_of_runs_there_are():
    assert set(tasks._TASKS) == {kind.kind for kind in (MatchRun, InspectRun, TrainRun)}
