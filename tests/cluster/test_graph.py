"""Waves as Dask graphs: keys, layers, annotations, and clusters of every kind."""

import contextlib
import re
import threading
import time

import pytest
from distributed import Client
from distributed.client import ClosedClientError

from scorefold.cluster import RunReference, drive, executor, graph, tasks
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.graph import RETRIES, DaskExecutor, wave_graph
from scorefold.errors import InputError, ScorefoldWarning, StoreError
from scorefold.planning.node import PRIORITY

pytestmark = pytest.mark.timeout(90)

REFERENCE = RunReference("/data/run", "f" * 64, "a" * 64)
TOKEN = "t0ken"


@pytest.fixture
def wave(new_run):
    plan = new_run(rotation_block=2).plan
    return [*plan.search_nodes(0), plan.write_node(0), plan.pick_node(0, "0ption5")]


def test_keys_start_with_the_stage(wave):
    keys = list(wave_graph(REFERENCE, wave, TOKEN).to_dict())
    assert len(set(keys)) == len(wave)
    for key in keys:
        assert re.match(r"(score_leaf|merge_l\d|write_result|call_picks)-t0ken-", key)


def test_keys_carry_the_fingerprint_and_are_never_used_twice(new_run, monkeypatch):
    """Dask takes an equal key for equal work, and silently hands out the old answer."""
    tokens = []

    def recorded(run, wave, token):
        tokens.append(token)
        return wave_graph(run, wave, token)

    monkeypatch.setattr(graph, "wave_graph", recorded)
    run = new_run(rotation_block=24)
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0
    ) as client:
        for _ in range(2):
            assert [o.error for o in DaskExecutor(client).run(run.reference, run.plan.search_nodes(0))] == [
                None
            ]
    assert len(set(tokens)) == 2
    assert all(token.startswith(run.job.fingerprint[:16]) for token in tokens)


def test_a_wave_has_a_layer_a_stage_and_later_stages_go_first(wave):
    layers = wave_graph(REFERENCE, wave, TOKEN).layers
    assert set(layers) == {node.stage for node in wave}
    for stage, layer in layers.items():
        assert layer.annotations == {"retries": RETRIES, "priority": PRIORITY[stage]}


def test_tasks_depend_on_inputs_of_their_wave_alone(wave):
    tasks = wave_graph(REFERENCE, wave, TOKEN).to_dict()
    leaves = {key for key in tasks if key.startswith("score_leaf")}
    assert all(not tasks[key].dependencies for key in leaves)
    assert set().union(*(task.dependencies for task in tasks.values())) < set(tasks)
    alone = wave_graph(REFERENCE, wave[-1:], TOKEN).to_dict()
    assert not next(iter(alone.values())).dependencies


def test_tasks_are_small(wave):
    """Tasks hold text and numbers: the run's name and a node, no arrays."""
    from distributed.protocol.serialize import Serialize, serialize

    for task in wave_graph(REFERENCE, wave, TOKEN).to_dict().values():
        _, frames = serialize(Serialize(task).data, serializers=["pickle"])
        assert sum(len(frame) for frame in frames) < 2000


def test_threads_of_a_worker_take_turns_and_the_user_is_told(new_run, output_of, serial_output):
    with Client(
        processes=False, n_workers=1, threads_per_worker=4, dashboard_address=":0", memory_limit=0
    ) as client:
        with contextlib.ExitStack() as stack:
            with pytest.warns(ScorefoldWarning, match="up to 4 threads"):
                working, link = stack.enter_context(executor(client=client))
            assert working.workers == 1
            assert "status" in link
            run = new_run(rotation_block=2)
            drive(run, working, render=False)
        assert client.status == "running"
    assert output_of(run.store.location) == serial_output()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": "serial", "workers": 2}, "give one of them"),
        ({"scheduler": "tcp://127.0.0.1:9", "client": object()}, "give one of them"),
        ({"workers": 0}, "workers 0"),
        ({"client": "tcp://127.0.0.1:9"}, "not a connected distributed.Client"),
        ({"scheduler": "tcp://not a host"}, 'scheduler "tcp://not a host": no Dask scheduler answers'),
        ({"scheduler": "nonsense://x:1"}, "no Dask scheduler answers"),
    ],
)
def test_clusters_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(InputError, match=re.escape(message)), executor(**options):
        pass


