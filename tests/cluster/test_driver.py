"""The driver: waves of bounded size, honest progress, nothing done twice, nothing quadratic."""

import dataclasses
import itertools
from collections import Counter
from types import SimpleNamespace

import pytest

from scorefold.cluster import MatchRun, change_picks, create_run, drive, driver, run_progress
from scorefold.cluster.executor import Outcome, SerialExecutor
from scorefold.errors import InputError, StoreError
from scorefold.planning.job import PickOptions
from scorefold.planning.node import STAGES
from scorefold.planning.plan import Plan, TileGroup
from scorefold.planning.tiling import Tiling
from scorefold.store import collect_garbage

pytestmark = pytest.mark.timeout(60)


class Blobs(dict):
    """Bytes by name, in memory."""

    put = dict.__setitem__

    def delete(self, name):
        self.pop(name, None)

    def delete_below(self, prefix):
        for name in [name for name in self if name.startswith(f"{prefix}/")]:
            del self[name]


class RecordingStore:
    """Knows committed keys; no bytes of partials."""

    location = "nowhere"

    def __init__(self):
        self.blobs = Blobs()
        self.keys = set()
        self.listings = 0

    def checkpoints(self) -> set[str]:
        return set()

    def committed(self):
        self.listings += 1
        return set(self.keys)


class PretendingExecutor:
    """Commits whatever it is given, without work."""

    workers = 1

    def __init__(self, store):
        self.store = store
        self.waves = []

    def tell(self, message, *, last=False):
        pass

    def run(self, run, wave):
        self.waves.append(wave)
        for node in wave:
            assert set(node.inputs) <= self.store.keys, "an input is missing"
            assert node.key not in self.store.keys, "done twice"
            self.store.keys.add(node.key)
            yield Outcome(node)


class PretendedRun(MatchRun):
    """A run that is a plan and nothing else."""

    reference = None
    title = "pretended"

    def __init__(self, plan, job):
        self.plan, self.job, self.store = plan, job, RecordingStore()


def pretended_run(targets, rotations, rotation_block):
    """A run of many targets of one tile each, of which nothing exists."""
    tiling = Tiling((64, 64), (64, 64), ((6, 7), (6, 7)), (80, 80))
    group = TileGroup(tiling, tuple(range(targets)), 1, rotation_block)
    plan = Plan((14, 14), rotations, (group,), 2**31)
    job = SimpleNamespace(targets=[SimpleNamespace(name=str(i)) for i in range(targets)], picks=PickOptions())
    return PretendedRun(plan, job)


