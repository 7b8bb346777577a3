"""Maps of many images in one array: whole chunks a task, verified against the record, repairable."""

import numpy as np
import pytest
import zarr

from scorefold.errors import DamagedPartialError
from scorefold.store import RunStore
from scorefold.store.image_maps import ImageMaps

RNG = np.random.default_rng(9)


@pytest.fixture
def store(tmp_path):
    return RunStore.create(str(tmp_path / "run"), {"fingerprint": "f"})


@pytest.fixture
def maps(store):
    maps = ImageMaps(store, "results/shape-0/scores")
    maps.create((7, 5, 6), 2, "float16")
    return maps


def reading(store, maps):
    """Return what another process has of the maps."""
    return ImageMaps(store, maps.path)


SCORES = RNG.normal(size=(7, 5, 6)).astype(np.float16)


def test_what_is_written_in_blocks_is_read_in_any_order(store, maps):
    SCORES[3, 2] = np.nan
    blocks = [maps.write(first, SCORES[first : first + 2]) for first in (4, 0, 6, 2)]
    for block in reversed(blocks):
        np.testing.assert_array_equal(
            reading(store, maps).read_block("key", block), SCORES[block["first"] : block["stop"]]
        )
    np.testing.assert_array_equal(maps.read(1, 6), SCORES[1:6])


@pytest.mark.parametrize(("dtype", "empty"), [("float16", np.nan), ("float32", np.nan), ("uint8", 0)])
def test_images_that_nobody_wrote_are_empty(store, dtype, empty):
    maps = ImageMaps(store, "results/other")
    maps.create((3, 2, 2), 2, dtype)
    found = maps.read(0, 3)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.full((3, 2, 2), empty))


def test_creating_again_leaves_the_maps(store, maps):
    block = maps.write(0, SCORES[:2])
    ImageMaps(store, maps.path).create((7, 5, 6), 2, "float16")
    np.testing.assert_array_equal(reading(store, maps).read_block("key", block), SCORES[:2])


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"", lambda data: data.replace(b"16", b"32")]
)
def test_a_damaged_description_is_made_anew_without_losing_maps(store, maps, tmp_path, damage):
    block = maps.write(2, SCORES[2:4])
    path = tmp_path / "run" / maps.path / "zarr.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedPartialError):
        reading(store, maps).read_block("key", block)
    maps.create((7, 5, 6), 2, "float16")
    np.testing.assert_array_equal(reading(store, maps).read_block("key", block), SCORES[2:4])


@pytest.mark.parametrize("position", [0, 20, -1])
def test_a_flipped_bit_is_found_and_blamed_on_who_wrote_it(store, maps, tmp_path, position):
    block = maps.write(2, SCORES[2:4])
    chunk = tmp_path / "run" / maps.path / "c" / "1" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[position] ^= 4
    chunk.write_bytes(data)
    with pytest.raises(DamagedPartialError) as caught:
        reading(store, maps).read_block("score-3", block)
    assert caught.value.key == "score-3"


def test_maps_that_somebody_changed_are_not_trusted(store, maps):
    block = maps.write(0, SCORES[:2])
    array = zarr.open_array(store.zarr_store, path=maps.path, mode="r+")
    array[1, 0, 0] = 5
    with pytest.raises(DamagedPartialError, match="images 0 to 1, differs from its record"):
        reading(store, maps).read_block("key", block)


def test_a_file_of_any_size_is_put_under_a_name(store, tmp_path):
    import hashlib

    path = tmp_path / "table.csv"
    path.write_bytes(bytes(range(256)) * 4096)
    for _ in range(2):  # what is there is replaced
        assert store.blobs.put_file("tables/table.csv", path) == hashlib.sha256(path.read_bytes()).hexdigest()
        assert store.blobs.get("tables/table.csv") == path.read_bytes()
        path.write_bytes(b"less")
    assert store.blobs.names("tables") == ["tables/table.csv"]
