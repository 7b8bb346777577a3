"""Workers that join a run on its way are used, however they come."""

import threading
import time

import pytest
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin

from scorefold.cluster import drive
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.local import prepare
from scorefold.cluster.tasks import task_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(170)]


class WhoWorked(SchedulerPlugin):
    """Notes the workers that finish our tasks."""

    name = "who-worked"

    def __init__(self):
        self.workers = set()

    def transition(self, key, start, finish, *args, worker=None, **kwargs):
        if start == "processing" and finish == "memory" and str(key).startswith("score_leaf"):
            self.workers.add(worker)


@pytest.fixture
def cluster():
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=":0",
        memory_limit=0,
    ) as made:
        yield made


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def worked_on(run, cluster, join):
    """Drive a run on a cluster, which is joined by others as soon as something is committed; return who worked."""
    noted = WhoWorked()
    cluster.scheduler.add_plugin(noted)
    with Client(cluster, set_as_default=False) as client:
        executor = DaskExecutor(prepare(client))
        joined = threading.Event()

        def on_progress(progress):
            if progress.last is not None and not joined.is_set():
                join()
                wait_until(lambda: len(client.nthreads()) == 2)
                # While a newcomer imports, the others would take such short work away from it.
                client.run(task_of, "match", "score_leaf")
                joined.set()

        drive(run, executor, render=False, on_progress=on_progress)
    return noted.workers


def test_a_second_worker_that_joins_on_the_way_is_used(
    new_run, cluster, output_of, serial_output, monkeypatch
):
    run = new_run(rotation_block=1, batch_tiles=1)
    monkeypatch.setattr("scorefold.cluster.driver.WAVE", 12)  # so that work is left when it comes
    assert len(worked_on(run, cluster, lambda: cluster.scale(2))) == 2
    assert output_of(run.store.location) == serial_output()


def test_a_cluster_that_adapts_grows_with_its_work(new_run, cluster, output_of, serial_output, monkeypatch):
    run = new_run(rotation_block=1, batch_tiles=1)
    monkeypatch.setattr("scorefold.cluster.driver.WAVE", 12)
    # Work as short as this is worth no second worker to Dask, unless that comes at once.
    adapt = {"interval": "50ms", "wait_count": 1000, "target_duration": "10ms"}
    assert len(worked_on(run, cluster, lambda: cluster.adapt(minimum=1, maximum=2, **adapt))) == 2
    assert output_of(run.store.location) == serial_output()
