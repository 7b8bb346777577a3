"""Schedulers and workers that are killed: the run goes on, or ends and says how to go on; it never hangs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest
from distributed import Client

from scorefold.cluster import drive, graph, local, open_match, run_progress
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.graph import DaskExecutor
from scorefold.errors import StoreError

pytestmark = pytest.mark.timeout(170)


@pytest.fixture
def processes():
    started = []
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(processes, tool, *arguments):
    command = [sys.executable, "-m", f"distributed.cli.dask_{tool}", "--no-dashboard", *arguments]
    processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))


def start_scheduler(processes, port):
    start(processes, "scheduler", "--host", "127.0.0.1", "--port", str(port))
    return processes[-1]


def start_worker(processes, port, folder):
    start(processes, "worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--local-directory", str(folder))


def kill_when_leaves_are_done(process, then=lambda: None):
    killed = []

    def on_progress(progress):
        if progress.done["score_leaf"] >= 3 and not killed:
            killed.append(True)
            process.kill()
            process.wait()
            then()

    return on_progress


@pytest.mark.chaos
def test_a_run_ends_when_its_scheduler_is_gone_and_goes_on_without(
    new_run, output_of, serial_output, processes, port, tmp_path
):
    run = new_run(rotation_block=2)
    scheduler = start_scheduler(processes, port)
    start_worker(processes, port, tmp_path)
    with Client(f"tcp://127.0.0.1:{port}", timeout=30, set_as_default=False) as client:
        client._timeout = 1  # seconds it tries to connect again
        with pytest.raises(StoreError, match="scorefold resume /"):
            drive(run, DaskExecutor(client), render=False, on_progress=kill_when_leaves_are_done(scheduler))
    assert 3 <= run_progress(run, render=False).done["score_leaf"] < run.plan.leaf_count
    drive(open_match(run.store.location), SerialExecutor(), render=False)
    assert output_of(run.store.location) == serial_output()


@pytest.mark.chaos
def test_a_run_ends_when_its_scheduler_hangs(new_run, processes, port, tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "WATCH_SECONDS", 1.0)
    monkeypatch.setattr(graph, "CANCEL_SECONDS", 1.0)
    run = new_run(rotation_block=2)
    scheduler = start_scheduler(processes, port)
    start_worker(processes, port, tmp_path)
    stopped = []

    def stop(progress):
        if progress.done["score_leaf"] >= 3 and not stopped:
            stopped.append(True)
            scheduler.send_signal(signal.SIGSTOP)
            monkeypatch.setattr(graph, "IDLE_SECONDS", 3.0)  # a worker may take longer than that to start

    with Client(f"tcp://127.0.0.1:{port}", timeout=30, set_as_default=False) as client:
        with pytest.raises(StoreError, match=r"no worker has been at work .*scorefold resume /"):
            drive(run, DaskExecutor(client), render=False, on_progress=stop)
        scheduler.kill()
    assert stopped


@pytest.mark.long
def test_a_scheduler_that_is_started_again_finishes_the_run(
    new_run, output_of, serial_output, processes, port, tmp_path
):
    run = new_run(rotation_block=2)
    scheduler = start_scheduler(processes, port)
    start_worker(processes, port, tmp_path)

    def supervise():
        start_scheduler(processes, port)
        start_worker(processes, port, tmp_path)

    with local.connected(f"tcp://127.0.0.1:{port}", timeout=30) as client:
        drive(
            run,
            DaskExecutor(client),
            render=False,
            on_progress=kill_when_leaves_are_done(scheduler, then=supervise),
        )
    assert output_of(run.store.location) == serial_output()


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_task_that_kills_its_worker_every_time_ends_the_run(new_run):
    """The workers are killed whenever they have something to do; those that the nannies start again, too."""
    run = new_run(rotation_block=24)
    with local.local_cluster(1) as client:
        client.cluster.scheduler.allowed_failures = 1
        client.register_plugin(_killer())
        with pytest.raises(StoreError, match=r"failed 3 times .*scorefold resume"):
            drive(run, DaskExecutor(client), render=False)
    drive(open_match(run.store.location), SerialExecutor(), render=False)


def _killer():
    """Return a worker plugin that kills its worker as soon as a leaf begins; it travels by value."""
    import cloudpickle
    from distributed import WorkerPlugin

    class Killer(WorkerPlugin):
        def transition(self, key, start, finish, **kwargs):
            if finish == "executing" and key.startswith("score_leaf"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(os.getpid(), signal.SIGKILL)

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return Killer()