def test_nobody_at_an_address_is_an_input_error():
    from scorefold.cluster.local import connected

    with pytest.raises(InputError, match="no Dask scheduler answers"), connected("127.0.0.1:9", timeout=0.5):
        pass


def test_without_options_this_process_works_alone():
    with executor() as (working, link):
        assert isinstance(working, SerialExecutor)
        assert link is None


def test_an_abandoned_wave_is_cancelled(new_run):
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0
    ) as client:
        run = new_run(rotation_block=2)
        outcomes = DaskExecutor(client).run(run.reference, run.plan.search_nodes(0))
        next(outcomes)
        outcomes.close()
        client.cluster.scheduler.validate_state()
        assert not [s for s in client.futures.values() if s.status == "pending"]


class FutureThatNeverEnds:
    def __init__(self, key):
        self.key = key

    def add_done_callback(self, callback):
        pass

    def done(self):
        return False

    def release(self):
        pass


class ClientThatGivesUp:
    """Takes a wave while it is about to close, as Dask's client does; nobody will ever end these futures."""

    status = "closing"

    def get(self, _graph, keys, *, sync):
        assert not sync
        return [FutureThatNeverEnds(key) for key in keys]


class ClientThatIsClosed:
    status = "closed"

    def get(self, _graph, _keys, *, sync):
        raise ClosedClientError(sync)


@pytest.mark.parametrize("client", [ClientThatGivesUp(), ClientThatIsClosed()])
def test_a_wave_given_to_a_client_that_gave_up_ends(wave, client, monkeypatch):
    monkeypatch.setattr(graph, "ALIVE_SECONDS", 0.01)
    with pytest.raises(StoreError, match=r"the Dask scheduler is gone.*scorefold resume /data/run"):
        list(DaskExecutor(client).run(REFERENCE, wave))


def test_a_run_on_which_nobody_works_ends(new_run, monkeypatch):
    monkeypatch.setattr(graph, "IDLE_SECONDS", 2.0)
    monkeypatch.setattr(graph, "WATCH_SECONDS", 0.2)
    run = new_run(rotation_block=24)
    with (
        Client(processes=False, n_workers=0, dashboard_address=None, memory_limit=0) as nobody,
        pytest.raises(StoreError, match=r"^no worker has been at work .*scorefold resume /"),
    ):
        drive(run, DaskExecutor(nobody), render=False)


def test_work_may_take_as_long_as_it_takes(new_run, monkeypatch):
    """A worker is at work on one piece for longer than nobody may be at work."""
    monkeypatch.setattr(graph, "IDLE_SECONDS", 0.5)
    monkeypatch.setattr(graph, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(graph, "ALIVE_SECONDS", 0.1)
    task_of = tasks.task_of

    def slowly(kind, stage):
        threading.Event().wait(1.5 if stage == "write_result" else 0.0)
        return task_of(kind, stage)

    monkeypatch.setattr(tasks, "task_of", slowly)
    run = new_run(rotation_block=24, batch_tiles=4)
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as client:
        drive(run, DaskExecutor(client), render=False)
    assert run.failures() == {}


def test_workers_keep_nothing_of_what_is_committed_and_not_needed(new_run):
    """Otherwise the scheduler would have everything done again that a lost worker had done."""
    run = new_run(rotation_block=2)
    held = []
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as client:
        tasks_known = client.cluster.scheduler.tasks

        def look(progress):
            if progress.last is None or progress.last.node.stage != "report":
                return
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                held[:] = [key for key, task in tasks_known.items() if task.state == "memory"]
                if not held:
                    return
                threading.Event().wait(0.01)

        drive(run, DaskExecutor(client), render=False, on_progress=look)
    assert run.failures() == {}
    assert held == []
