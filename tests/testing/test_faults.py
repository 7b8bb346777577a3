"""Faults do what they say to the file they name, and to no other."""

import numpy as np
import pytest

from scorefold.testing.faults import CORRUPTIONS, corrupt, corrupt_run


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        path = tmp_path / "run" / "states" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number + 1]) * 40)
    (tmp_path / "run" / "zarr.json").write_bytes(b"left alone")
    return tmp_path / "run"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_changes_its_file(folder, kind):
    path, other = folder / "states" / "0.json", folder / "states" / "1.json"
    before = contents(folder)
    corrupt(path, kind, np.random.default_rng(3), other)
    after = contents(folder)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {"states/0.json"} | ({"states/1.json"} if kind == "swap" else set())
    length = len(after.get("states/0.json", b""))
    assert length == 0 if kind in ("delete", "empty") else length < 40 if kind == "truncate" else length == 40


def test_every_kind_is_done_to_the_parts_that_are_named(folder):
    kinds = set()
    for seed in range(60):
        before = contents(folder)
        kind, name = corrupt_run(folder, np.random.default_rng(seed), ["states"])
        kinds.add(kind)
        assert contents(folder).get(name) != before[name]
        assert name.startswith("states/")
        for written, data in before.items():
            (folder / written).write_bytes(data)
    assert kinds == set(CORRUPTIONS)


def test_wrong_use_is_an_error(folder):
    with pytest.raises(ValueError, match="melt"):
        corrupt(folder / "zarr.json", "melt", np.random.default_rng(1))
    with pytest.raises(ValueError, match="without another file"):
        corrupt(folder / "zarr.json", "swap", np.random.default_rng(1))
    with pytest.raises(ValueError, match="nothing to damage in tables"):
        corrupt_run(folder, np.random.default_rng(1), ["tables"])
