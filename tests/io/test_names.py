"""Target names are unique, safe and the same whatever the order of the files."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.io import TargetSource, find_targets
from scorefold.io.names import LONGEST_NAME, safe_name, unique_names

hostile = st.one_of(
    st.text(max_size=20),
    st.text(alphabet="aAb._-/\\ \0\n:*", max_size=6),
    st.sampled_from([".", "..", "zarr.json", "__x", "-rf", "é", "e\u0301", "\udcff", "x" * 300, "日本" * 90]),
)


@given(hostile)
def test_any_text_becomes_a_safe_name(text):
    name = safe_name(text)
    assert name
    assert len(name.encode()) <= LONGEST_NAME
    assert name[0].isalnum()
    assert not set(name) & set("/\\\0\n :*")
    assert name.casefold() != "zarr.json"
    assert safe_name(name) == name


@given(
    st.lists(st.tuples(hostile, st.sampled_from(["x", "y", "a_x", ".."]), st.sampled_from(["", "_0", "-2"])))
)
@settings(max_examples=300)
def test_names_are_unique_on_every_file_system(files):
    names = unique_names(*([file[part] for file in files] for part in range(3)))
    assert len({name.casefold() for name in names}) == len(files)
    assert all(len(os.fsencode(name)) < 255 - len(".parquet") for name in names)
    assert names == unique_names(*([file[part] for file in files] for part in range(3)))


@given(st.lists(st.tuples(st.sampled_from("abAB"), st.sampled_from("xyz")), unique=True), st.randoms())
def test_names_do_not_depend_on_order_where_folders_tell_files_apart(files, random):
    files = [(stem, parent) for stem, parent in files if stem.islower()]
    shuffled = random.sample(files, len(files))
    named = (
        dict(zip(files, unique_names(*zip(*files, strict=True), [""] * len(files)), strict=True))
        if files
        else {}
    )
    again = (
        dict(zip(shuffled, unique_names(*zip(*shuffled, strict=True), [""] * len(files)), strict=True))
        if files
        else {}
    )
    assert named == again


@pytest.mark.parametrize(
    "stem", ["a b", "é", "-rf", "$(touch x)", "a;b", "*", "[1]", "zarr.json", "'\"", "a\nb"]
)
def test_hostile_file_names_are_read_and_make_safe_zarr_groups(tmp_path, stem):
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(folder / f"{stem}.npy", np.ones((3, 4)))
    (by_folder,), _ = find_targets([folder])
    (by_name,), _ = find_targets([folder / f"{stem}.npy"])
    assert by_folder == by_name
    results = zarr.create_group(tmp_path / "results")
    results.create_group(by_name.name)
    assert list(zarr.open_group(tmp_path / "results", mode="r").group_keys()) == [by_name.name]
    assert (tmp_path / "results" / by_name.name).parent == tmp_path / "results"


def test_a_file_name_that_is_no_text(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.npy")
    np.save(path, np.ones((3, 4)))
    (target,), unreadable = find_targets([tmp_path])
    assert unreadable == []
    assert target.name == "target"
    assert TargetSource.from_json(json.loads(json.dumps(target.to_json()))) == target


def test_equal_stems_get_their_folder(tmp_path):
    for name in ("x/a.npy", "y/a.npy", "y/b.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.ones((3, 4)))
    targets, _ = find_targets([tmp_path / "x", tmp_path / "y"])
    assert [target.name for target in targets] == ["x_a", "y_a", "b"]


def test_folders_globs_and_files_list_each_file_once_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.npy", "a.npy", "deep/c.npy", ".hidden.npy"):
        Path(name).parent.mkdir(exist_ok=True)
        np.save(name, np.ones((3, 4)))
    Path("notes.txt").write_text("not an image")
    zarr.save_array("store.zarr", np.ones((3, 4)))

    def names(*patterns):
        targets, unreadable = find_targets(patterns)
        assert unreadable == []
        return [target.name for target in targets]

    assert names(".") == ["a", "b", "store"]
    assert names("**") == ["a", "b", "c", "store"]
    assert names("**/*.npy") == ["a", "b", "c"]
    assert names("b.npy", Path("a.npy"), "*.npy") == ["b", "a"]
    assert [target.name for target in find_targets("a.npy")[0]] == ["a"]
    assert names("file://" + str(tmp_path / "a.npy")) == ["a"]


def test_a_given_pixel_size_replaces_the_file_s(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4, 5)))
    (one,), _ = find_targets([tmp_path / "a.npy"], pixel_size=13.5)
    assert (one.pixel_size, one.pixel_unit) == ((13.5, 13.5, 13.5), "angstrom")
    (each,), _ = find_targets([tmp_path / "a.npy"], pixel_size=(3, 1, 1), pixel_unit="µm")
    assert (each.pixel_size, each.pixel_unit) == ((3.0, 1.0, 1.0), "micrometer")


def test_a_source_travels_by_pickle_and_json(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4, 5)))
    (source,), _ = find_targets([tmp_path / "a.npy"], pixel_size=2.0)
    assert pickle.loads(pickle.dumps(source)) == source
    assert TargetSource.from_json(json.loads(json.dumps(source.to_json()))) == source


def test_names_of_members_are_cut_to_what_a_file_system_takes_and_their_pages_stay():
    suffixes = [f"_{'é' * 150}_{page}" for page in range(3)]
    names = unique_names(["stem" * 50] * 3, [""] * 3, suffixes)
    assert len(set(names)) == 3
    assert [name[-2:] for name in names] == ["_0", "_1", "_2"]
    # With the endings of unfinished files of a store, the longest there are.
    assert all(len(name.encode()) + len(".png." + 32 * "0" + ".partial") <= 255 for name in names)
