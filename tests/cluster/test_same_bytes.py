"""Law: same job, same bytes: on one process and on four, in any order, cut anyhow, after any crash."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scorefold.cluster import drive, run_progress
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.local import local_cluster

pytestmark = pytest.mark.timeout(170)


@pytest.fixture(scope="module")
def client():
    with local_cluster(1) as connected:
        yield connected


@pytest.mark.parametrize(
    "workers",
    [
        1,
        pytest.param(2, marks=pytest.mark.long),
        pytest.param(4, marks=[pytest.mark.chaos, pytest.mark.long]),
    ],
)
def test_a_cluster_of_any_size_writes_what_one_process_writes(
    client, new_run, serial_output, output_of, workers, scale
):
    scale(client, workers)
    run = new_run()
    drive(run, DaskExecutor(client), render=workers == 4)
    assert output_of(run.store.location) == serial_output(render=workers == 4)


def test_a_worker_that_is_killed_does_not_matter(client, new_run, serial_output, output_of, scale):
    scale(client, 2)
    run = new_run()
    killed = []

    def kill_one(progress):
        if progress.done["score_leaf"] == 3 and not killed:
            killed.extend(client.run(os.getpid).values())
            os.kill(killed[0], signal.SIGKILL)

    drive(run, DaskExecutor(client), render=False, on_progress=kill_one)
    assert killed
    assert output_of(run.store.location) == serial_output()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))])
def test_the_order_of_tasks_does_not_matter(new_run, serial_output, output_of, seed, shuffled):
    run = new_run()
    drive(run, shuffled(seed), render=False)
    assert output_of(run.store.location) == serial_output()


@pytest.mark.parametrize(("rotation_block", "batch_tiles"), [(24, 1), (1, 3), (5, 2)])
def test_how_rotations_and_tiles_are_batched_does_not_matter(
    new_run, serial_output, output_of, rotation_block, batch_tiles
):
    run = new_run(rotation_block=rotation_block, batch_tiles=batch_tiles)
    drive(run, SerialExecutor(), render=False)
    assert output_of(run.store.location) == serial_output()


def test_batches_that_span_tiles_and_targets_do_not_matter(new_run, serial_output, output_of):
    run = new_run(cell=(24, 32), batch_tiles=5, rotation_block=12)
    drive(run, SerialExecutor(), render=False)
    assert output_of(run.store.location) == serial_output(cell=(24, 32), batch_tiles=3, rotation_block=8)


def test_a_run_that_stops_after_any_task_goes_on_to_the_same_bytes(
    new_run, serial_output, output_of, stop_after_every_task
):
    run = new_run(rotation_block=6)
    stops = stop_after_every_task(run)
    assert stops > 10
    assert output_of(run.store.location) == serial_output()


@pytest.mark.chaos
def test_a_killed_driver_is_resumed_on_another_number_of_workers(
    new_run, client, serial_output, output_of, scale
):
    run = new_run(rotation_block=2)
    location = run.store.location
    command = [sys.executable, "-c", "from scorefold.cli import main; main()", "resume", location]
    command += ["--workers", "1", "--no-render", "-q"]
    with subprocess.Popen(command, start_new_session=True) as driver:
        commits = Path(location) / "commits"
        deadline = time.monotonic() + 120
        while len(list(commits.glob("score_leaf-*.json"))) < 2:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        driver.kill()
    before = run_progress(run, render=False)
    assert before.done["report"] == 0
    assert 0 < before.done["score_leaf"] < before.total["score_leaf"]
    scale(client, 2)
    drive(run, DaskExecutor(client), render=False)
    assert output_of(location) == serial_output()


def test_the_comparison_sees_every_kind_of_output(serial_output):
    output = serial_output(render=True)
    for name in ("tables/picks.csv", "tables/picks.parquet", "tables/images.csv", "report.html"):
        assert name in output
    assert any(name.startswith("results/array-0002/rotations/0/c/") for name in output)
    assert "figures/array-0001.png" in output
    assert Path("figures/sheets/grid-000.png").as_posix() in output
