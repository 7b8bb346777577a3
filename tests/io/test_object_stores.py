"""Files at URLs: found and read as the same files on disk, and never more of them than needed."""

import csv
import dataclasses
from pathlib import Path

import cv2
import mrcfile
import numpy as np
import obstore
import pytest
import tifffile
import zarr
from numpy.testing import assert_array_equal

from scorefold import object_stores
from scorefold.errors import InputError
from scorefold.io import TargetReadError, find_targets, read_array, read_region, read_target
from scorefold.io.formats import files
from scorefold.io.formats.image_headers import image_header
from scorefold.object_stores import ObjectReader, list_folder, object_status, open_object_store, statuses_kept
from scorefold.planning.images import list_images
from scorefold.planning.job import file_stamp
from scorefold.planning.truth import truth_of_masks, truth_of_table
from scorefold.rotations import plane_rotations, read_rotations, write_rotations
from scorefold.scoring.masks import is_mask_shape

RNG = np.random.default_rng(3)
IMAGE = RNG.integers(0, 255, (60, 70), np.uint8)
VOLUME = RNG.normal(size=(9, 30, 40)).astype(np.float32)


@pytest.fixture
def upload(monkeypatch):
    """Store the files of a folder in memory, each test its own: ``upload(folder)`` returns the URL."""
    store = obstore.store.MemoryStore()
    monkeypatch.setattr(object_stores, "_root", lambda place: store)

    def put(folder: Path) -> str:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                obstore.put(store, f"{folder.name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"s3://bucket/{folder.name}"

    put.store = store
    return put


@pytest.fixture
def fetched(monkeypatch):
    """Return the bounds of all parts of objects that were fetched."""
    bounds = []
    fetch = ObjectReader.fetch
    monkeypatch.setattr(
        ObjectReader, "fetch", lambda self, *part: (bounds.append(part), fetch(self, *part))[1]
    )
    return bounds


def write_every_format(folder: Path) -> None:
    cv2.imwrite(str(folder / "gray.png"), IMAGE)
    cv2.imwrite(str(folder / "colour.jpg"), np.dstack([IMAGE, IMAGE.T[:60, :70], 255 - IMAGE][:1] * 3))
    cv2.imwrite(str(folder / "plain.bmp"), IMAGE)
    cv2.imwrite(str(folder / "lzw.tif"), IMAGE)
    np.save(folder / "c.npy", VOLUME)
    np.save(folder / "fortran.npy", np.asfortranarray(VOLUME))
    np.savez(folder / "several.npz", image=IMAGE, volume=VOLUME)
    np.savez_compressed(folder / "packed.npz", image=IMAGE)
    tifffile.imwrite(folder / "pages.tif", VOLUME)
    tifffile.imwrite(folder / "imagej.tif", VOLUME, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "volume.ome.tif", VOLUME, ome=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "tiles.tif", np.kron(IMAGE, np.ones((9, 9), np.uint8)), tile=(128, 128))
    tifffile.imwrite(
        folder / "zlib.tif", np.kron(IMAGE, np.ones((9, 9), np.uint8)), tile=(64, 64), compression="zlib"
    )
    for name in ("volume.mrc", "stack.mrcs"):
        with mrcfile.new(folder / name) as mrc:
            mrc.set_data(VOLUME)
            mrc.voxel_size = 4.2


def test_every_format_is_read_as_on_disk(tmp_path, upload):
    write_every_format(tmp_path)
    on_disk, _ = find_targets([tmp_path], gray=True)
    at_url, unreadable = find_targets([upload(tmp_path)], gray=True)
    assert not unreadable
    assert len(at_url) == len(on_disk) > 15
    for expected, found in zip(on_disk, at_url, strict=True):
        assert found == dataclasses.replace(
            expected, path=f"s3://bucket/{tmp_path.name}/{Path(expected.path).name}"
        )
        assert_array_equal(read_target(found), read_target(expected))
        for _ in range(5):
            corners = [sorted(RNG.choice(n + 1, 2, replace=False).tolist()) for n in found.shape]
            region = tuple(slice(*corner) for corner in corners)
            assert_array_equal(read_region(found, region), read_region(expected, region))


def test_damaged_objects_are_listed_with_the_reason_and_the_others_are_found(tmp_path, upload):
    write_every_format(tmp_path)
    (tmp_path / "empty.tif").touch()
    (tmp_path / "empty.png").touch()
    for name in ("gray.png", "colour.jpg", "c.npy", "volume.mrc", "packed.npz", "tiles.tif"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / f"cut-{name}").write_bytes(content[: len(content) * 3 // 4])
    found, unreadable = find_targets([upload(tmp_path)], gray=True)
    assert sorted(Path(item.path).name for item in unreadable) == sorted(
        path.name for path in tmp_path.iterdir() if path.name.startswith(("cut", "empty"))
    )
    assert not any("\n" in item.reason for item in unreadable)
    assert {item.reason for item in unreadable if "empty" in item.path} == {"empty file"}
    assert len(found) > 15


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["a.png", "store.zarr"]),
        ("/", ["a.png", "store.zarr"]),
        ("/*.png", ["a.png"]),
        ("/sub", ["sub/b.png", "sub/c.tif"]),
        ("/**", ["a.png", "store.zarr", "sub/b.png", "sub/c.tif", "sub/deep/b.png"]),
        ("/**/*.png", ["a.png", "sub/b.png", "sub/deep/b.png"]),
        ("/*/b.png", ["sub/b.png"]),
        ("/s*/[a-b].*", ["sub/b.png"]),
        ("/sub/**/b.png", ["sub/b.png", "sub/deep/b.png"]),
        ("/*.zarr", ["store.zarr"]),
        ("/store.zarr/inner", ["store.zarr"]),
        ("/node", ["node"]),
    ],
)
def test_folders_and_patterns_stand_for_what_they_do_on_disk(
    tmp_path, upload, monkeypatch, pattern, expected
):
    for name in ("a.png", "sub/b.png", "sub/deep/b.png", ".hidden.png", ".folder/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), IMAGE)
    (tmp_path / "notes.txt").touch()
    tifffile.imwrite(tmp_path / "sub" / "c.tif", IMAGE)
    zarr.create_group(tmp_path / "store.zarr").create_array("inner", data=IMAGE)
    zarr.create_group(tmp_path / "run.zarr", attributes={"scorefold": {}})
    if pattern == "/node":
        zarr.create_array(tmp_path / "node", data=IMAGE)
    url = upload(tmp_path)
    with monkeypatch.context() as patch:
        opened = zarr.storage.ObjectStore(upload.store)
        patch.setattr(
            "scorefold.io.formats.zarr_arrays._open",
            lambda path: zarr.open(opened, path=path.removeprefix("s3://bucket/"), mode="r"),
        )
        found, unreadable = find_targets([url + pattern])
    assert not unreadable
    assert [target.path.removeprefix(f"{url}/") for target in found] == expected
    if pattern not in ("", "/"):  # where on disk, folders without the ending are looked into as well
        on_disk, _ = find_targets([f"{tmp_path}{pattern}"])
        assert [str(Path(target.path).relative_to(tmp_path)) for target in on_disk] == expected


def test_nothing_is_one_line(tmp_path, upload):
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE)
    url = upload(tmp_path)
    with pytest.raises(
        InputError, match=r'^target "s3://.*/none": no image or volume files in this folder\. Supp'
    ):
        find_targets(f"{url}/none/")
    with pytest.raises(
        InputError, match=r'^target "s3://.*\.tif": no image or volume files match it\. Check the b'
    ):
        find_targets(f"{url}/*.tif")
    _, unreadable = find_targets([f"{url}/b.png"])
    assert [(item.path, item.reason) for item in unreadable] == [(f"{url}/b.png", "no such file")]
    with pytest.raises(InputError, match=r'^template "s3://.*/b.png": no such file'):
        read_array(f"{url}/b.png", role="template")
    with pytest.raises(InputError, match="it holds credentials"):
        find_targets("s3://key:secret@bucket/a.png")
    with pytest.raises(InputError, match="it holds credentials"):
        object_status("s3://bucket/a.png?X-Amz-Signature=0")


