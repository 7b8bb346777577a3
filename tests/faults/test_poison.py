"""Inputs that kill the process that reads them: the run ends, they are named, and all others are done."""

import os
import platform
import signal
import sys
from collections import Counter

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from distributed import WorkerPlugin

from scorefold.cluster import create_run, drive, open_run, suspects
from scorefold.cluster.executor import Outcome, SerialExecutor
from scorefold.cluster.failures import ATTEMPTS, NOT_BEGUN
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.local import local_cluster
from scorefold.cluster.suspects import DEATHS, REASON, find_killers, note_begin, read_note, suspect
from scorefold.errors import InputError, StoreError
from scorefold.planning.node import Node
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.store import RunStore

pytestmark = pytest.mark.timeout(170)


class Poison(WorkerPlugin):
    """Kills its worker when it reads a file with "poison" in its name, as a decoder with a fault would."""

    def setup(self, worker):
        from scorefold.io import reading

        read = reading._cut

        def read_or_die(source, region):
            if "poison" in source.path:
                os.kill(os.getpid(), signal.SIGKILL)
            return read(source, region)

        reading._cut = read_or_die


@pytest.fixture(scope="module")
def poisoned_cluster():
    with local_cluster(1) as client:
        client.cluster.scheduler.allowed_failures = 0  # or every death would be waited for several times
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        client.register_plugin(Poison())
        yield client


@pytest.mark.chaos
def test_a_target_that_kills_its_worker_is_named_and_the_others_are_searched(
    poisoned_cluster, targets, tmp_path
):
    *images, template = targets
    names = ["a.npy", "poison.npy", "b.npy"]
    for name, image in zip(names, images[:3], strict=True):
        np.save(tmp_path / name, image)
    request = MatchRequest(
        targets=[str(tmp_path / name) for name in names],
        template=template,
        mask="disk",
        step=45,
        threshold=0.7,
        fft="scipy",
    )
    run = create_run(str(tmp_path / "run"), prepare_match(request))
    drive(run, DaskExecutor(poisoned_cluster), render=False)
    assert run.failures() == {"poison": REASON}
    picks = pd.read_parquet(tmp_path / "run/tables/picks.parquet")
    assert set(picks["target"]) == {"a", "b"}

    # Where nothing kills, the target is searched after all.
    drive(run.retry_failed(), SerialExecutor(), render=False)
    assert open_run(run.store.location).failures() == {}
    picks = pd.read_parquet(tmp_path / "run/tables/picks.parquet")
    assert set(picks["target"]) == {"a", "b", "poison"}


@pytest.mark.long
@pytest.mark.chaos
def test_an_image_that_kills_its_worker_is_named_and_the_others_are_inspected(
    poisoned_cluster, new_inspection, model, data_set, tmp_path
):
    (tmp_path / "parts").mkdir()
    for number, path in enumerate(sorted((data_set.root / "test" / "a").iterdir())):
        name = f"poison-{number}" if number in (2, 3) else f"part-{number}"
        (tmp_path / "parts" / f"{name}.png").write_bytes(path.read_bytes())
    run = new_inspection(tmp_path / "run", images=[tmp_path / "parts"], model=model)
    drive(run, DaskExecutor(poisoned_cluster), render=False)
    assert run.failures() == {"poison-2": REASON, "poison-3": REASON}
    images = pd.read_parquet(tmp_path / "run/tables/images.parquet").set_index("name")
    assert set(images.index[images["verdict"] == "ERROR"]) == {"poison-2", "poison-3"}
    assert (images.drop(["poison-2", "poison-3"])["failure"] == "").all()


class Deadly(SerialExecutor):
    """Pretends that workers die of the work of a stage, or before they begin it."""

    def __init__(self, store, stage, *, begin=True):
        self.store, self.stage, self.begin = store, stage, begin
        self.deaths = Counter()

    def run(self, run, wave):
        for node in wave:
            if node.stage != self.stage:
                yield from super().run(run, [node])
                continue
            if self.begin:
                note_begin(self.store, node)
            self.deaths[node.key] += 1
            yield Outcome(node, RuntimeError("its workers died"), killed=True)
            if self.stage != "render":
                return


