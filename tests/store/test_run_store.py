"""A run's store: made once, opened by path, and giving back exactly what was committed."""

import json
import multiprocessing

import numpy as np
import pytest
import zarr

from scorefold.analyzer import Coverage
from scorefold.errors import DamagedPartialError, InputError, StoreError
from scorefold.store import RunStore
from scorefold.store.commit import digest

LARGE = np.random.default_rng(0).normal(size=(70, 80)).astype(np.float32)
SMALL = np.arange(5, dtype=np.int32)


@pytest.fixture
def run(tmp_path):
    return RunStore.create(str(tmp_path / "run"), {"fingerprint": "f1", "job": {"score": "FLC"}})


def test_a_run_is_found_again_with_its_attributes(run):
    again = RunStore(run.location)
    assert again.fingerprint == "f1"
    assert again.attributes["job"] == {"score": "FLC"}


def test_attributes_change_and_the_fingerprint_does_not(run):
    run.update_attributes(job={"score": "MCC"})
    assert RunStore(run.location).attributes["job"] == {"score": "MCC"}
    assert RunStore(run.location).fingerprint == "f1"
    with pytest.raises(StoreError, match="fingerprint of a run never changes"):
        run.update_attributes(fingerprint="f2")


@pytest.mark.parametrize("content", ["run", "file", "empty file"])
def test_nothing_is_overwritten(tmp_path, content):
    place = tmp_path / "out"
    if content == "run":
        RunStore.create(str(place), {"fingerprint": "f1"})
    else:
        place.mkdir()
        (place / "notes.txt").write_text("mine" if content == "file" else "")
    before = sorted(path.relative_to(place) for path in place.rglob("*"))
    with pytest.raises(InputError, match=f'output "{place}": something is there already. Give a new --out'):
        RunStore.create(str(place), {"fingerprint": "f2"})
    assert sorted(path.relative_to(place) for path in place.rglob("*")) == before


def test_an_empty_directory_can_be_used(tmp_path):
    RunStore.create(str(tmp_path), {"fingerprint": "f1"})


