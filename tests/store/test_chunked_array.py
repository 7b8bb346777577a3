"""Arrays of the store: whole chunks go past Zarr, which reads and writes the same bytes."""

import math

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BytesCodec, GzipCodec
from zarr.storage import MemoryStore

from scorefold.store.blobs import Blobs
from scorefold.store.chunked_array import ChunkedArray, describe_array
from scorefold.store.descriptions import GROUP_FILE, describe_group, descriptions

DTYPES = ("float32", "int32", "uint8", "float16", "bool", "int64", "complex64")
AXES = ("t", "z", "y", "x")


@st.composite
def layouts(draw):
    """Return shape, shape of chunks, and a region of whole chunks as (start, stop)."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    chunks = tuple(draw(st.integers(1, n)) for n in shape)
    start, stop = [], []
    for n, c in zip(shape, chunks, strict=True):
        first = draw(st.integers(0, math.ceil(n / c) - 1))
        start.append(first * c)
        stop.append(min(draw(st.integers(first + 1, math.ceil(n / c))) * c, n))
    return shape, chunks, tuple(start), tuple(stop)


def made(shape, chunks, dtype, *, compressed, fill=0):
    """Return an empty array in memory."""
    blobs = Blobs(MemoryStore())
    axes = AXES[-len(shape) :]
    blobs.put(f"a/{GROUP_FILE}", describe_array(shape, chunks, dtype, fill, compressed=compressed, axes=axes))
    return blobs, ChunkedArray(blobs, "a")


def values_of(shape, dtype):
    return (np.random.default_rng(1).normal(size=shape) * 4).astype(dtype)


@settings(max_examples=40, deadline=None)
@given(layout=layouts(), dtype=st.sampled_from(DTYPES), compressed=st.booleans())
def test_zarr_stores_the_same_bytes_and_reads_them(layout, dtype, compressed):
    shape, chunks, start, stop = layout
    region = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    values = values_of(shape, dtype)
    blobs, array = made(shape, chunks, dtype, compressed=compressed)
    stored = array.write(start, values[region])
    assert {*stored, f"a/{GROUP_FILE}"} == set(blobs.names("a"))
    assert all(blobs.get(name) == data for name, data in stored.items())

    others, _ = made(shape, chunks, dtype, compressed=compressed)
    theirs = zarr.open_array(others.store, path="a").with_config({"write_empty_chunks": True})
    theirs[region] = values[region]
    assert {name: blobs.get(name) for name in blobs.names("a")} == {
        name: others.get(name) for name in others.names("a")
    }

    expected = np.zeros(shape, dtype)
    expected[region] = values[region]
    np.testing.assert_array_equal(zarr.open_array(blobs.store, path="a")[...], expected)


@settings(max_examples=40, deadline=None)
@given(layout=layouts(), data=st.data(), compressed=st.booleans())
def test_what_zarr_stored_is_read_by_any_selection(layout, data, compressed):
    shape, chunks, *_ = layout
    values = values_of(shape, "float32")
    blobs, array = made(shape, chunks, "float32", compressed=compressed)
    zarr.open_array(blobs.store, path="a")[...] = values
    parts = []
    for n in shape:
        first = data.draw(st.integers(0, n - 1))
        end = data.draw(st.integers(first + 1, n))
        parts.append(
            data.draw(st.sampled_from([slice(first, end), slice(first - n, None), slice(None), first]))
        )
    for selection in (tuple(parts), ..., parts[0], (parts[0], ...), (slice(None, None, 2),)):
        found = array[selection]
        np.testing.assert_array_equal(found, values[selection])
        assert found.dtype == np.float32
    assert (array.shape, array.chunks, array.dtype) == (shape, chunks, np.float32)


@pytest.mark.parametrize(("dtype", "fill"), [("float32", -0.5), ("float16", np.nan), ("int32", -1)])
def test_what_nobody_wrote_is_fill(dtype, fill):
    _, array = made((5, 7), (4, 4), dtype, fill=fill, compressed=False)
    array.write((4, 4), np.full((1, 3), 2, dtype))
    expected = np.full((5, 7), fill, dtype)
    expected[4, 4:] = 2
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(array[0:4, 0:4], expected[:4, :4])


def test_what_is_read_may_be_changed_and_is_not_what_is_stored():
    _, array = made((3, 3), (3, 3), "float32", compressed=False)
    array.write((0, 0), np.ones((3, 3), np.float32))
    array[...][1, 1] = 5
    np.testing.assert_array_equal(array[...], 1)
    with pytest.raises(ValueError, match="read-only"):
        array.zarr[1, 1] = 5


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "harm", [lambda data: data[:-1], lambda data: b"", lambda data: data[:8] + b"?" + data[9:]]
)
def test_a_damaged_chunk_is_no_array(compressed, harm):
    blobs, array = made((9, 9), (9, 9), "float32", compressed=compressed)
    (name,) = array.write((0, 0), values_of((9, 9), "float32"))
    blobs.put(name, harm(blobs.get(name)))
    with pytest.raises((ValueError, RuntimeError)):
        array[...]


def test_a_chunk_that_is_too_short_for_its_description_is_no_array():
    blobs, array = made((4, 4), (4, 4), "int32", compressed=True)
    small, other = made((2, 2), (2, 2), "int32", compressed=True)
    (name,) = other.write((0, 0), np.ones((2, 2), np.int32))
    blobs.put(array.chunk_name((0, 0)), small.get(name))
    with pytest.raises(ValueError, match="reshape"):
        array[...]


@pytest.mark.parametrize(("start", "size"), [((1,), 2), ((3,), 2), ((3,), 6), ((0,), 4)])
def test_only_whole_chunks_are_written(start, size):
    blobs, array = made((8,), (3,), "float32", compressed=False)
    before = blobs.names("a")
    with pytest.raises(ValueError, match="are no whole chunks"):
        array.write(start, np.ones(size, np.float32))
    assert blobs.names("a") == before


def test_arrays_that_are_no_runs_are_refused():
    blobs = Blobs(MemoryStore())
    with pytest.raises(FileNotFoundError, match="a: there is no array"):
        ChunkedArray(blobs, "a")
    zarr.create_array(blobs.store, name="a", data=np.ones(3), compressors=[GzipCodec()])
    with pytest.raises(TypeError, match=r"no array of a run is encoded by .*gzip"):
        ChunkedArray(blobs, "a")[...]
    zarr.create_array(
        blobs.store, name="b", data=np.ones(3), serializer=BytesCodec(endian="big"), compressors=None
    )
    with pytest.raises(TypeError, match=r"no array of a run is encoded by .*big"):
        ChunkedArray(blobs, "b")[...]


@pytest.mark.parametrize("attributes", [{}, {"ome": {"version": "0.5", "multiscales": [{"a": [1.0, None]}]}}])
def test_groups_are_described_as_zarr_describes_them(attributes):
    theirs = descriptions(
        lambda store: zarr.create_group(store, path="g", zarr_format=3, attributes=attributes)
    )
    assert describe_group(attributes) == theirs[f"g/{GROUP_FILE}"]
