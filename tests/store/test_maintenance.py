"""Collecting garbage: what is needed stays whole, leftovers go, and damage is left for `verify` to name."""

import numpy as np
import pytest

from scorefold.store import RunStore, collect_garbage, verify

LARGE = np.random.default_rng(0).normal(size=(70, 80))


@pytest.fixture
def run(tmp_path):
    run = RunStore.create(str(tmp_path / "run"), {"fingerprint": "f1"})
    for key in ("leaf-1", "leaf-2", "merge-1"):
        run.commit(key, arrays={"a": LARGE, "small": np.arange(3)})
    return run


def test_partials_that_nobody_needs_go_and_others_stay_whole(run):
    removed = collect_garbage(run, {"merge-1", "never there"})
    assert removed.records == 2
    assert removed.bytes > 2 * LARGE.nbytes
    assert run.committed() == run.keys_with_arrays() == {"merge-1"}
    np.testing.assert_array_equal(run.read_partial("merge-1")[0]["a"], LARGE)
    assert verify(run).damaged == {}


def test_nothing_is_removed_twice(run):
    collect_garbage(run, {"merge-1"})
    again = collect_garbage(run, {"merge-1"})
    assert (again.records, again.bytes) == (0, 0)


def test_what_interrupted_attempts_left_behind_goes(run, monkeypatch, tmp_path):
    put = run.blobs.put

    def interrupt(name, data):
        if name.startswith("commits/"):
            raise KeyboardInterrupt
        put(name, data)

    def interrupted(key):
        with monkeypatch.context() as patch:
            patch.setattr(run.blobs, "put", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run.commit(key, arrays={"a": LARGE})

    interrupted("merge-1")  # a second attempt at what is committed
    interrupted("leaf-3")  # the first at what is not
    temporary = tmp_path / "run" / "commits" / "leaf-4.0123.partial"
    temporary.write_bytes(b"{")
    assert len(run.attempts("merge-1")) == 2
    collect_garbage(run, {"leaf-1", "leaf-2", "merge-1"})
    assert run.attempts("merge-1") == {run.read_commit("merge-1").attempt}
    assert run.keys_with_arrays() == {"leaf-1", "leaf-2", "merge-1"}
    assert not temporary.exists()
    assert verify(run).damaged == {}


def test_checkpoints_follow_their_key(run):
    run.commit("leaf-1", arrays={"a": LARGE + 1}, checkpoint=True)
    run.commit("leaf-5", arrays={"a": LARGE + 1}, checkpoint=True)
    run.commit("leaf-6", arrays={"a": LARGE + 1}, checkpoint=True)
    collect_garbage(run, {"leaf-1", "leaf-5"})
    assert run.checkpoints() == {"leaf-1", "leaf-5"}
    for key in ("leaf-1", "leaf-5"):
        np.testing.assert_array_equal(run.read_partial(key, checkpoint=True)[0]["a"], LARGE + 1)
    np.testing.assert_array_equal(run.read_partial("leaf-1")[0]["a"], LARGE)


def test_damaged_records_are_left_to_verify(run):
    run.blobs.put("commits/leaf-1.json", b"{")
    collect_garbage(run, {"leaf-1", "leaf-2"})
    assert set(verify(run).damaged) == {"leaf-1"}
    assert len(run.attempts("leaf-1")) == 1
    collect_garbage(run, {"leaf-2"})
    assert verify(run).damaged == {}
