"""Masks, labels and pictures find their images by name; where a name does not tell, nothing is guessed."""

import cv2
import numpy as np
import pytest

from scorefold.errors import InputError, ScorefoldWarning
from scorefold.planning.images import list_images, pictures_of
from scorefold.planning.inspect_job import MeasureOptions
from scorefold.planning.truth import (
    BAD,
    GOOD,
    UNKNOWN,
    Truth,
    check_threshold,
    known_truth,
    truth_of_masks,
    truth_of_table,
)


def write(folder, *names, shape=(5, 6)):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros(shape, np.uint8))
    return folder


@pytest.fixture
def data_set(tmp_path):
    """A layout in wide use: images numbered anew in every folder of test/, masks in ground_truth/."""
    write(
        tmp_path / "test", "good/000.png", "good/001.png", "broken/000.png", "broken/001.png", "torn/000.png"
    )
    write(tmp_path / "ground_truth", "broken/000_mask.png", "broken/001_mask.png", "torn/000_mask.png")
    return tmp_path


def masks_of(data_set, pattern, masks="ground_truth"):
    entries = list_images([data_set / "test" / pattern])
    truths = truth_of_masks(entries, data_set / masks)
    paths = [entry.source.path for entry in entries]
    places = ["/".join(truth.mask.split("/")[-2:]) for truth in truths]
    return {"/".join(p.split("/")[-2:]): place for p, place in zip(paths, places, strict=True)}


def test_masks_in_folders_belong_to_images_in_folders_of_the_same_name(data_set):
    assert masks_of(data_set, "**/*.png") == {
        "good/000.png": "",
        "good/001.png": "",
        "broken/000.png": "broken/000_mask.png",
        "broken/001.png": "broken/001_mask.png",
        "torn/000.png": "torn/000_mask.png",
    }


def test_one_folder_of_images_finds_its_masks_among_those_of_others(data_set):
    with pytest.warns(ScorefoldWarning, match="1 of 3 are named like no image"):
        found = masks_of(data_set, "broken")
    assert found == {"broken/000.png": "broken/000_mask.png", "broken/001.png": "broken/001_mask.png"}


def test_masks_that_could_be_of_several_folders_are_refused(tmp_path):
    write(tmp_path / "test", "000.png", "001.png")
    write(tmp_path / "masks", "a/000.png", "b/000.png")
    with pytest.raises(InputError, match=r'several are named like "000"'):
        truth_of_masks(list_images([tmp_path / "test"]), tmp_path / "masks")


def test_masks_are_found_by_a_glob(data_set):
    write(data_set / "flat", "x.png", "y.png")
    write(data_set / "masks", "y.png")
    entries = list_images([data_set / "flat"])
    truths = truth_of_masks(entries, str(data_set / "masks" / "*.png"))
    assert [truth.label for truth in truths] == [GOOD, BAD]


@pytest.mark.parametrize("damage", [b"", b"no image"])
def test_a_mask_that_cannot_be_read_does_not_make_an_image_good(data_set, damage):
    (data_set / "ground_truth" / "torn" / "000_mask.png").write_bytes(damage)
    with pytest.raises(InputError, match=r"000_mask\.png"):
        masks_of(data_set, "**/*.png")


def test_a_mask_of_another_shape_is_refused(data_set):
    write(data_set / "ground_truth", "torn/000_mask.png", shape=(9, 9))
    with pytest.raises(InputError, match=r"shape \(9, 9\), its image's \(5, 6\)"):
        masks_of(data_set, "**/*.png")


def test_the_bare_name_of_several_images_labels_none_of_them(data_set):
    entries = list_images([data_set / "test" / "**" / "*.png"])
    table = data_set / "labels.csv"
    table.write_text("name,label\n000.png,bad\ntorn/000.png,bad\ngood/000,good\n")
    by_place = [truth.label for truth in truth_of_table(entries, table)]
    assert sorted(by_place) == [UNKNOWN, UNKNOWN, UNKNOWN, GOOD, BAD]


def test_truth_has_one_source(data_set):
    entries = list_images([data_set / "test" / "torn"])
    assert known_truth(entries, None, None) is None
    with pytest.raises(InputError, match="give one of them"):
        known_truth(entries, "a", "b")


def names(maps, images):
    found = pictures_of(list_images([maps]), list_images([images]))
    return [None if entry.failure else entry.name for entry in found]


def test_pictures_are_those_of_the_same_name(tmp_path):
    write(tmp_path / "images", "a.png", "b.png")
    write(tmp_path / "maps", "b.png", "c.png")
    assert names(tmp_path / "maps", tmp_path / "images") == ["b", None]
    with pytest.raises(InputError, match="none is named like a map"):
        names(write(tmp_path / "others", "d.png"), tmp_path / "images")


def test_maps_in_an_archive_have_names_of_their_own(tmp_path):
    write(tmp_path / "images", "a.png", "b.png")
    np.savez(tmp_path / "maps.npz", **{"b": np.zeros((5, 6)), "a.png": np.zeros((5, 6))})
    assert names(tmp_path / "maps.npz", tmp_path / "images") == ["b", "a"]


def test_pages_of_maps_belong_to_pages_of_images(tmp_path):
    for folder in ("maps", "images"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "lot.npy", np.zeros((3, 5, 6)))
    assert names(tmp_path / "maps", tmp_path / "images") == ["lot_0", "lot_1", "lot_2"]


@pytest.mark.parametrize(
    ("threshold", "labels", "maps", "follows"),
    [
        ("1.5", [], True, True),
        ("f1", [GOOD, BAD], False, True),
        ("f1", [GOOD, UNKNOWN], False, False),
        ("f1", [BAD], True, False),
        ("auto", [], False, True),
        ("auto", [GOOD], True, True),
        ("auto", [BAD, UNKNOWN], True, False),
        ("fp:0.01", [], True, False),
        ("sigma:3", [GOOD], True, True),
    ],
)
def test_a_threshold_needs_what_it_follows_from(threshold, labels, maps, follows):
    measure, truths = MeasureOptions(threshold), [Truth(label) for label in labels] or None
    if follows:
        check_threshold(measure, truths, maps=maps)
        return
    with pytest.raises(InputError, match=f'threshold "{threshold}"'):
        check_threshold(measure, truths, maps=maps)
