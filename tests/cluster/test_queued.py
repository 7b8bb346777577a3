"""Clusters behind a batch system, of which only the commands are there: what is submitted, and what becomes of it."""

import asyncio
import os
import re
import signal
import socket
import ssl
import stat
import sys
import threading
import time
from pathlib import Path

import dask
import psutil
import pytest

from scorefold.cluster import jobs, queued, queued_cluster
from scorefold.cluster.graph import DaskExecutor
from scorefold.errors import InputError, ScorefoldWarning

pytestmark = pytest.mark.timeout(100)

LIMIT = 2**30
HERE = {"interface": "lo"}

SUBMIT = """#!/bin/bash
if [ -e {folder}/refuses ]; then
    echo "sbatch: error: invalid partition specified: nowhere" >&2
    exit 1
fi
cp "${{!#}}" {folder}/$$.job
if [ ! -e {folder}/holds ]; then
    setsid bash {folder}/$$.job > {folder}/$$.log 2>&1 &
    echo $! > {folder}/$$.pid
fi
echo "Submitted batch job $$"
"""
CANCEL = """#!/bin/bash
echo $1 >> {folder}/cancelled
[ ! -e {folder}/$1.pid ] || kill -TERM -- -$(cat {folder}/$1.pid)
"""
COMMANDS = {
    "htcondor": ("condor_submit", "condor_rm"),
    "lsf": ("bsub", "bkill"),
    "moab": ("msub", "canceljob"),
    "oar": ("oarsub", "oardel"),
    "pbs": ("qsub", "qdel"),
    "sge": ("qsub", "qdel"),
    "slurm": ("sbatch", "scancel"),
}


class BatchSystem:
    """Commands that run jobs at once on this machine, hold them for ever, or refuse them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __setattr__(self, name, value):
        if name in ("holds", "refuses"):
            (self.folder / name).touch() if value else (self.folder / name).unlink()
        super().__setattr__(name, value)

    @property
    def scripts(self):
        return [path.read_text() for path in sorted(self.folder.glob("*.job"), key=os.path.getmtime)]

    @property
    def cancelled(self):
        file = self.folder / "cancelled"
        return file.read_text().split() if file.exists() else []

    def kill(self):
        """End all jobs, as their walltime does."""
        for file in self.folder.glob("*.pid"):
            os.killpg(int(file.read_text()), signal.SIGKILL)
            file.unlink()


@pytest.fixture
def batch_system(tmp_path, monkeypatch):
    folder = tmp_path / "batch"
    folder.mkdir()
    for submit, cancel in COMMANDS.values():
        for name, text in ((submit, SUBMIT), (cancel, CANCEL)):
            (folder / name).write_text(text.format(folder=folder))
            (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return BatchSystem(folder)


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def enter(kind="slurm", config=HERE, workers=1, limit=LIMIT):
    with queued_cluster(kind, workers, config, limit):
        pytest.fail("it started")


def script(batch_system, config=HERE, workers=1):
    """Return what a cluster submits first."""
    batch_system.holds = True
    with queued_cluster("slurm", workers, config, LIMIT):
        return batch_system.scripts[0]


def options(script):
    """Return the last value of every option of the worker's command."""
    return dict(re.findall(r" --([\w-]+)[ =](\S+)", script.splitlines()[-1]))


def test_systems_are_called_as_dask_jobqueue_configures_them():
    import dask_jobqueue

    for kind, name in queued.SYSTEMS.items():
        assert getattr(dask_jobqueue, name).job_cls.default_config_name() == kind


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"queu": "short"}, r"unknown key queu\. Use account, cores, death_timeout, .*, queue, .*, walltime"),
        ({"n_workers": 3}, "unknown key n_workers"),
        ({"security": None}, "unknown key security"),
        ({"extra": []}, "unknown key extra"),
        ({3: 4}, "unknown key 3"),
        ({"resource_spec": "x"}, "unknown key resource_spec"),  # of other systems
        ({"cores": 4, "processes": 2}, "2 processes on 4 cores a job; a worker uses one core"),
        ({"cores": "many"}, "'many' processes on 'many' cores"),
        ({"cores": 0}, "0 processes on 0 cores"),
        ({"memory": "plenty"}, "memory is 'plenty'. Give text such as 16GiB"),
        ({"cores": 2, "memory": "2047MiB"}, "memory 2047MiB a job; its 2 workers may use 1024 MiB each"),
        ({"job_script_prologue": "module load x"}, "job_script_prologue is 'module load x'. Give a list"),
        ({"scheduler-options": ["x"]}, r"scheduler_options is \['x'\]. Give a mapping"),
        ({"interface": "no-such"}, "'no-such' is not a valid network interface"),
        ({"shared_temp_directory": "/dev/null/x"}, 'folder "/dev/null/x" cannot be written'),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_in_one_line(batch_system, config, says):
    with pytest.raises(InputError, match=says) as caught:
        enter(config=config)
    assert str(caught.value).startswith('cluster "slurm": ')
    assert "\n" not in str(caught.value)
    assert batch_system.scripts == []