@pytest.mark.parametrize("name", ["volume.npy", "volume.mrc", "pages.tif", "values.npz"])
def test_of_a_volume_little_more_than_the_region_is_fetched(tmp_path, upload, fetched, name):
    volume = RNG.integers(0, 255, (40, 300, 800), np.uint8).astype(np.uint16)
    write = {
        "volume.npy": lambda path: np.save(path, volume),
        "volume.mrc": lambda path: mrcfile.new(path, volume).close(),
        "pages.tif": lambda path: tifffile.imwrite(path, volume, imagej=True, metadata={"axes": "ZYX"}),
        "values.npz": lambda path: np.savez(path, a=volume),
    }
    write[name](tmp_path / name)
    (source,), _ = find_targets(upload(tmp_path), pages="volume")
    fetched.clear()
    region = (slice(10, 14), slice(100, 150), slice(200, 400))
    assert_array_equal(read_region(source, region), volume[region])
    most = 3 * object_stores.READ_AHEAD  # headers
    assert sum(stop - start for start, stop in fetched) < most + 4 * 50 * 800 * 2 < volume.nbytes / 3


def test_long_runs_are_fetched_in_parts_and_near_ones_together(tmp_path, upload, fetched, monkeypatch):
    values = RNG.integers(0, 255, (200, 1000), np.uint8)
    np.save(tmp_path / "a.npy", values)
    monkeypatch.setattr(files, "LARGEST_REQUEST", 5000)
    monkeypatch.setattr(files, "SMALL_GAP", 600)
    monkeypatch.setattr(object_stores, "READ_AHEAD", 128)
    (source,), _ = find_targets(upload(tmp_path))
    sizes = {}
    for columns in (slice(0, 1000), slice(100, 600), slice(100, 200)):
        fetched.clear()
        rows = slice(20, 60)
        assert_array_equal(read_region(source, (rows, columns)), values[rows, columns])
        sizes[columns.start, columns.stop] = [stop - start for start, stop in fetched if stop - start != 128]
    assert sizes[0, 1000] == [5000] * 8
    assert sizes[100, 600] == [4500] * 8
    assert sizes[100, 200] == [100] * 40


