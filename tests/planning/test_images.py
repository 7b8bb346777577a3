"""The table of images: rows as they were listed, names and folders that tell files apart, stamps."""

import os

import numpy as np
import pytest

from scorefold.io import TargetSource
from scorefold.planning import images as images_module
from scorefold.planning.images import ImageEntry, ImageTable, images_digest, list_images


@pytest.fixture
def folder(tmp_path):
    for name in ("a/x", "a/y", "b/x", "b/deep/z"):
        path = tmp_path / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.zeros((5, 6), np.uint8))
    np.save(tmp_path / "a" / "stack.npy", np.zeros((3, 4, 5), np.float32))
    (tmp_path / "b" / "broken.npy").write_bytes(b"nothing")
    return tmp_path


def test_files_of_one_name_are_told_apart_and_keep_their_folders(folder):
    entries = list_images([folder / "**" / "*.npy"])
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names) == 8
    assert {(entry.folder, entry.name) for entry in entries} >= {("a", "a_x"), ("b", "b_x"), ("b/deep", "z")}
    assert [entry.source.page for entry in entries if "stack" in entry.name] == [0, 1, 2]
    (broken,) = [entry for entry in entries if entry.failure]
    assert broken.name == "broken.npy"


def test_a_table_holds_what_was_listed(folder):
    entries = list_images([folder / "**" / "*.npy"])
    table = ImageTable(ImageTable.to_bytes(entries))
    assert len(table) == len(entries)
    assert list(table) == entries
    assert table.rows(2, 5) == entries[2:5]
    for image_id in (-1, len(entries)):
        with pytest.raises(IndexError):
            table[image_id]


def test_rows_are_found_across_row_groups(monkeypatch):
    monkeypatch.setattr(images_module, "ROW_GROUP", 4)
    monkeypatch.setattr("scorefold.planning.row_table.ROW_GROUP", 4)
    entries = [
        ImageEntry(TargetSource(f"i{i}", f"/d/{i}.png", "image", (i + 1, 2), "uint8"), stamp=(i, 2**60 + i))
        for i in range(11)
    ]
    table = ImageTable(ImageTable.to_bytes(entries))
    assert table._file.num_row_groups == 3
    assert table.rows(2, 10) == entries[2:10]
    assert [table[i] for i in (10, 0, 7, 4, 3)] == [entries[i] for i in (10, 0, 7, 4, 3)]


def test_the_digest_follows_every_change_of_a_file(folder):
    patterns = [folder / "**" / "*.npy"]
    before = images_digest(list_images(patterns))
    assert images_digest(list_images(patterns)) == before
    os.utime(folder / "a" / "x.npy", ns=(5, 5))
    touched = images_digest(list_images(patterns))
    assert touched != before
    assert images_digest(list_images(patterns)[:-1]) != touched
