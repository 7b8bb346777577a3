"""What is known of images: matched by folder and name, kept as a table whose rows are unpacked one at a time."""

import cv2
import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.planning.images import list_images
from scorefold.planning.row_table import ROW_GROUP
from scorefold.planning.truth import (
    BAD,
    GOOD,
    UNKNOWN,
    Truth,
    TruthTable,
    truth_of_masks,
    truth_of_table,
    truth_to_bytes,
)


def write(path, shape=(5, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros(shape, np.uint8))
    return str(path)


@pytest.fixture
def entries(tmp_path):
    for name in ("a/x", "a/y", "b/x", "b/z"):
        write(tmp_path / "images" / f"{name}.png")
    return list_images([tmp_path / "images" / "**" / "*.png"])


def test_a_table_gives_back_what_it_was_made_of():
    truths = [Truth(), Truth(GOOD), Truth(BAD, "/masks/ä.png"), Truth(BAD)]
    table = TruthTable(truth_to_bytes(truths))
    assert len(table) == 4
    assert list(table) == truths
    assert table[2] == truths[2]


def test_rows_are_found_across_row_groups():
    truths = [Truth(i % 3 - 1, f"/masks/{i}.png" if i % 5 else "") for i in range(ROW_GROUP + 9)]
    table = TruthTable(truth_to_bytes(truths))
    assert [table[i] for i in (ROW_GROUP, 0, ROW_GROUP + 8, 5)] == [
        truths[i] for i in (ROW_GROUP, 0, ROW_GROUP + 8, 5)
    ]
    assert list(table) == truths
    for image_id in (-1, len(truths)):
        with pytest.raises(IndexError):
            table[image_id]


@pytest.mark.parametrize("ending", ["", "_mask", "-mask", "_gt"])
def test_masks_are_matched_by_folder_and_name(entries, tmp_path, ending):
    x = write(tmp_path / "masks" / "b" / f"x{ending}.png")
    y = write(tmp_path / "masks" / f"y{ending}.png")  # no other image has the name
    assert truth_of_masks(entries, tmp_path / "masks") == [
        Truth(GOOD),
        Truth(BAD, y),
        Truth(BAD, x),
        Truth(GOOD),
    ]


def test_a_mask_that_could_be_that_of_two_images_is_not_given_to_either(entries, tmp_path):
    write(tmp_path / "masks" / "x.png")
    with pytest.raises(InputError):
        truth_of_masks(entries, tmp_path / "masks")


def test_labels_are_matched_by_name_path_or_stem(entries, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(f"name,label\na_x,good\ny,NG\n{entries[2].source.path},1\n")
    assert [truth.label for truth in truth_of_table(entries, table)] == [GOOD, BAD, BAD, UNKNOWN]


@pytest.mark.parametrize("rows", ["nobody,good", "y,perhaps", "y"])
def test_labels_that_tell_nothing_are_refused(entries, tmp_path, rows):
    table = tmp_path / "labels.csv"
    table.write_text(f"name,label\nz,good\n{rows}\n" if "nobody" not in rows else rows)
    with pytest.raises(InputError, match="labels"):
        truth_of_table(entries, table)