def test_a_larger_file_is_not_fetched_whole_for_one_of_its_pages(tmp_path, upload):
    noise = [RNG.integers(0, 255, (200, 200), np.uint8) for _ in range(8)]
    cv2.imwritemulti(str(tmp_path / "pages.tif"), noise)
    _, (unreadable,) = find_targets(upload(tmp_path))
    assert "LZW, which at a URL needs the package" in unreadable.reason


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_large_images_are_listed_by_their_first_bytes(tmp_path, upload, monkeypatch, ending):
    noise = RNG.integers(0, 255, (400, 500, 3), np.uint8)
    cv2.imwrite(str(tmp_path / f"a{ending}"), noise)
    content = (tmp_path / f"a{ending}").read_bytes()
    start = content[: 2**16]
    assert len(start) < len(content)
    assert image_header(start, len(content)) == image_header(content)
    url = upload(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("scorefold.io.formats.image.content_of", None)
        (source,), _ = find_targets(url, gray=True)
    assert source.shape == (400, 500)
    # What is behind them is found out by who reads it.
    obstore.put(upload.store, f"{tmp_path.name}/a{ending}", content[:-1000])
    (source,), _ = find_targets(url, gray=True)
    with pytest.raises(TargetReadError, match="truncated"):
        read_target(source)


def test_an_image_with_a_long_preface_is_read_whole(tmp_path, upload):
    cv2.imwrite(str(tmp_path / "a.jpg"), IMAGE)
    content = (tmp_path / "a.jpg").read_bytes()
    comment = b"\xff\xfe" + (60000).to_bytes(2, "big") + bytes(59998)
    (tmp_path / "a.jpg").write_bytes(content[:2] + 2 * comment + content[2:])
    (source,), _ = find_targets(upload(tmp_path))
    assert_array_equal(read_target(source), cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_UNCHANGED))


def test_a_stamp_changes_with_the_object(tmp_path, upload):
    (tmp_path / "a.png").write_bytes(b"first")
    url = f"{upload(tmp_path)}/a.png"
    first = file_stamp(url)
    assert first is not None
    assert first == file_stamp(url)
    assert first[0] == 5
    (tmp_path / "a.png").write_bytes(b"other")
    upload(tmp_path)
    assert file_stamp(url) != first, "also within the second to which stores tell the time"
    assert file_stamp(f"{url}x.png") is None
    assert file_stamp(f"{url}/a.zarr") is None


def test_what_changes_while_it_is_read_is_an_error(tmp_path, upload):
    np.save(tmp_path / "a.npy", VOLUME)
    url = f"{upload(tmp_path)}/a.npy"
    with ObjectReader(url) as reader:
        np.save(tmp_path / "a.npy", VOLUME + 1)
        upload(tmp_path)
        with pytest.raises(OSError, match="it was replaced while it was read"):
            reader.read(10)
    with statuses_kept():
        (source,), _ = find_targets(url)
        np.save(tmp_path / "a.npy", VOLUME)
        upload(tmp_path)
        with pytest.raises(TargetReadError, match="it was replaced while it was read"):
            read_target(source)
    assert_array_equal(read_target(source), VOLUME)


