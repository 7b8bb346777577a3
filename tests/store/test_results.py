"""Result maps: tiles, coarser levels, and the Zarr that other programs open."""

import itertools

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.errors import DamagedPartialError
from scorefold.io import ome_multiscales_metadata
from scorefold.store import ResultMaps, RunStore, results
from scorefold.store.results import level_shapes


@pytest.fixture
def run(tmp_path):
    return RunStore.create(str(tmp_path / "run"), {"fingerprint": "f1"})


def made(run, name, shape, chunks, fill=0.25):
    maps = ResultMaps(run, name)
    maps.create(shape, chunks, {"scores": {"a": 1}, "rotations": {"b": 2}}, fill)
    return maps


def pooled(scores, rotations):
    """Return the best of every block and its rotation, one block after the other."""
    shape = tuple((n + 1) // 2 for n in scores.shape)
    best, ids = np.empty(shape, scores.dtype), np.empty(shape, rotations.dtype)
    for index in itertools.product(*(range(n) for n in shape)):
        block = tuple(slice(2 * i, 2 * i + 2) for i in index)
        where = np.unravel_index(scores[block].argmax(), scores[block].shape)
        best[index], ids[index] = scores[block][where], rotations[block][where]
    return best, ids


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((33, 47), (10, 16)),
        ((64, 64), (32, 32)),
        ((1, 40), (1, 7)),
        ((9, 17, 13), (4, 5, 13)),
        ((5, 5), (9, 9)),
    ],
)
def test_levels_hold_the_best_score_of_each_block_and_its_rotation(run, monkeypatch, shape, chunks):
    monkeypatch.setattr(results, "SMALLEST_LEVEL", 8)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=shape).round(1).astype(np.float32)  # some are equal
    rotations = rng.integers(-1, 10**6, shape).astype(np.int32)
    maps = made(run, "a.tif", shape, chunks)
    maps.write_tile((0,) * len(shape), scores, rotations)
    maps.build_levels()
    assert maps.level_count == len(level_shapes(shape)) > (max(shape) > 8)
    for level in range(maps.level_count):
        np.testing.assert_array_equal(maps.level("scores", level)[...], scores)
        np.testing.assert_array_equal(maps.level("rotations", level)[...], rotations)
        scores, rotations = pooled(scores, rotations)


def test_levels_that_other_programs_open(run):
    """Zarr v3 groups with OME-Zarr multiscales, readable without scorefold."""
    attributes = {
        name: ome_multiscales_metadata(name, "yx", None, None, [[1.0, 1.0], [2.0, 2.0]], [0.0, 0.0])
        for name in ("scores", "rotations")
    }
    maps = ResultMaps(run, "a.tif")
    maps.create((600, 40), (300, 40), attributes, 0.0)
    maps.write_tile((300, 0), np.ones((300, 40)), np.full((300, 40), 7))
    maps.build_levels()
    for name, dtype in (("scores", np.float32), ("rotations", np.int32)):
        group = zarr.open_group(run.location, mode="r")[f"results/a.tif/{name}"]
        (scales,) = group.attrs["ome"]["multiscales"]
        arrays = [group[dataset["path"]] for dataset in scales["datasets"]]
        assert [array.shape for array in arrays] == [(600, 40), (300, 20)]
        assert all(array.dtype == dtype for array in arrays)
        assert arrays[0].metadata.dimension_names == ("y", "x")
        assert np.unique(arrays[1][150:]).tolist() == [1 if name == "scores" else 7]
        assert np.unique(arrays[1][:150]).tolist() == [0 if name == "scores" else -1]


def test_what_no_tile_covers_is_fill_and_no_rotation(run):
    maps = made(run, "a.tif", (10, 12), (5, 6), fill=-0.5)
    maps.write_tile((5, 6), np.ones((5, 6)), np.ones((5, 6)))
    expected = np.full((10, 12), -0.5, np.float32)
    expected[5:, 6:] = 1
    np.testing.assert_array_equal(maps.level("scores")[...], expected)
    np.testing.assert_array_equal(maps.level("rotations")[...], np.where(expected == 1, 1, -1))


def test_making_maps_again_keeps_what_is_written(run):
    """Several tasks make the maps of one target; the first one wins."""
    maps = made(run, "a.tif", (10, 12), (5, 6))
    maps.write_tile((0, 0), np.full((5, 6), 3.0), np.full((5, 6), 4))
    again = made(RunStore(run.location), "a.tif", (10, 12), (5, 6))
    assert again.level("scores")[0, 0] == 3
    assert again.level("rotations")[0, 0] == 4


def test_a_tile_that_differs_from_its_record_is_found(run):
    maps = made(run, "a.tif", (10, 12), (5, 6))
    scores, rotations = np.random.default_rng(0).normal(size=(5, 6)), np.arange(30).reshape(5, 6)
    digests = maps.write_tile((5, 0), scores, rotations)
    maps.check_tile("write-1", (5, 0), (5, 6), digests)
    for name in ("scores", "rotations"):
        maps.write_tile((5, 0), scores, rotations)
        zarr.open_array(run.zarr_store, path=f"{maps.path}/{name}/0", mode="r+")[9, 5] += 1
        with pytest.raises(
            DamagedPartialError, match=rf"{name} at \[5, 0\] differs from its record"
        ) as caught:
            maps.check_tile("write-1", (5, 0), (5, 6), digests)
        assert caught.value.key == "write-1"


@given(shape=st.lists(st.integers(1, 10**6), min_size=2, max_size=3).map(tuple))
@settings(max_examples=50)
def test_every_level_halves_until_it_is_small(shape):
    shapes = level_shapes(shape)
    assert shapes[0] == shape
    assert max(shapes[-1]) <= results.SMALLEST_LEVEL
    for fine, coarse in itertools.pairwise(shapes):
        assert max(fine) > results.SMALLEST_LEVEL
        assert coarse == tuple(-(-n // 2) for n in fine)
