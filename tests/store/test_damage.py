"""Whatever happens to the files of a run, damaged data is never returned and `verify` finds it."""

import contextlib
import shutil

import numpy as np
import pytest

from scorefold.analyzer import Coverage
from scorefold.errors import DamagedPartialError, StoreError
from scorefold.store import ResultMaps, RunStore, verify

CASES = 200
GROUPS = 10


def committed():
    """Return what the run of these tests holds: equal shapes, so that files can stand in for each other."""
    rng = np.random.default_rng(7)
    return {
        f"leaf-{i}": {
            "scores": rng.normal(size=(64, 80)).astype(np.float32),
            "rotations": rng.integers(0, 99, (64, 80)).astype(np.int32),
            "count": np.array([i]),
        }
        for i in range(2)
    }


EXPECTED = committed()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    run = RunStore.create(str(tmp_path_factory.mktemp("damage") / "run"), {"fingerprint": "f1"})
    for number, (key, arrays) in enumerate(EXPECTED.items()):
        run.commit(
            key, arrays=arrays, coverage=Coverage.of("b", number, number + 1), summary={"number": number}
        )
    maps = ResultMaps(run, "a.tif")
    maps.create((64, 80), (32, 40), {"scores": {}, "rotations": {}}, 0.0)
    tiles = []
    for start in ((0, 0), (32, 0), (0, 40), (32, 40)):
        place = tuple(slice(a, a + n) for a, n in zip(start, (32, 40), strict=True))
        arrays = EXPECTED["leaf-0"]
        digests = maps.write_tile(start, arrays["scores"][place], arrays["rotations"][place])
        tiles.append({"target": "a.tif", "start": list(start), "shape": [32, 40], "digests": digests})
    run.commit("write_result-0", summary={"tiles": tiles})
    return run.location


@pytest.fixture
def location(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "run")


def files(location):
    """Return all files that matter to what was committed."""
    found = [path for part in ("states", "commits", "results") for path in (location / part).rglob("*")]
    groups = {path for path in found if path.name == "zarr.json" and not (path.parent / "c").exists()}
    return sorted(path for path in found if path.is_file() and path not in groups)


def damage(location, rng):
    """Do one thing to the files of a run; return what was done, and the files that it was done to."""
    paths = files(location)
    path = paths[rng.integers(len(paths))]
    data = path.read_bytes()
    kind = rng.choice(["flip", "flips", "truncate", "extend", "empty", "delete", "zeros", "swap", "copy"])
    if kind in ("flip", "flips"):
        changed = bytearray(data)
        for bit in rng.integers(0, 8 * len(data), 1 if kind == "flip" else 20):
            changed[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bytes(changed))
    elif kind == "truncate":
        path.write_bytes(data[: rng.integers(len(data))])
    elif kind == "extend":
        path.write_bytes(data + rng.bytes(4))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "zeros":
        path.write_bytes(bytes(len(data)))
    elif kind == "delete":
        path.unlink()
    else:
        alike = [other for other in paths if other != path and other.suffix == path.suffix]
        other = alike[rng.integers(len(alike))]
        path.write_bytes(other.read_bytes())
        if kind == "swap":
            other.write_bytes(data)
    return f"{kind} {path.relative_to(location)}"


def unchanged(location):
    """Return the keys that come back as they were committed; anything else must raise."""
    run = RunStore(str(location))
    whole = set()
    for key, expected in EXPECTED.items():
        try:
            arrays, record = run.read_partial(key)
        except DamagedPartialError:
            continue
        assert record.key == key
        assert record.coverage == Coverage.of("b", int(key[-1]), int(key[-1]) + 1)
        assert record.summary == {"number": int(key[-1])}
        assert {name: array.tobytes() for name, array in arrays.items()} == {
            name: array.tobytes() for name, array in expected.items()
        }
        whole.add(key)
    return whole


def maps_differ(location):
    """Whether the result maps do not hold what was written."""
    maps = ResultMaps(RunStore(str(location)), "a.tif")
    for name in ("scores", "rotations"):
        found = None
        with contextlib.suppress(Exception):  # codecs raise exceptions of many kinds
            found = np.asarray(maps.level(name)[...]).tobytes()
        if found != EXPECTED["leaf-0"][name].tobytes():
            return True
    return False


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_damage_goes_unnoticed(location, group):
    rng = np.random.default_rng(group)
    pristine = {path: path.read_bytes() for path in files(location)}
    for _ in range(CASES // GROUPS):
        done = [damage(location, rng) for _ in range(rng.integers(1, 3))]
        whole = unchanged(location)
        run = RunStore(str(location))
        present = run.committed()
        found = verify(run)
        assert set(found.damaged) == {key for key in EXPECTED if key in present} - whole | (
            {"write_result-0"} & set(found.damaged)
        ), done
        assert found.checked + len(found.damaged) == len(present), done
        if maps_differ(location) and "write_result-0" in present:
            assert "write_result-0" in found.damaged, done
        for path, data in pristine.items():
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)


def test_a_whole_run_is_found_whole(location):
    found = verify(RunStore(str(location)))
    assert (found.checked, found.damaged) == (3, {})


@pytest.mark.parametrize("part", ["states", "commits"])
def test_swapped_files_are_found(location, part):
    """Each is undamaged in itself; only the records tell that they are in the wrong place."""
    paths = sorted((location / part).glob("leaf-[01]*" if part == "commits" else "leaf-[01]/*/scores/c/0/0"))
    first, second = paths
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert unchanged(location) == set()
    assert set(verify(RunStore(str(location))).damaged) == {"leaf-0", "leaf-1"}


def test_states_without_their_arrays_are_found(location):
    shutil.rmtree(location / "states")
    assert unchanged(location) == set()
    assert set(verify(RunStore(str(location))).damaged) == set(EXPECTED)


def test_verifying_changes_nothing(location):
    (location / "commits" / "leaf-1.json").write_bytes(b"{")
    before = {path: path.read_bytes() for path in location.rglob("*") if path.is_file()}
    verify(RunStore(str(location)))
    assert {path: path.read_bytes() for path in location.rglob("*") if path.is_file()} == before


def test_discarded_and_committed_again_is_whole(location):
    next((location / "states" / "leaf-1").rglob("0/0")).write_bytes(b"")
    run = RunStore(str(location))
    with pytest.raises(DamagedPartialError) as caught:
        run.read_partial("leaf-1")
    run.discard("leaf-1", caught.value.reason)
    run.commit("leaf-1", arrays=EXPECTED["leaf-1"], coverage=Coverage.of("b", 1, 2), summary={"number": 1})
    assert unchanged(location) == set(EXPECTED)


def test_any_damage_to_the_runs_own_metadata_is_a_store_error(pristine, tmp_path):
    rng = np.random.default_rng(3)
    location = shutil.copytree(pristine, tmp_path / "run")
    path = location / "zarr.json"
    data = path.read_bytes()
    for _ in range(150):
        changed = bytearray(data)
        bit = rng.integers(0, 8 * len(data))
        changed[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bytes(changed))
        with contextlib.suppress(StoreError):
            RunStore(str(location))
