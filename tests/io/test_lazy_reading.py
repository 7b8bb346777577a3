"""A region costs the memory and the chunks of the region, not of the file."""

import tracemalloc

import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from numpy.testing import assert_array_equal
from zarr.storage import LocalStore

from scorefold.io import find_targets, read_region

SHAPE = (32, 512, 512)  # 16 MiB of float32
REGION = (slice(3, 5), slice(100, 130), slice(200, 230))


@pytest.fixture(scope="module")
def volume():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def write_npy(path, volume):
    np.save(path, volume)


def write_fortran_npy(path, volume):
    np.save(path, np.asfortranarray(volume))


def write_npz(path, volume):
    np.savez(path, volume)


def write_mrc(path, volume):
    with mrcfile.new(path) as mrc:
        mrc.set_data(volume)
        mrc.set_volume()


def write_zarr(path, volume):
    zarr.create_array(path, data=volume, chunks=(8, 64, 64))


def write_contiguous_tiff(path, volume):
    tifffile.imwrite(path, volume, ome=True, metadata={"axes": "ZYX"})


def write_tiled_tiff(path, volume):
    tifffile.imwrite(path, volume, ome=True, metadata={"axes": "ZYX"}, tile=(64, 64), compression="zlib")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.npy", write_npy),
        ("b.npy", write_fortran_npy),
        ("a.npz", write_npz),
        ("a.mrc", write_mrc),
        ("a.zarr", write_zarr),
        ("a.ome.tif", write_contiguous_tiff),
        ("b.ome.tif", write_tiled_tiff),
    ],
)
def test_memory_is_that_of_the_region(tmp_path, volume, name, write):
    write(tmp_path / name, volume)
    (source,), _ = find_targets([tmp_path / name])
    read_region(source, REGION)  # imports and caches
    tracemalloc.start()
    found = read_region(source, REGION)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_array_equal(found, volume[REGION])
    # The region has 7 kB; tiles and parsed headers around it may come to some hundreds.
    assert peak < volume.nbytes / 16


def test_only_the_chunks_of_the_region_are_read(tmp_path, volume, monkeypatch):
    write_zarr(tmp_path / "a.zarr", volume)
    (source,), _ = find_targets([tmp_path / "a.zarr"])
    keys = []
    get = LocalStore.get

    async def counted(self, key, *arguments, **options):
        keys.append(key)
        return await get(self, key, *arguments, **options)

    monkeypatch.setattr(LocalStore, "get", counted)
    read_region(source, (slice(0, 8), slice(60, 70), slice(0, 64)))
    assert sorted(key for key in keys if key.startswith("c/")) == ["c/0/0/0", "c/0/1/0"]


def test_listing_reads_no_zarr_chunk(tmp_path, volume, monkeypatch):
    write_zarr(tmp_path / "a.zarr", volume)
    keys = []
    get = LocalStore.get

    async def counted(self, key, *arguments, **options):
        keys.append(key)
        return await get(self, key, *arguments, **options)

    monkeypatch.setattr(LocalStore, "get", counted)
    find_targets([tmp_path / "a.zarr"])
    assert [key for key in keys if key.startswith("c/")] == []


def test_the_pages_of_a_stack_are_looked_up_once(tmp_path, monkeypatch):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for _ in range(20):
            writer.write(np.zeros((8, 8), np.uint8), contiguous=False, metadata=None)
    targets, _ = find_targets([tmp_path / "a.tif"])
    opened = []
    original = tifffile.TiffFile.__init__

    def counted(self, *arguments, **options):
        opened.append(1)
        original(self, *arguments, **options)

    monkeypatch.setattr(tifffile.TiffFile, "__init__", counted)
    for target in targets:
        read_region(target, (slice(0, 8), slice(0, 8)))
    assert len(targets) == 20
    assert len(opened) == 0
