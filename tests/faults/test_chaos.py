"""Law: workers, driver and scheduler may be killed or stopped at any moment; the bytes are those of a serial run.

Every seed is one run with its own faults; `pytest -m chaos --runs 200` takes longer.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from scorefold.cluster import drive, open_run
from scorefold.cluster.executor import SerialExecutor
from scorefold.store import verify

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

WORKERS = 2
TICK = 0.02
"""Seconds between two looks at what is done."""

SLOW_TICKS = 8
"""Of which a slow worker works in one."""

STOPPED_TICKS = 200
"""After which a stopped worker goes on or is killed; the scheduler has given it up by then."""

ENDED = (0, 1)
"""Exit codes of a run that is done; two images of the inspection cannot be read."""

STARTS = 12
"""Drivers after which a run counts as one that does not end."""

CONFIGURATION = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "3s",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "10",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
    "OMP_NUM_THREADS": "1",
}


class Zygote:
    """Starts processes quickly; see `zygote.py`."""

    def __init__(self, folder):
        self.folder = folder
        script = Path(__file__).with_name("zygote.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **CONFIGURATION},
            cwd=folder,
        )

    def ask(self, **command):
        self.process.stdin.write(f"{json.dumps(command)}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, program, *arguments):
        log = str(self.folder / f"{program}.log")
        return self.ask(start=[program, *map(str, arguments)], log=log)


class Cluster:
    """A scheduler and workers, each a process; who died is started again."""

    def __init__(self, zygote):
        self.zygote = zygote
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.scheduler = 0
        self.workers = [0] * WORKERS
        self.slow = set()
        self.stopped = {}

    def revive(self):
        """Start what is not running."""
        if not self.scheduler or self.zygote.ask(poll=self.scheduler) is not None:
            host, port = self.address.removeprefix("tcp://").split(":")
            options = ("--host", host, "--port", port, "--no-dashboard")
            self.scheduler = self.zygote.start("scheduler", *options)
        for index, worker in enumerate(self.workers):
            if not worker or self.zygote.ask(poll=worker) is not None:
                options = ("--no-nanny", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard")
                self.workers[index] = self.zygote.start("worker", self.address, *options)

    def stop(self, worker, then):
        """Stop a worker for a while; what comes then is a signal."""
        os.kill(worker, signal.SIGSTOP)
        self.stopped[worker] = [STOPPED_TICKS, then]

    def tick(self, count):
        """Slow workers down, wake those that were stopped, and revive what died."""
        for worker in self.slow & set(self.workers) - self.stopped.keys():
            os.kill(worker, signal.SIGSTOP if count % SLOW_TICKS else signal.SIGCONT)
        for worker in self.stopped.keys() & set(self.workers):
            self.stopped[worker][0] -= 1
            if self.stopped[worker][0] < 0:
                os.kill(worker, self.stopped.pop(worker)[1])
        self.revive()

    def recover(self):
        """Let everyone work again at full speed."""
        self.slow.clear()
        self.stopped.clear()
        for worker in self.workers:
            os.kill(worker, signal.SIGCONT)

    def close(self):
        for process in (self.scheduler, *self.workers):
            if process:
                os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    zygote = Zygote(tmp_path_factory.mktemp("cluster"))
    started = Cluster(zygote)
    started.revive()
    yield started
    started.close()
    zygote.process.kill()
    zygote.process.wait()


class Attack:
    """What happens in one run, and when: faults by the share of the work that is done."""

    FAULTS = ("kill worker", "kill driver", "kill scheduler", "stop worker", "slow worker")

    def __init__(self, seed, total):
        self.random = random.Random(seed)
        whens = sorted(self.random.randint(1, total - 1) for _ in range(self.random.randint(1, 4)))
        self.due = [(when, self.random.choice(self.FAULTS)) for when in whens]
        self.done = []
        self.seen = set()

    def strike(self, committed, cluster, driver):
        self.seen |= committed  # partials are removed when they are merged
        while self.due and len(self.seen) >= self.due[0][0]:
            _, fault = self.due.pop(0)
            self.done.append(fault)
            worker = self.random.choice(cluster.workers)
            if fault == "slow worker":
                cluster.slow.add(worker)
            elif fault == "stop worker":
                cluster.stop(worker, self.random.choice([signal.SIGCONT, signal.SIGKILL]))
            else:
                victim = {"kill driver": driver, "kill scheduler": cluster.scheduler}.get(fault, worker)
                os.kill(victim, signal.SIGKILL)


def drive_under_attack(cluster, run, attack, *options):
    """Drive a run by the command line until it ends; a driver that is gone is followed by another."""
    zygote, pause = cluster.zygote, threading.Event()
    commits = Path(run.store.location) / "commits"
    command = ("scorefold", "resume", run.store.location, "--scheduler", cluster.address, "-q", *options)
    ticks = count()
    for _ in range(STARTS):
        driver = zygote.start(*command)
        while (code := zygote.ask(poll=driver)) is None:
            attack.strike({path.name for path in commits.glob("*.json")}, cluster, driver)
            cluster.tick(next(ticks))
            pause.wait(TICK)
        if code in ENDED:
            break
    cluster.recover()
    log = (zygote.folder / "scorefold.log").read_text()
    assert code in ENDED, log[-2000:]


@pytest.fixture
def start_match(run_at, tmp_path):
    return lambda **options: run_at(tmp_path / "run", rotation_block=2, batch_tiles=1, **options)


@pytest.fixture
def start_inspect(new_inspection, model, data_set, tmp_path):
    return lambda **_: new_inspection(
        tmp_path / "run",
        images=[data_set.root / "test" / "**" / "*.png", data_set.root / "odd" / "*.png"],
        model=model,
        masks=data_set.root / "masks",
        leaf_images=1,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, output_of):
    """Return what a serial run of the same job leaves, computed once a kind: ``undisturbed(kind, start, render)``."""
    known = {}

    def make(kind, start, *, render):
        if (kind, render) not in known:
            run = start()
            drive(run, SerialExecutor(), render=render)
            known[kind, render] = output_of(run.store.location)
            shutil.rmtree(run.store.location)
        return known[kind, render]

    return make


def test_a_run_ends_with_the_bytes_of_a_serial_one_whatever_dies(
    seed, cluster, start_match, start_inspect, undisturbed, output_of, record_property
):
    kind, start = [("match", start_match), ("inspect", start_inspect)][seed % 2]
    render = seed % 10 < 2
    expected = undisturbed(kind, start, render=render)
    run = start(keep_states=seed % 3 == 0)
    attack = Attack(seed, sum(run.totals(render=render).values()))
    drive_under_attack(cluster, run, attack, *(() if render else ("--no-render",)))
    record_property("faults", ", ".join(attack.done))
    assert attack.done, "nothing happened to this run"
    assert output_of(run.store.location) == expected
    assert not verify(open_run(run.store.location).store).damaged
