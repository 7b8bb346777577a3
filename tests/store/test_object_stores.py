"""What a task does to a run in an object store asks for no listing."""

import numpy as np
import pytest

from scorefold.store import RunStore

LARGE = np.random.default_rng(0).normal(size=(70, 80))


@pytest.fixture
def run(tmp_path):
    """Return a run that obstore keeps."""
    (tmp_path / "run").mkdir()
    return RunStore.create(f"file://{tmp_path}/run", {"fingerprint": "f1"})


@pytest.fixture
def unlisted(run, monkeypatch):
    """Refuse every listing."""
    for name in ("list", "list_prefix", "list_dir", "delete_dir", "is_empty"):
        monkeypatch.setattr(type(run.zarr_store), name, None)


def test_a_partial_is_written_read_and_let_go_without_a_listing(run, unlisted, tmp_path):
    state = {"map": LARGE, "line": LARGE.ravel(), "small": LARGE[0, :2]}
    for key in ("leaf-1", "leaf-2"):
        run.commit(key, arrays=state)
        run.commit(key, arrays=state, checkpoint=True)
    for checkpoint in (False, True):
        arrays, _ = RunStore(run.location).read_partial("leaf-1", checkpoint=checkpoint)
        assert {name: array.tobytes() for name, array in arrays.items()} == {
            name: array.tobytes() for name, array in state.items()
        }
    run.drop_checkpoint("leaf-2")
    run.let_go(["leaf-1", "never-there"])
    left = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not [path for path in left if "leaf-1" in str(path)]
    assert len([path for path in left if "states/leaf-2" in str(path)]) == 4
    run.read_partial("leaf-2")


def test_what_cannot_be_told_is_left_for_the_collection_of_garbage(run, unlisted):
    run.commit("leaf-1", arrays={"map": LARGE})
    run.blobs.put("commits/leaf-1.json", b"damaged")
    run.let_go(["leaf-1"])
    assert run.read_commit("leaf-1") is None
