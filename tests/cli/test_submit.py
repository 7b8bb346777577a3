"""Jobs are submitted and left: their drivers are elsewhere, and are watched and stopped through the run's store."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from scorefold.cli import cancel
from scorefold.cluster import open_run
from scorefold.store import RunStore, driver_of, last_stop

pytestmark = pytest.mark.timeout(170)

SCOREFOLD = str(Path(sys.executable).with_name("scorefold"))

LONG = ("--step", "0.5", "--fft", "scipy", "--mask", "ellipse", "--mask-radius", "5,4")
"""Long enough to be met on the way."""


def command(*words, code=0):
    ended = subprocess.run(
        [SCOREFOLD, *map(str, words)], capture_output=True, text=True, timeout=150, check=False
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def state_of(run):
    return json.loads(command("status", run, "--json"))


def wait_for(condition):
    pause = threading.Event()
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.1)


def results(run, output_of):
    """Return what a run shows, less the report, which names its place."""
    return {name: data for name, data in output_of(str(run)).items() if name != "report.html"}


@pytest.fixture
def job(folder, monkeypatch):
    """Write a job file: ``job(name, *options)``; the folder is the working directory."""
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)

    def write(name, *options):
        command(
            "match",
            "good.png",
            "shifted.png",
            "-t",
            "part.png",
            "-o",
            name,
            "--write-job",
            f"{name}.yaml",
            *options,
        )
        return f"{name}.yaml"

    return write


@pytest.fixture
def expected(folder, output_of):
    """What one process makes of the long search."""
    command(
        "match", "good.png", "shifted.png", "-t", "part.png", "-o", "serial", "--scheduler", "serial", *LONG
    )
    return results(folder / "serial", output_of)


@pytest.mark.system
def test_a_job_goes_on_when_who_submitted_it_has_left(folder, job, expected, start_scheduler, output_of):
    """The submitting process ends; another one watches; the driver is a process of the cluster."""
    address = start_scheduler(workers=2)
    told = command("submit", job("found", *LONG), "--scheduler", address)
    assert f"scorefold status {folder}/found --watch" in told
    lines = command("status", "found", "--watch", "--json").splitlines()
    states = [json.loads(line) for line in lines]
    assert states[-1]["finished"]
    assert states[-1]["driver"] is None
    drivers = {state["driver"]["process"] for state in states if state["driver"]}
    assert os.getpid() not in drivers
    assert results(folder / "found", output_of) == expected
    text = command("status", "found")
    assert text.endswith("finished\n")


@pytest.mark.chaos
def test_a_driver_whose_worker_is_killed_begins_again_elsewhere(
    folder, job, expected, start_scheduler, output_of
):
    path = job("found", *LONG)
    command("submit", path, "--scheduler", start_scheduler(workers=3))
    store = RunStore("found")
    os.kill(driver_of(store).process, signal.SIGKILL)
    wait_for(lambda: state_of("found")["finished"])
    assert results(folder / "found", output_of) == expected


@pytest.mark.system
def test_a_job_that_cannot_be_planned_is_refused_like_a_command(
    folder, job, start_scheduler, scorefold, check_refused
):
    (folder / "part.png").write_bytes(b"no image")
    path = job("found")
    for place in (("--scheduler", "serial"), ("--scheduler", start_scheduler(workers=1))):
        check_refused(scorefold("submit", path, *place), ["template", "part.png"])
        assert not (folder / "found").exists()


@pytest.mark.chaos
def test_a_run_in_the_background_is_watched_and_cancelled(folder, job):
    command("submit", job("found", *LONG, "--step", "0.01"), "--workers", "1")
    driver = driver_of(RunStore("found"))
    assert psutil.Process(driver.process).terminal() is None
    watch = subprocess.Popen([SCOREFOLD, "status", "found", "-w"], stderr=subprocess.PIPE, text=True)
    told = command("cancel", "found")
    assert told == "cancelled; what is done is kept. Go on with: scorefold resume found\n"
    wait_for(
        lambda: not psutil.pid_exists(driver.process) or psutil.Process(driver.process).status() == "zombie"
    )
    _, told = watch.communicate(timeout=60)
    assert watch.returncode == 1
    assert told.endswith(f"Go on with: scorefold resume {folder}/found\n")
    assert "stopped: cancelled; what is done is kept" in command("status", "found")
    assert command("cancel", "found") == "nobody is at work on it\n"
    assert "cancelled" in (folder / "found.log").read_text()


@pytest.mark.long
@pytest.mark.system
def test_options_of_submit_go_before_those_of_the_job(folder, job, scorefold, check_refused):
    path = job("found", "--scheduler", "tcp://127.0.0.1:9")
    check_refused(scorefold("submit", path), ['scheduler "tcp://127.0.0.1:9"'])
    command("submit", path, "--scheduler", "serial", "--wait", "--quiet")
    check_refused(scorefold("submit", path, "--scheduler", "serial"), ["something is there already"])
    check_refused(
        scorefold("submit", path, "--here", "--scheduler", "serial"), ["something is there already"]
    )
    assert state_of("found")["finished"]
    assert last_stop(open_run("found").store) is None


def test_a_driver_that_does_not_leave_is_told_of(folder, scorefold, check_refused, monkeypatch, run_at):
    run = run_at(folder / "found")
    holder = {"host": "elsewhere", "process": 7, "started": 0.0, "token": "t", "renewed": time.time()}
    run.store.blobs.put("driver.json", json.dumps(holder).encode())
    monkeypatch.setattr(cancel, "MOST_SECONDS", 0.1)
    check_refused(scorefold("cancel", "found"), ["process 7 on elsewhere was asked to stop, and has not yet"])


@pytest.mark.system
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"{", "it names no address"),
        (b"[]", "it names no address"),
        (b'{"address": 3}', "it names no address"),
        (b'{"address": "tcp://127.0.0.1:9"}', "no Dask scheduler answers"),
    ],
)
def test_scheduler_files_that_lead_nowhere_are_refused(folder, scorefold, check_refused, content, said):
    if content is not None:
        Path("scheduler.json").write_bytes(content)
    words = ("match", "good.png", "-t", "part.png", "-o", "found", "--scheduler-file", "scheduler.json")
    check_refused(scorefold(*words), [said])
    assert not (folder / "found").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--cluster", "slurm", "--scheduler", "tcp://127.0.0.1:9"),
            "cluster and scheduler: give one of them",
        ),
        (("--workers", "2", "--scheduler-file", "x"), "workers and scheduler file: give one of them"),
        (("--cluster-config", "c.yaml"), "Give --cluster, such as slurm"),
        (("--cluster", "slurm", "--cluster-config", "nowhere.yaml"), "No such file"),
        (("--cluster", "slurm", "--cluster-config", "{a: "), "it is not YAML"),
        (("--cluster", "slurm", "--cluster-config", "part.png"), "it is not YAML"),
        (("--cluster", "slurm", "--cluster-config", "{1: 2}"), "give names and values"),
    ],
)
def test_places_that_contradict_each_other_are_refused(folder, scorefold, check_refused, options, said):
    check_refused(scorefold("match", "good.png", "-t", "part.png", "-o", "found", *options), [said])
    assert not (folder / "found").exists()