def test_waves_are_bounded_and_complete(monkeypatch):
    monkeypatch.setattr(driver, "WAVE", 7)
    run = pretended_run(targets=5, rotations=40, rotation_block=2)
    executor = PretendingExecutor(run.store)
    drive(run, executor)
    total = sum(run.totals(render=True).values())
    assert [len(wave) for wave in executor.waves] == [7] * (total // 7) + [total % 7]
    assert len(run.store.keys) == total


def test_progress_counts_up_to_its_totals(monkeypatch):
    monkeypatch.setattr(driver, "WAVE", 11)
    run = pretended_run(targets=4, rotations=40, rotation_block=3)
    seen = []
    drive(run, PretendingExecutor(run.store), on_progress=seen.append)
    for before, after in itertools.pairwise(seen):
        assert after.total == before.total
        assert list(after.total) == list(STAGES["match"])
        grown = sum(after.done.values()) - sum(before.done.values())
        assert grown == (after.last is not None)  # a new wave starts with what is done
        assert all(before.done[s] <= after.done[s] <= after.total[s] for s in STAGES["match"])
    assert sum(seen[0].done.values()) == 0
    assert seen[-1].done == seen[-1].total


@pytest.mark.system
def test_a_large_plan_is_driven_in_time_proportional_to_its_size(monkeypatch):
    """Counts enumerations of a batch: every survey looks at every batch once, and there is one survey a wave."""
    run = pretended_run(targets=2000, rotations=400, rotation_block=10)
    enumerations = Counter()
    search_nodes = Plan.search_nodes

    def counted(self, batch):
        enumerations[batch] += 1
        return search_nodes(self, batch)

    monkeypatch.setattr(Plan, "search_nodes", counted)
    executor = PretendingExecutor(run.store)
    drive(run, executor)
    assert len(run.store.keys) == sum(run.totals(render=True).values()) > 90_000
    surveys = len(executor.waves) + 1
    assert run.store.listings == surveys == 7
    # Once for the nodes, once for the root's key.
    assert max(enumerations.values()) <= 2 * surveys


@pytest.mark.parametrize("done", [0, 5, 17, 40])
def test_progress_of_an_unfinished_run_follows_from_its_commits(done):
    run = pretended_run(targets=3, rotations=40, rotation_block=4)
    nodes = list(run.missing(set(), render=True))
    run.store.keys = {node.key for node in nodes[:done]}
    progress = run_progress(run, render=True)
    assert sum(progress.done.values()) == done
    assert progress.done["score_leaf"] == sum(node.stage == "score_leaf" for node in nodes[:done])


def test_work_behind_a_finished_merge_is_not_missing():
    run = pretended_run(targets=1, rotations=40, rotation_block=2)
    nodes = run.plan.search_nodes(0)
    merge = next(node for node in nodes if node.stage == "merge")
    missing = {node.key for node in run.missing({merge.key}, render=False)}
    assert not missing & {merge.key, *merge.inputs}
    assert run.plan.root_key(0) in missing
    written = run.plan.write_node(0).key
    assert not {n.key for n in run.missing({written}, render=False)} & {n.key for n in nodes}


def test_only_what_later_work_needs_is_kept():
    run = pretended_run(targets=2, rotations=40, rotation_block=2)
    leaves = [node for node in run.plan.search_nodes(0) if node.stage == "score_leaf"]
    merge = next(node for node in run.plan.search_nodes(0) if node.stage == "merge")
    others = {node.key for node in run.plan.search_nodes(1)}
    run.store.keys = {leaf.key for leaf in leaves} | {merge.key} | others
    assert run.needed() == (
        {leaf.key for leaf in leaves} - set(merge.inputs) | {merge.key, run.plan.root_key(1)}
    )
    run.store.keys.add(run.plan.write_node(1).key)
    assert run.needed() & others == set()


def test_a_collected_run_goes_on_where_it_stopped(new_run, output_of, serial_output):
    class StoppedError(Exception):
        pass

    def stop_at_second_merge(progress):
        if progress.done["merge"] == 2:
            raise StoppedError

    run = new_run(rotation_block=2)
    with pytest.raises(StoppedError):
        drive(run, SerialExecutor(), render=False, on_progress=stop_at_second_merge)
    before = run_progress(run, render=False)
    assert collect_garbage(run.store, run.needed()).records > 0
    assert run_progress(run, render=False) == before
    drive(run, SerialExecutor(), render=False)
    assert output_of(run.store.location) == serial_output()


def test_one_place_holds_one_run(new_run, prepared):
    run = new_run()
    with pytest.raises(InputError, match="something is there already"):
        new_run()
    other = dataclasses.replace(prepared, job=dataclasses.replace(prepared.job, labels={}, template="0" * 64))
    assert other.job.fingerprint != run.job.fingerprint
    with pytest.raises(InputError, match="something is there already"):
        create_run(run.store.location, other)


def test_a_task_of_another_run_at_the_same_place_is_refused(new_run):
    from scorefold.cluster.tasks import run_node

    run = new_run()
    leaf = run.plan.search_nodes(0)[0]
    for change in ({"fingerprint": "0" * 64}, {"revision": "0" * 64}):
        stale = dataclasses.replace(run.reference, **change)
        with pytest.raises(StoreError, match="not the one that was submitted"):
            run_node(stale, leaf)
    assert run_node(run.reference, leaf) == leaf.key


def test_a_worker_that_knows_the_run_notices_changed_picks(new_run):
    run = new_run(rotation_block=8)
    drive(run, SerialExecutor(), render=False)
    changed = change_picks(run, dataclasses.replace(run.job.picks, threshold=0.95, top=1))
    assert changed.reference != run.reference
    ended = Counter()
    drive(
        changed,
        SerialExecutor(),
        render=False,
        on_progress=lambda p: ended.update([p.last.node.stage] if p.last else []),
    )
    assert ended == {"find_candidates": 4, "refine": changed.plan.batch_count, "call_picks": 4, "report": 1}
    arrays, record = changed.store.read_partial(changed.plan.pick_node(0, changed.job.picks.digest).key)
    assert record.summary["threshold"] == 0.95
    assert len(arrays["scores"]) <= 1