@pytest.mark.parametrize("below", ["", "/deeper/run"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r'output ".*file.*": cannot be written') as caught:
        RunStore.create(f"{tmp_path}/file{below}", {"fingerprint": "f1"})
    assert "\n" not in str(caught.value)


def test_what_is_no_run_is_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    zarr.create_group(tmp_path / "other group", attributes={"title": "mine"})
    zarr.create_array(tmp_path / "array", shape=(3,), dtype="f4")
    for name in ("nothing/at/all", "file", "file/below", "folder", "other group", "array"):
        with pytest.raises(StoreError, match=f'run "{tmp_path / name}"') as caught:
            RunStore(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "nothing").exists()
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("layout", [0, 1, 2, 3, 4, 5, 7, "6", None])
def test_another_layout_is_refused_rather_than_misread(run, layout):
    run.update_attributes(format=layout)
    with pytest.raises(
        StoreError, match=f"store format {layout}, this version reads 6. Use the version of scorefold"
    ):
        RunStore(run.location)


@pytest.mark.parametrize("damage", ["truncated", "empty", "other json", "flipped"])
def test_a_run_whose_metadata_is_damaged_is_refused(run, tmp_path, damage):
    path = tmp_path / "run" / "zarr.json"
    data = path.read_bytes()
    path.write_bytes(
        {
            "truncated": data[:-20],
            "empty": b"",
            "other json": b"[1, 2]",
            "flipped": data.replace(b"format", b"fnrmat"),
        }[damage]
    )
    with pytest.raises(StoreError):
        RunStore(run.location)


def test_urls_without_their_library_are_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    with pytest.raises(
        StoreError, match=r'store "s3://bucket/run": URLs need obstore. Install scorefold\[s3\]'
    ):
        RunStore("s3://bucket/run")


def states():
    return {
        "large": LARGE,
        "big endian": LARGE.astype(">f8"),
        "fortran": np.asfortranarray(LARGE),
        "strided": np.repeat(LARGE, 2, axis=0)[::2],
        "read only": np.broadcast_to(np.float32(3), (100, 90)),
        "integers": np.arange(30_000, dtype=np.int32).reshape(30, 10, 100),
        "bytes": np.arange(20_000, dtype=np.uint64).view(np.uint8),
        "logical": LARGE.repeat(4) > 0,
        "not a number": np.full(9000, np.nan),
        "small": SMALL,
        "scalar": np.array(2.5),
        "nothing": np.zeros((0, 4), np.float32),
    }


@pytest.mark.parametrize("name", states())
def test_what_was_committed_comes_back(run, name):
    array = states()[name]
    coverage = Coverage.of("batch-0", 3, 9)
    written = run.commit(
        "leaf-1", arrays={"a": array, "small": SMALL}, coverage=coverage, summary={"x": [1, None]}
    )
    arrays, record = RunStore(run.location).read_partial("leaf-1")
    assert record == written
    assert record.coverage == coverage
    assert record.summary == {"x": [1, None]}
    assert set(arrays) == {"a", "small"}
    little = array.astype(array.dtype.newbyteorder("<"))
    assert arrays["a"].dtype == little.dtype
    assert arrays["a"].shape == array.shape
    assert arrays["a"].tobytes() == little.tobytes()
    np.testing.assert_array_equal(arrays["small"], SMALL)


def test_there_is_no_partial_without_a_record(run):
    assert run.read_commit("leaf-1") is None
    assert run.committed() == set()
    with pytest.raises(DamagedPartialError, match="no commit record"):
        run.read_partial("leaf-1")


def test_the_record_is_written_after_the_arrays(run, monkeypatch):
    put = run.blobs.put

    def fail(name, data):
        if name.startswith("commits/"):
            raise OSError("disk full")
        put(name, data)

    monkeypatch.setattr(run.blobs, "put", fail)
    with pytest.raises(OSError, match="disk full"):
        run.commit("leaf-1", arrays={"a": LARGE})
    again = RunStore(run.location)
    assert again.committed() == set()
    assert again.keys_with_arrays() == {"leaf-1"}, "the arrays were there first"


def test_the_later_of_two_attempts_counts_and_neither_touches_the_other(run):
    other = RunStore(run.location)
    first = run.commit("leaf-1", arrays={"a": LARGE})
    second = other.commit("leaf-1", arrays={"a": LARGE + 1})
    assert first.attempt != second.attempt
    arrays, record = run.read_partial("leaf-1")
    assert record.attempt == second.attempt
    np.testing.assert_array_equal(arrays["a"], LARGE + 1)
    run.forget_attempt("leaf-1", first.attempt)
    np.testing.assert_array_equal(run.read_partial("leaf-1")[0]["a"], LARGE + 1)


def test_a_checkpoint_is_not_a_commit(run):
    run.commit("leaf-1", arrays={"a": LARGE}, checkpoint=True)
    assert run.committed() == set()
    assert run.checkpoints() == {"leaf-1"}
    assert run.read_commit("leaf-1") is None
    with pytest.raises(DamagedPartialError):
        run.read_partial("leaf-1")
    np.testing.assert_array_equal(run.read_partial("leaf-1", checkpoint=True)[0]["a"], LARGE)

    run.commit("leaf-1", arrays={"a": LARGE * 2})
    run.drop_checkpoint("leaf-1")
    run.drop_checkpoint("leaf-1")
    assert run.checkpoints() == set()
    np.testing.assert_array_equal(run.read_partial("leaf-1")[0]["a"], LARGE * 2)
    assert len(run.attempts("leaf-1")) == 1, "the checkpoint's arrays are gone"


def test_a_damaged_checkpoint_can_be_dropped(run):
    run.commit("leaf-1", arrays={"a": LARGE}, checkpoint=True)
    run.blobs.put("checkpoints/leaf-1.json", b"{")
    run.drop_checkpoint("leaf-1")
    assert run.checkpoints() == set()


def test_what_is_discarded_is_due_again_and_kept_aside(run):
    run.commit("leaf-1", arrays={"a": LARGE})
    run.commit("leaf-1", arrays={"a": LARGE}, checkpoint=True)
    run.blobs.put("commits/leaf-1.json", b"\xff damaged")
    run.commit("leaf-2", arrays={"a": LARGE})
    run.discard("leaf-1", "its digest differs")
    assert run.committed() == {"leaf-2"}
    assert run.checkpoints() == {"leaf-1"}
    run.discard("leaf-1", "its digest differs", checkpoint=True)
    run.discard("leaf-1", "again")
    assert run.checkpoints() == set()
    notes = [json.loads(run.blobs.get(name)) for name in run.blobs.names("quarantine")]
    assert [(note["key"], note["reason"]) for note in notes] == [("leaf-1", "its digest differs")] * 2
    assert any("damaged" in note["record"] for note in notes)


def test_what_is_forgotten_leaves_nothing(run):
    for key in ("leaf-1", "leaf-10"):
        run.commit(key, arrays={"a": LARGE})
        run.commit(key, arrays={"a": LARGE}, checkpoint=True)
    run.forget(["leaf-1", "never there"])
    assert run.committed() == run.checkpoints() == {"leaf-10"}
    assert run.keys_with_arrays() == {"leaf-10"}
    run.read_partial("leaf-10")


def test_a_record_of_another_job_is_not_trusted(run):
    run.commit("leaf-1", arrays={"a": LARGE})
    run.blobs.put("commits/leaf-2.json", run.blobs.get("commits/leaf-1.json"))
    with pytest.raises(DamagedPartialError, match="belongs to 'leaf-1'"):
        run.read_partial("leaf-2")
    other = RunStore.create(f"{run.location}-other", {"fingerprint": "f2"})
    other.blobs.put("commits/leaf-1.json", run.blobs.get("commits/leaf-1.json"))
    with pytest.raises(DamagedPartialError, match="belongs to 'leaf-1' of another"):
        other.read_partial("leaf-1")


@pytest.mark.parametrize("name", ["large", "small", "integers"])
def test_input_arrays_come_back(run, name):
    run.write_array("template", states()[name])
    found = RunStore(run.location).read_array("template", digest(states()[name]))
    np.testing.assert_array_equal(found, states()[name])
    assert found.dtype == states()[name].dtype


def test_a_missing_or_damaged_input_array_is_named(run, tmp_path):
    with pytest.raises(StoreError, match="array 'template' cannot be read"):
        run.read_array("template", digest(LARGE))
    run.write_array("template", LARGE)
    with pytest.raises(StoreError, match="array 'template' is not the one the job names"):
        run.read_array("template", digest(LARGE + 1))
    (chunk,) = (tmp_path / "run" / "template" / "c").rglob("0/0")
    data = bytearray(chunk.read_bytes())
    data[100] ^= 4
    chunk.write_bytes(bytes(data))
    with pytest.raises(StoreError, match="array 'template' cannot be read"):
        run.read_array("template", digest(LARGE))


def test_blobs_are_replaced_listed_and_deleted(run):
    blobs = run.blobs
    assert blobs.get("job/plan.json") is None
    blobs.put("job/plan.json", b"1")
    blobs.put("job/plan.json", b"")
    blobs.put("job/deep/er.json", b"22")
    assert blobs.get("job/plan.json") == b""
    assert blobs.names("job") == ["job/deep/er.json", "job/plan.json"]
    assert blobs.names("jo") == []
    assert blobs.names("") == ["job/deep/er.json", "job/plan.json", "zarr.json"]
    assert blobs.children("job") == ["deep", "plan.json"]
    assert blobs.children("nothing") == []
    assert blobs.size("job") == 2
    blobs.delete("job/plan.json")
    blobs.delete("job/plan.json")
    blobs.delete_below("nothing")
    assert blobs.names("job") == ["job/deep/er.json"]


def _read_in_child(location, queue):
    queue.put(RunStore(location).read_partial("leaf-1")[0]["a"].tobytes())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_can_use_the_store(run):
    """Its parent's event loop has no thread in it."""
    run.commit("leaf-1", arrays={"a": SMALL})
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_read_in_child, args=(run.location, queue))
    child.start()
    child.join(timeout=30)
    assert child.exitcode == 0
    assert queue.get() == SMALL.tobytes()


@pytest.mark.parametrize("name", ["../x", "figures/../../x", "/x", "a/./x", ".."])
def test_a_name_that_leads_out_of_the_store_is_refused(tmp_path, name):
    blobs = RunStore.create(str(tmp_path / "run"), {"fingerprint": "f"}).blobs
    (tmp_path / "x").write_bytes(b"before")
    for use in (
        lambda: blobs.put(name, b"after"),
        lambda: blobs.put_file(name, tmp_path / "x"),
        lambda: blobs.get(name),
        lambda: blobs.delete(name),
        lambda: blobs.delete_below(name),
    ):
        with pytest.raises(StoreError, match="leads out of the run's store"):
            use()
    assert {path.name for path in tmp_path.iterdir()} == {"run", "x"}
    assert (tmp_path / "x").read_bytes() == b"before"