def test_listing_tells_the_status_of_every_object(tmp_path, upload, monkeypatch):
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), IMAGE)
    url = upload(tmp_path)
    asked = []
    head = obstore.head
    monkeypatch.setattr(obstore, "head", lambda store, key: (asked.append(key), head(store, key))[1])
    entries = list_images([url])
    assert [entry.stamp[0] for entry in entries] == [(tmp_path / "0.png").stat().st_size] * 5
    assert not [key for key in asked if key.endswith(".png")]


def test_a_reader_is_a_file(tmp_path, upload):
    content = bytes(range(256)) * 40
    (tmp_path / "a.bin").write_bytes(content)
    with ObjectReader(f"{upload(tmp_path)}/a.bin") as reader:
        assert (reader.seek(-6, 2), reader.read(4), reader.read(), reader.read(1)) == (
            len(content) - 6,
            content[-6:-2],
            content[-2:],
            b"",
        )
        assert (reader.seek(10), reader.seek(5, 1), reader.tell()) == (10, 15, 15)
        assert reader.read(3) == content[15:18]
        assert reader.seek(len(content) + 9) == len(content) + 9
        assert reader.read(1) == b""
        with pytest.raises(ValueError, match="negative position"):
            reader.seek(-1)


def test_images_masks_and_labels_at_urls_belong_together_as_on_disk(tmp_path, upload, data_set):
    url = upload(data_set.root)
    entries = list_images([f"{url}/test/**/*.png"])
    on_disk = list_images([f"{data_set.root}/test/**/*.png"])
    assert [(entry.name, entry.folder) for entry in entries] == [(e.name, e.folder) for e in on_disk]
    expected = truth_of_masks(on_disk, data_set.root / "masks")
    found = truth_of_masks(entries, f"{url}/masks")
    assert [truth.label for truth in found] == [truth.label for truth in expected]
    assert [truth.mask.removeprefix(url) for truth in found] == [
        truth.mask.removeprefix(str(data_set.root)) for truth in expected
    ]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["name", "label"], [entries[0].name, "bad"], [entries[1].name, "good"]])
    labels = f"{upload(tmp_path)}/labels.csv"
    assert truth_of_table(entries, labels) == truth_of_table(on_disk, tmp_path / "labels.csv")
    with pytest.raises(InputError, match=r'^labels "s3://.*/none.csv": no such file'):
        truth_of_table(entries, f"{url}/none.csv")


@pytest.mark.parametrize("ending", [".npy", ".csv", ".star"])
def test_rotations_at_a_url(tmp_path, upload, ending):
    write_rotations(tmp_path / f"set{ending}", plane_rotations(30.0))
    url = f"{upload(tmp_path)}/set{ending}"
    assert_array_equal(read_rotations(url, 2), read_rotations(tmp_path / f"set{ending}", 2))
    with pytest.raises(InputError, match=r'^rotations "s3://.*/none.csv": no such file'):
        read_rotations(url.replace(f"set{ending}", "none.csv"), 2)
    (tmp_path / f"set{ending}").write_bytes(b"nonsense")
    upload(tmp_path)
    with pytest.raises(InputError, match=f'^rotations "{url}"'):
        read_rotations(url, 2)


def test_a_mask_at_a_url_is_no_word_for_a_shape(tmp_path, upload):
    np.save(tmp_path / "mask.npy", IMAGE)
    url = f"{upload(tmp_path)}/mask.npy"
    assert not is_mask_shape(url)
    assert_array_equal(read_array(url, role="mask"), IMAGE)


def test_without_obstore_urls_are_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    with pytest.raises(InputError, match=r'^"s3://bucket/lot": URLs need obstore\. Install scorefold\[s3\]'):
        open_object_store("s3://bucket/lot")


def test_keys_are_taken_as_they_are(upload, tmp_path):
    folder = tmp_path / "a lot"
    folder.mkdir()
    for name in ("é +%20.png", "b c.png"):
        (folder / name).write_bytes(b"x")
    url = upload(folder)
    objects, folders = list_folder(url)
    assert sorted(objects) == sorted(f"{url}/{name}" for name in ("é +%20.png", "b c.png"))
    assert folders == []
    assert all(object_status(name).size == 1 for name in objects)
