"""What a place must do for a run to be stored there, as a test class: for a new kind of disk, service or URL."""

import threading

import numpy as np
import pytest

from scorefold.analyzer import Coverage
from scorefold.errors import DamagedPartialError, InputError, StoreError
from scorefold.store import RunStore, collect_garbage, verify

WRITERS = 4


class StoreTests:
    """Base of test classes that prove that runs can be stored at a kind of place.

    A subclass, whose name pytest must recognise, provides the fixture `location`.

    Examples
    --------
    >>> class TestDirectories(StoreTests):
    ...     @pytest.fixture
    ...     def location(self, tmp_path):
    ...         return str(tmp_path / "run")
    """

    @pytest.fixture
    def location(self) -> str:
        """Return a directory or URL that holds nothing and can be written, another one for every test."""
        raise NotImplementedError("location: the fixture that a subclass of StoreTests provides")

    @pytest.fixture
    def run(self, location: str) -> RunStore:
        """Return a new run there."""
        return RunStore.create(location, {"fingerprint": "f1"})

    def test_bytes_come_back_and_are_replaced_as_a_whole(self, run: RunStore) -> None:
        """Bytes by name are what was written last, or None."""
        assert run.blobs.get("a/b") is None
        run.blobs.put("a/b", b"first, and longer")
        run.blobs.put("a/b", b"second")
        assert run.blobs.get("a/b") == b"second"
        run.blobs.put("a/empty", b"")
        assert run.blobs.get("a/empty") == b""

    def test_names_are_listed_as_soon_as_they_are_written(self, run: RunStore) -> None:
        """A listing has every name that was written before it, and a prefix is a folder."""
        for name in ("commits/b.json", "commits/a.json", "commits-of-others/c.json", "states/a/1/c/0"):
            run.blobs.put(name, b"-")
        assert run.blobs.names("commits") == ["commits/a.json", "commits/b.json"]
        assert {"commits", "commits-of-others", "states"} <= set(run.blobs.children(""))
        assert run.blobs.children("states/a") == ["1"]

    def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(self, run: RunStore) -> None:
        """Deleting a name or a folder leaves its neighbours alone."""
        for name in ("a", "folder/b", "folder/deep/c", "folder-of-others/d"):
            run.blobs.put(name, b"-")
        for _ in range(2):
            run.blobs.delete("a")
            run.blobs.delete_below("folder")
        assert run.blobs.get("a") is None
        assert run.blobs.names("folder") == []
        assert run.blobs.get("folder-of-others/d") == b"-"

    def test_a_place_that_is_taken_is_refused(self, run: RunStore) -> None:
        """A run is never written into something else."""
        with pytest.raises(InputError, match="something is there already"):
            RunStore.create(run.location, {"fingerprint": "f2"})
        assert RunStore(run.location).fingerprint == "f1"

    def test_an_empty_place_is_no_run(self, location: str) -> None:
        """Where nothing is, no run is opened."""
        with pytest.raises(StoreError, match="no scorefold run"):
            RunStore(location)

    def test_attributes_are_read_back(self, run: RunStore) -> None:
        """Who opens the run next reads the attributes that were written."""
        run.update_attributes(kind="match", versions={"python": "3"})
        assert RunStore(run.location).attributes["versions"] == {"python": "3"}

    def test_a_partial_is_read_back_byte_for_byte(self, run: RunStore) -> None:
        """Arrays of any shape come back as they were committed, also empty ones and those of zeros."""
        rng = np.random.default_rng(1)
        arrays = {
            "scores": rng.normal(size=(70, 80)).astype(np.float32),
            "rotations": np.zeros((70, 80), np.int32),  # all fill: stored all the same
            "one": np.array(3.0),
            "none": np.empty((0, 4)),
        }
        run.commit("leaf-1", arrays=arrays, coverage=Coverage.of("b", 0, 3), summary={"n": 1})
        found, record = RunStore(run.location).read_partial("leaf-1")
        assert {n: a.tobytes() for n, a in found.items()} == {n: a.tobytes() for n, a in arrays.items()}
        assert (record.coverage, record.summary) == (Coverage.of("b", 0, 3), {"n": 1})
        assert run.committed() == {"leaf-1"}

    def test_the_last_of_two_commits_counts(self, run: RunStore) -> None:
        """A second attempt replaces the first, before and after garbage is collected."""
        for value in (1.0, 2.0):
            run.commit("leaf-1", arrays={"scores": np.full((90, 90), value)})
        assert RunStore(run.location).read_partial("leaf-1")[0]["scores"][0, 0] == 2.0
        collect_garbage(run, {"leaf-1"})
        assert RunStore(run.location).read_partial("leaf-1")[0]["scores"][0, 0] == 2.0

    def test_writers_of_different_keys_do_not_disturb_each_other(self, run: RunStore) -> None:
        """Tasks write at the same time."""

        def write(writer: int) -> None:
            own = RunStore(run.location)
            for number in range(5):
                own.commit(f"leaf-{writer}-{number}", arrays={"scores": np.full((70, 70), float(writer))})

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = verify(RunStore(run.location))
        assert (found.checked, found.damaged) == (5 * WRITERS, {})

    @pytest.mark.parametrize("part", ["states", "commits"])
    @pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete"])
    def test_damage_is_found_and_can_be_taken_out_of_service(
        self, run: RunStore, part: str, damage: str
    ) -> None:
        """Nothing that was damaged is returned, and its work can be made due again."""
        run.commit("leaf-1", arrays={"scores": np.arange(9000.0)})
        name = max(run.blobs.names(part), key=lambda name: len(run.blobs.get(name) or b""))
        data = run.blobs.get(name) or b""
        changed = {
            "flip": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
            "truncate": data[:-9],
            "empty": b"",
        }
        if damage == "delete":
            run.blobs.delete(name)
        else:
            run.blobs.put(name, changed[damage])
        again = RunStore(run.location)
        with pytest.raises(DamagedPartialError):
            again.read_partial("leaf-1")
        if "leaf-1" in again.committed():
            assert set(verify(again).damaged) == {"leaf-1"}
            again.discard("leaf-1", "for a test")
        assert again.committed() == set()