@pytest.mark.parametrize("begin", [True, False], ids=["begun", "not begun"])
def test_work_that_kills_although_none_of_its_inputs_does_ends_the_run(new_run, begin):
    run = new_run(rotation_block=24)
    executor = Deadly(run.store, "write_result", begin=begin)
    with pytest.raises(StoreError, match=r"failed 3 times \(its workers died\).*scorefold resume"):
        drive(run, executor, render=False)
    assert list(executor.deaths.values()) == [1 + ATTEMPTS / (1 if begin else NOT_BEGUN)]


@pytest.mark.chaos
def test_a_target_that_cannot_be_drawn_is_told_of_and_the_report_is_made(new_run):
    run = new_run(rotation_block=24)
    drive(run, Deadly(run.store, "render"))
    assert run.failures() == {
        target.name: "searched, but not drawn: its workers died" for target in run.job.targets
    }
    assert run.store.blobs.get("report.html")

    drive(run.retry_failed(), SerialExecutor())
    assert open_run(run.store.location).failures() == {}


# How the input at fault is found.


class Death(BaseException):
    """Stands for the end of a process."""


@pytest.fixture
def store(tmp_path):
    return RunStore.create(str(tmp_path / "run"), {"fingerprint": "f"})


LEAF = Node("leaf", "leaf-1", suspected=True)


def tries(log, deadly):
    def attempt(name):
        log.append(name)
        if name in deadly:
            raise Death
        if name == "broken":
            raise InputError("cannot be read")

    return [(name, lambda name=name: attempt(name)) for name in ("a", "broken", "b", "c")]


def test_nothing_is_tried_or_written_that_nobody_suspects(store):
    log = []
    trusted = Node("leaf", "leaf-1")
    note_begin(store, trusted)
    assert find_killers(store, trusted, tries(log, {"b"})) == {}
    assert log == []
    assert store.blobs.names("suspects") == []


@pytest.mark.parametrize("deadly", [set(), {"a"}, {"b", "c"}, {"a", "broken", "b", "c"}], ids=len)
def test_exactly_the_inputs_that_kill_are_found_and_what_passed_is_not_tried_again(
    store, deadly, monkeypatch
):
    monkeypatch.setattr(
        suspects, "this_process", lambda: {"host": platform.node(), "process": 2**30, "started": 1.0}
    )
    log = []
    suspect(store, LEAF.key)
    known = []
    while True:
        note_begin(store, LEAF)
        try:
            killers = find_killers(store, LEAF, tries(log, deadly))
            break
        except Death:
            known.append(read_note(store, LEAF.key).known)
    assert set(killers) == deadly
    assert len(known) == DEATHS * len(deadly)
    assert known == sorted(set(known)), "every death tells something new"
    assert all(log.count(name) == (DEATHS if name in deadly else 1) for name in ("a", "broken", "b", "c"))
    assert read_note(store, LEAF.key).begun == len(known) + 1


def test_an_input_is_not_to_blame_while_the_process_that_tries_it_lives(store):
    """The store failed, or the worker was given up too early."""
    suspect(store, LEAF.key)
    log = []
    for _ in range(2 * DEATHS):
        with pytest.raises(Death):
            find_killers(store, LEAF, tries(log, {"b"}))
    assert read_note(store, LEAF.key).deaths == {}
    assert find_killers(store, LEAF, tries(log, set())) == {}


@pytest.mark.parametrize(
    "note",
    [
        b"{",
        b"[]",
        b"3",
        b'{"begun": "x"}',
        b'{"passed": 5}',
        b'{"deaths": []}',
        b'{"deaths": {"a": "b"}}',
        b"[" * 9999,
    ],
)
def test_a_damaged_note_is_begun_again(store, note):
    store.blobs.put("suspects/leaf-1.json", note)
    log = []
    assert find_killers(store, LEAF, tries(log, set())) == {}
    assert log == ["a", "broken", "b", "c"]
