"""Leaves: checkpoints are continued, never trusted blindly; failures are carried along."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from scorefold.cluster import MatchRun, create_run, drive
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.match import search_tasks
from scorefold.errors import InputError
from scorefold.planning.memory import BASE_BYTES
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.scoring.engine import ExactBatch
from scorefold.store import ResultMaps

pytestmark = pytest.mark.timeout(60)


class WorkerGoneError(Exception):
    """The worker goes away."""


@pytest.fixture
def folds(monkeypatch):
    """Count folds by rotation; with `folds.limit` set, that many happen before the worker goes away."""
    fold = ExactBatch.fold
    counted = Counter()
    counted.limit = None

    def counting(self, rotation_id, states):
        if counted.limit is not None and counted.total() >= counted.limit:
            raise WorkerGoneError
        counted[rotation_id] += 1
        return fold(self, rotation_id, states)

    monkeypatch.setattr(ExactBatch, "fold", counting)
    return counted


@pytest.fixture
def frequent_checkpoints(monkeypatch):
    monkeypatch.setattr(search_tasks, "CHECKPOINT_SECONDS", -1.0)


def interrupted(run, folds, after):
    folds.limit = after
    leaf = run.plan.search_nodes(0)[0]
    with pytest.raises(WorkerGoneError):
        search_tasks.score_leaf(run, leaf)
    folds.limit = None
    return leaf


def partial(run, leaf):
    arrays, record = run.store.read_partial(leaf.key)
    return {name: array.tobytes() for name, array in arrays.items()}, record.coverage


def test_a_leaf_goes_on_from_its_checkpoint(new_run, folds, frequent_checkpoints):
    whole = new_run("whole", rotation_block=24)
    search_tasks.score_leaf(whole, whole.plan.search_nodes(0)[0])
    folds.clear()

    run = new_run(rotation_block=24)
    leaf = interrupted(run, folds, after=9)
    assert run.store.checkpoints() == {leaf.key}
    assert run.store.committed() == set()
    search_tasks.score_leaf(run, leaf)
    assert folds == dict.fromkeys(range(24), 1)  # no rotation twice
    assert run.store.checkpoints() == set()
    assert partial(run, leaf) == partial(whole, leaf)


def test_only_one_checkpoint_is_kept(new_run, folds, frequent_checkpoints):
    run = new_run(rotation_block=24)
    leaf = interrupted(run, folds, after=9)
    attempts = set(run.store.blobs.children(f"states/{leaf.key}")) - {"zarr.json"}
    assert attempts == {run.store.read_commit(leaf.key, checkpoint=True).attempt}


@pytest.mark.parametrize("damage", ["chunk", "record"])
def test_a_damaged_checkpoint_is_ignored(new_run, folds, frequent_checkpoints, tmp_path, damage):
    whole = new_run("whole", rotation_block=24)
    search_tasks.score_leaf(whole, whole.plan.search_nodes(0)[0])

    run = new_run(rotation_block=24)
    folds.clear()
    leaf = interrupted(run, folds, after=9)
    if damage == "chunk":
        path = next(p for p in (tmp_path / "run/states").rglob("c/**/*") if p.is_file())
    else:
        path = tmp_path / f"run/checkpoints/{leaf.key}.json"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    folds.clear()
    search_tasks.score_leaf(run, leaf)
    assert folds == dict.fromkeys(range(24), 1)
    assert run.store.checkpoints() == set()
    assert partial(run, leaf) == partial(whole, leaf)


def test_a_checkpoint_remembers_what_it_could_not_read(new_run, folds, frequent_checkpoints, monkeypatch):
    """A target that is back later lacks the rotations before the checkpoint: it must stay a failure."""
    run = new_run(rotation_block=24)
    pixels = MatchRun.pixels

    def unreadable(self, target, tile):
        if target.name == "array-0001":
            raise InputError("the share is not mounted")
        return pixels(self, target, tile)

    with monkeypatch.context() as patch:
        patch.setattr(MatchRun, "pixels", unreadable)
        leaf = interrupted(run, folds, after=9)
    search_tasks.score_leaf(run, leaf)
    record = run.store.read_commit(leaf.key)
    assert record.summary["failures"] == {"1": "the share is not mounted"}


def test_a_leaf_without_a_readable_target_is_done(new_run, folds, monkeypatch):
    def unreadable(self, target, tile):
        raise OSError("gone")

    monkeypatch.setattr(MatchRun, "pixels", unreadable)
    run = new_run(rotation_block=24)
    leaf = run.plan.search_nodes(0)[0]
    search_tasks.score_leaf(run, leaf)
    record = run.store.read_commit(leaf.key)
    assert record.summary["failures"] == {"0": "gone", "1": "gone"}
    assert record.coverage == run.whole_coverage(0)
    assert not folds


def test_tiles_and_memory_limits_change_no_pick(targets, tmp_path, new_run, prepared):
    """Transforms of other shapes round differently; single precision leaves 1e-6 of a coefficient, so 1e-5 is safe."""
    whole = new_run("whole")
    drive(whole, SerialExecutor(), render=False)
    expected = pd.read_parquet(tmp_path / "whole/tables/picks.parquet")
    assert len(expected) >= 8
    for cell in ((47, 58), (24, 32), (60, 16)):
        run = new_run(f"cell-{cell}", cell=cell, batch_tiles=16, rotation_block=24)
        drive(run, SerialExecutor(), render=False)
        found = pd.read_parquet(tmp_path / f"cell-{cell}/tables/picks.parquet")
        pd.testing.assert_frame_equal(
            found.drop(columns=["score", "y", "x"]), expected.drop(columns=["score", "y", "x"])
        )
        np.testing.assert_allclose(found["score"], expected["score"], atol=1e-5)
        # A vertex moves by the error of a score over the curvature, which is above 0.1 here.
        np.testing.assert_allclose(found[["y", "x"]], expected[["y", "x"]], atol=1e-3)
        for target in run.job.targets:
            maps = [ResultMaps(r.store, target.name).level("scores")[...] for r in (run, whole)]
            np.testing.assert_allclose(*maps, atol=1e-5)


def test_a_small_memory_limit_cuts_tiles_and_finds_the_same(tmp_path):
    rng = np.random.default_rng(2)
    image = rng.normal(size=(300, 400))
    template = image[100:131, 200:229].copy()
    scores, tiles = [], []
    for number, extra in enumerate((4, 16, 256)):
        request = MatchRequest(
            targets=[image],
            template=template,
            mask="disk",
            step=90,
            threshold=0.5,
            fft="scipy",
            memory_limit=BASE_BYTES + extra * 2**20,
        )
        run = create_run(str(tmp_path / str(number)), prepare_match(request))
        drive(run, SerialExecutor(), render=False)
        scores.append(ResultMaps(run.store, "array-0000").level("scores")[...])
        tiles.append(sum(group.tile_count for group in run.plan.groups))
    assert tiles[0] > tiles[1] >= tiles[2] == 1
    np.testing.assert_allclose(scores[0], scores[2], atol=1e-5)
    np.testing.assert_allclose(scores[1], scores[2], atol=1e-5)