def test_what_is_not_there_is_named(batch_system, monkeypatch):
    with pytest.raises(InputError, match=r'^cluster "cobalt": unknown\. Use htcondor, lsf, .*, slurm\.$'):
        enter("cobalt")
    with pytest.raises(InputError, match=r"^workers 0: "):
        enter(workers=0)
    (batch_system.folder / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(batch_system.folder))
    with pytest.raises(InputError, match=r'^cluster "slurm": no command sbatch\.'):
        enter()
    for name in ("dask_jobqueue", "cryptography"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(
                InputError, match=rf"{name} is not installed.* pip install 'scorefold\[slurm\]'$"
            ):
                enter()


def test_a_job_that_is_refused_ends_the_cluster_with_the_words_of_the_batch_system(batch_system, tmp_path):
    batch_system.refuses = True
    with pytest.raises(InputError) as caught:
        enter(workers=3)
    assert str(caught.value) == (
        'cluster "slurm": sbatch: error: invalid partition specified: nowhere. Correct its configuration.'
    )
    assert list((tmp_path / "cache").rglob("cluster-*")) == []


def test_a_job_has_a_worker_on_its_only_core_and_memory_for_it(batch_system):
    submitted = script(batch_system)
    assert "#SBATCH --cpus-per-task=1\n" in submitted
    memory = re.search(r"--mem=(\d+)G", submitted)[1]
    assert LIMIT < int(memory) * 2**30 <= 2 * LIMIT
    assert options(submitted)["nthreads"] == "1"
    assert options(submitted)["memory-limit"] == "0"
    assert re.search(r"^export OMP_NUM_THREADS=1$", submitted, re.MULTILINE)
    assert str(queued.DASK_CONFIG) in submitted


def test_jobs_are_as_large_as_they_are_described_and_as_many_as_the_workers_need(batch_system):
    batch_system.holds = True
    with queued_cluster("slurm", 5, {**HERE, "cores": 4}, LIMIT) as client:
        assert len(batch_system.scripts) == 2
        assert len(client.cluster.plan) == 8
        assert DaskExecutor(client).workers == 8
        for submitted in batch_system.scripts:
            assert "#SBATCH --cpus-per-task=4\n" in submitted
            assert options(submitted)["nworkers"] == "4"
            assert options(submitted)["nthreads"] == "1"
            assert int(re.search(r"--mem=(\d+)G", submitted)[1]) * 2**30 > 4 * LIMIT
    assert len(batch_system.cancelled) == 2


def test_a_description_may_be_copied_from_the_configuration_of_dask(batch_system):
    submitted = script(
        batch_system,
        {
            **HERE,
            "queue": "short",
            "walltime": "02:00:00",
            "memory": "3 GB",
            "job-extra-directives": ["--constraint=skylake"],
            "job-script-prologue": ["module load python", "export OMP_NUM_THREADS=9"],
            "worker-extra-args": ["--lifetime", "110m"],
            "account": None,
        },
    )
    assert {"#SBATCH -p short", "#SBATCH -t 02:00:00", "#SBATCH --mem=3G"} <= set(submitted.splitlines())
    assert "#SBATCH --constraint=skylake\n" in submitted
    assert options(submitted)["lifetime"] == "110m"
    # The bytes of results depend on threads.
    assert submitted.index("module load python") < submitted.index("OMP_NUM_THREADS=9")
    assert submitted.index("OMP_NUM_THREADS=9") < submitted.index("OMP_NUM_THREADS=1")


def test_what_a_site_has_configured_holds_unless_it_is_described_otherwise(batch_system):
    site = {
        "queue": "site",
        "account": "a1",
        "cores": 2,
        "interface": "lo",
        "worker-extra-args": ["--lifetime=9m"],
    }
    with dask.config.set({"jobqueue.slurm": {**dask.config.get("jobqueue.slurm"), **site}}):
        submitted = script(batch_system, {"queue": "ours"})
    assert {"#SBATCH -p ours", "#SBATCH -A a1", "#SBATCH --cpus-per-task=2"} <= set(submitted.splitlines())
    assert options(submitted)["lifetime"] == "9m"


def test_nobody_but_the_user_can_read_the_credentials_and_they_are_gone_at_the_end(batch_system, tmp_path):
    batch_system.holds = True
    for config in (HERE, {**HERE, "shared_temp_directory": "$XDG_CACHE_HOME/mine"}):
        with queued_cluster("slurm", 1, config, LIMIT):
            given = options(batch_system.scripts[-1])
            key = Path(given["tls-key"])
            assert Path(given["tls-ca-file"]).parent == Path(given["tls-cert"]).parent == key.parent
            assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
            assert key.parent.parent.name == ("scorefold" if config is HERE else "mine")
            assert "PRIVATE KEY" in key.read_text()
        assert not key.parent.exists()


def test_the_dashboard_is_for_this_machine_unless_told_otherwise(batch_system):
    batch_system.holds = True
    with queued_cluster("slurm", 1, HERE, LIMIT) as client:
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        address = next(iter(client.cluster.scheduler.http_server._sockets.values())).getsockname()[0]
        assert address == "127.0.0.1"


@pytest.mark.parametrize("kind", queued.SYSTEMS)
def test_every_batch_system_is_given_jobs_of_its_own_form(batch_system, kind, monkeypatch):
    monkeypatch.setenv("LSF_ENVDIR", str(batch_system.folder))
    (batch_system.folder / "lsf.conf").write_text("LSF_UNIT_FOR_LIMITS=MB\n")
    system = queued.batch_system(kind)
    config = {"interface": "lo", **({"disk": "1GB"} if kind == "htcondor" else {})}
    given = queued.settings(kind, system, config)
    with queued._credentials(kind, None) as security:
        cluster = system(security=security, **queued._options(kind, given, LIMIT))
    with cluster:
        submitted = cluster.job_script()
    assert "export OMP_NUM_THREADS=1" in submitted
    assert "--nthreads 1" in submitted
    assert "--tls-key" in submitted


@pytest.mark.system
def test_jobs_that_end_are_replaced_and_jobs_that_wait_are_left_alone(batch_system, monkeypatch):
    monkeypatch.setattr(jobs, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(jobs, "LOST_SECONDS", 1.0)
    look, may_look = jobs.Jobs._replace_lost, threading.Event()
    looks_later = lambda self: look(self) if may_look.is_set() else asyncio.sleep(0)  # noqa: E731
    monkeypatch.setattr(jobs.Jobs, "_replace_lost", looks_later)
    with queued_cluster("slurm", 2, {**HERE, "cores": 2}, LIMIT) as client:
        wait_until(lambda: len(client.nthreads()) == 2)
        assert len(batch_system.scripts) == 1
        batch_system.holds = True
        batch_system.kill()
        wait_until(lambda: not client.nthreads())
        may_look.set()  # its workers came and went between two looks
        wait_until(lambda: len(batch_system.scripts) == 2)
        first, second = (re.search(r"--name (\S+)", each)[1] for each in batch_system.scripts)
        assert first != second
        threading.Event().wait(20 * jobs.WATCH_SECONDS)
        assert len(batch_system.scripts) == 2, "a job that waits was submitted again"


@pytest.mark.long
def test_a_job_that_is_refused_later_is_submitted_again(batch_system, monkeypatch):
    monkeypatch.setattr(jobs, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(jobs, "LOST_SECONDS", 1.0)
    told = threading.Event()
    monkeypatch.setattr(jobs.warnings, "warn", lambda *said, **_: (told.set(), warned.append(said)))
    warned: list = []
    with queued_cluster("slurm", 1, HERE, LIMIT) as client:
        wait_until(client.nthreads)
        batch_system.refuses = True
        batch_system.kill()
        wait_until(told.is_set)
        batch_system.refuses = False
        wait_until(client.nthreads)
    text, category = warned[0]
    assert category is ScorefoldWarning
    assert text == (
        'cluster "slurm": a job that ended is not replaced (sbatch: error: invalid partition specified: nowhere). '
        "Tried again in 1 s; the run goes on with the jobs that there are."
    )


def listening(process):
    """Return the addresses at which a process can be reached from other machines."""
    return {
        each.laddr
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN and not each.laddr.ip.startswith("127.")
    }


def test_whoever_has_no_certificate_stays_outside(batch_system):
    """Every port that other machines reach wants one."""
    here = psutil.Process()
    before = listening(here)  # servers of other tests
    with queued_cluster("slurm", 1, {}, LIMIT) as client:
        wait_until(client.nthreads)
        assert client.scheduler.address.startswith("tls://")
        addresses = listening(here) - before
        for path in batch_system.folder.glob("*.pid"):
            job = psutil.Process(int(path.read_text()))
            addresses |= listening(job).union(*map(listening, job.children(recursive=True)))
        assert len(addresses) >= 3, "scheduler, nanny and worker"
        for address in addresses:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            host = "127.0.0.1" if address.ip in ("0.0.0.0", "::") else address.ip
            with (
                socket.create_connection((host, address.port), 60) as plain,
                context.wrap_socket(plain) as wrapped,
                pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
            ):
                wrapped.recv(1)


@pytest.mark.long
def test_a_run_waits_for_workers_whose_jobs_queue(new_run, batch_system, monkeypatch):
    from scorefold.cluster import drive, graph

    usual = graph.IDLE_SECONDS
    monkeypatch.setattr(graph, "IDLE_SECONDS", 2.0)
    monkeypatch.setattr(graph, "WATCH_SECONDS", 0.5)
    run = new_run(rotation_block=24, batch_tiles=4)
    batch_system.holds = True
    with queued_cluster("slurm", 1, HERE, LIMIT) as client:

        def start() -> None:
            threading.Event().wait(2 * graph.IDLE_SECONDS)
            graph.IDLE_SECONDS = usual  # a worker takes its time to start
            os.spawnlp(os.P_NOWAIT, "bash", "bash", str(next(batch_system.folder.glob("*.job"))))

        starting = threading.Thread(target=start)
        starting.start()
        drive(run, DaskExecutor(client), render=False)
        starting.join()
    assert run.failures() == {}
