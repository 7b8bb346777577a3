"""Every stage of every kind of run has a function that does its work within the run's limits; its errors travel."""

import pickle

import pytest

from scorefold.cluster import drive, tasks
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.train_run import TrainRun
from scorefold.cluster.match.run import MatchRun
from scorefold.errors import DamagedPartialError
from scorefold.io import MAX_DECODED_PIXELS
from scorefold.io.formats import decoding_limit


@pytest.mark.parametrize("kind", [MatchRun, InspectRun, TrainRun])
def test_what_does_the_work_of_a_stage_can_be_imported(kind):
    for stage in tasks._TASKS[kind.kind]:
        assert callable(tasks.task_of(kind.kind, stage))


def test_work_is_listed_for_the_kinds_of_runs_there_are():
    assert set(tasks._TASKS) == {kind.kind for kind in (MatchRun, InspectRun, TrainRun)}


class StrangeError(Exception):
    """As libraries have them: it cannot be made again of what it holds."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (StrangeError("this", "that"), RuntimeError("StrangeError: this and that")),
        (OSError(28, "No space left on device", "/data/run"), OSError(28, "No space left on device", "/data/run")),
        (DamagedPartialError("leaf-1", "its bytes"), DamagedPartialError("leaf-1", "its bytes")),
        (RecursionError("too deep"), RecursionError("too deep")),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_errors_travel_whatever_they_are_and_tell_where_they_come_from(monkeypatch, raised, told):
    def fail(*_):
        try:
            {}["cause"]
        except KeyError as cause:
            raise raised from cause

    monkeypatch.setattr(tasks, "run_node", fail)
    with pytest.raises(Exception, match=r".") as caught:
        tasks.run_on_worker(None, None)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    arrived = pickle.loads(pickle.dumps(caught.value))
    assert (type(arrived), str(arrived)) == (type(told), str(told))
    assert getattr(arrived, "errno", None) == getattr(told, "errno", None)
    assert "in fail" in arrived.__notes__[0]


def test_images_are_decoded_up_to_the_size_that_the_run_allows(prepared, run_at, tmp_path, monkeypatch):
    run = run_at(tmp_path / "run", rotation_block=24, max_pixels=12345)
    seen = []
    task_of = tasks.task_of

    def note_limit(kind, stage):
        seen.append(decoding_limit._limit.get())
        return task_of(kind, stage)

    monkeypatch.setattr(tasks, "task_of", note_limit)
    drive(run, SerialExecutor(), render=False)
    assert set(seen) == {12345}
    assert decoding_limit._limit.get() == MAX_DECODED_PIXELS


@pytest.mark.parametrize("parent", [None, object()])
def test_workers_do_not_search_what_they_imported_for_cycles_after_every_task(monkeypatch, parent):
    """There are a quarter of a million objects, which takes a tenth of a second; nobody else's are touched."""
    frozen = []
    cycles = tasks._Cycles()  # made when this is imported, which may be before a worker knows its parent
    monkeypatch.setattr(tasks.multiprocessing, "parent_process", lambda: parent)
    monkeypatch.setattr(tasks.gc, "freeze", lambda: frozen.append(1))
    monkeypatch.setattr(tasks, "COLLECT_SECONDS", -1)
    for _ in range(3):
        cycles.collect()
    assert len(frozen) == (parent is not None)
