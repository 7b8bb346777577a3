"""Choosing tiles within the memory: monotone, refused with numbers, and never wasteful without need."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.fft import next_fast_len

from scorefold.errors import InputError
from scorefold.planning.memory import (
    BASE_BYTES,
    HELD_BASES,
    BasisSize,
    MemoryModel,
    margin_of,
    room_for_bases,
)
from scorefold.planning.tiling import LARGEST_TRANSFORM, WORTH, Tiling, all_tilings, choose_tiling
from scorefold.scoring.climbing import FARTHEST
from scorefold.scoring.score import get_score, score_names

MEBIBYTE = 2**20

names = st.sampled_from(score_names())


def memory(limit=2 * 2**30, name="FLC", itemsize=4, box=(16, 16)):
    return MemoryModel(limit, get_score(name), itemsize, box)


@given(
    name=names,
    itemsize=st.sampled_from([4, 8]),
    box=st.tuples(*[st.integers(1, 40)] * 3),
    extra=st.tuples(*[st.integers(0, 200)] * 3),
    axis=st.integers(0, 2),
    tiles=st.integers(1, 40),
)
def test_memory_grows_with_transform_tiles_and_precision(name, itemsize, box, extra, axis, tiles):
    model = memory(name=name, itemsize=itemsize, box=box)
    shape = tuple(b + e for b, e in zip(box, extra, strict=True))
    larger = tuple(n + 2 * (i == axis) for i, n in enumerate(shape))
    for of in (model.leaf_bytes, model.merge_bytes):
        assert BASE_BYTES < of(shape, tiles) < of(larger, tiles)
        assert of(shape, tiles) < of(shape, tiles + 1)
    double = memory(name=name, itemsize=8, box=box)
    assert model.leaf_bytes(shape, tiles) <= double.leaf_bytes(shape, tiles)


@given(name=names, limit=st.integers(BASE_BYTES + MEBIBYTE, 2**34), side=st.integers(20, 1500))
def test_as_many_tiles_fit_as_the_limit_allows_and_no_more(name, limit, side):
    model = memory(limit, name)
    shape = (side, side)
    count = model.tiles_that_fit(shape)
    assert count >= 1

    def fits(tiles):
        return model.leaf_bytes(shape, tiles) <= limit and model.merge_bytes(shape, tiles) <= limit

    assert count == 1 or fits(count)
    assert not fits(count + 1)


@st.composite
def problems(draw):
    ndim = draw(st.sampled_from([2, 3]))
    box = tuple(draw(st.integers(2, 120 if ndim == 2 else 30)) for _ in range(ndim))
    shape = tuple(draw(st.integers(b, 40 * b)) for b in box)
    reach = tuple(((b - 1) // 2, b // 2) for b in box) if draw(st.booleans()) else ((0, 0),) * ndim
    return shape, box, reach


@given(problem=problems(), limit=st.integers(BASE_BYTES + MEBIBYTE, 2**33), name=names)
@settings(deadline=None, max_examples=30)
def test_a_tiling_respects_the_limit_and_its_transforms_hold_its_tiles(problem, limit, name):
    shape, box, reach = problem
    model = memory(limit, name, box=box)
    try:
        tiling = choose_tiling(shape, box, reach, model)
    except InputError:
        # Refused only if not even one position fits.
        assert model.leaf_bytes(tuple(next_fast_len(b, real=True) for b in box), 1) > limit
        return
    assert model.leaf_bytes(tiling.fft_shape, 1) <= limit
    assert all(next_fast_len(n, real=True) == n for n in tiling.fft_shape)
    for tile in itertools.islice(tiling.tiles(), 50):
        assert all(n + b - 1 <= f for n, b, f in zip(tile.shape, box, tiling.fft_shape, strict=True))
    assert Tiling.from_json(tiling.to_json()) == tiling


@given(problem=problems())
@settings(deadline=None, max_examples=20)
def test_more_memory_costs_hardly_more_work(problem):
    shape, box, reach = problem

    def work(limit):
        tiling = choose_tiling(shape, box, reach, memory(limit, box=box))
        voxels = math.prod(tiling.fft_shape)
        return math.prod(tiling.grid) * voxels * math.log2(voxels)

    assert work(8 * 2**30) <= WORTH * work(BASE_BYTES + 100 * MEBIBYTE)


@given(problem=problems())
@settings(deadline=None, max_examples=30)
@example(problem=((192,) * 3, (48,) * 3, ((23, 24),) * 3))
@example(problem=((256,) * 3, (48,) * 3, ((23, 24),) * 3))
def test_of_the_tilings_of_hardly_more_work_than_the_least_the_smallest_transform_is_taken(problem):
    shape, box, reach = problem
    chosen = choose_tiling(shape, box, reach, memory(2**36, box=box))
    largest = max(LARGEST_TRANSFORM, 3 ** len(box) * math.prod(box))
    works = {
        tiling: work
        for work, tiling in all_tilings(shape, box, reach)
        if math.prod(tiling.fft_shape) <= largest
    }
    least = min(works.values())
    assert works[chosen] <= WORTH * least
    for tiling, work in works.items():
        if math.prod(tiling.fft_shape) < math.prod(chosen.fft_shape):
            assert work > WORTH * least, f"{tiling.fft_shape} is smaller than {chosen.fft_shape}"


BASES = BasisSize(
    rank=20,
    partial_bytes=3 * MEBIBYTE,
    finer_bytes=9 * MEBIBYTE,
    held_bytes=40 * MEBIBYTE,
    places_bytes=5 * MEBIBYTE,
    looking_bytes=100 * MEBIBYTE,
)


def test_who_looks_at_candidates_needs_memory_for_bases_beside_the_tile():
    exact = memory(box=(48,) * 3)
    model = replace(exact, bases=BASES)
    small, large = (100,) * 3, (200,) * 3
    assert exact.refine_bytes(large, (400,) * 3) == 0
    # Eight bytes of a pixel, and more while it is read.
    least = BASE_BYTES + (100 + 5) * MEBIBYTE + 8 * 100**3
    assert model.looking_bytes(small, (400,) * 3) > least
    assert (
        model.refine_bytes(small, (400,) * 3)
        == model.looking_bytes(small, (400,) * 3) + (40 + 2 * (3 + 9)) * MEBIBYTE
    )
    assert model.refine_bytes(small, (400,) * 3) < model.refine_bytes(large, (400,) * 3)
    assert model.refine_bytes(small, (60,) * 3) < model.refine_bytes(small, (400,) * 3), (
        "no more than the target"
    )
    wider = replace(model, margin=20)
    assert wider.looking_bytes(small, (400,) * 3) > model.looking_bytes(small, (400,) * 3) + 8 * (
        123**3 - 101**3
    )


def test_every_tile_keeps_the_maps_of_masks_that_other_cells_have_too():
    own = replace(memory(), bases=BasisSize(rank=3, mask_rank=2))
    same = replace(own, bases=replace(own.bases, same_masks=2))
    shape, maps = (100, 100), 2 * 2 * 4 * 85**2
    assert same.leaf_bytes(shape, tiles=1) == own.leaf_bytes(shape, tiles=1)
    assert same.leaf_bytes(shape, tiles=5) == own.leaf_bytes(shape, tiles=5) + 4 * maps


def test_exact_maps_of_a_tile_with_too_many_candidates_have_their_memory():
    exact = memory(box=(8,) * 3)
    model = replace(exact, bases=BasisSize(1))
    shape = (200,) * 3
    assert model.refine_bytes(shape, shape) > exact.leaf_bytes(shape, tiles=1) + 8 * 200**3


def test_tiles_leave_room_to_look_at_candidates():
    shape, box, reach = (400,) * 3, (24,) * 3, ((11, 12),) * 3
    size = BasisSize(4, finer_bytes=100 * MEBIBYTE, looking_bytes=150 * MEBIBYTE)
    model = replace(memory(900 * MEBIBYTE, box=box), bases=size)
    tiling = choose_tiling(shape, box, reach, model)
    assert model.refine_bytes(tiling.fft_shape, shape) <= model.limit
    without = choose_tiling(shape, box, reach, replace(model, bases=None))
    assert math.prod(tiling.fft_shape) < math.prod(without.fft_shape)
    with pytest.raises(InputError, match=r"needs [^;]* or use --engine exact\.$"):
        choose_tiling(shape, box, reach, replace(model, bases=replace(size, finer_bytes=300 * MEBIBYTE)))


def test_bases_get_half_of_the_room_and_never_less_than_while_searching():
    assert room_for_bases(2**30, 2) == 2**28
    assert room_for_bases(2**30, 3) == 2**29 // 3
    assert room_for_bases(-5, 2) == HELD_BASES


@pytest.mark.parametrize(
    ("min_distance", "margin"), [(1.0, FARTHEST + 1), (40.0, 23), (1000.0, 48)], ids=["near", "far", "box"]
)
def test_as_much_around_a_tile_is_known_as_picks_suppress_each_other_from(min_distance, margin):
    assert margin_of(min_distance, (48,) * 3) == margin


def test_a_small_target_is_one_tile():
    tiling = choose_tiling((200, 300), (20, 20), ((9, 10), (9, 10)), memory(box=(20, 20)))
    assert len(list(tiling.tiles())) == 1
    assert tiling.fft_shape == (200, 300)


def test_transforms_stay_below_the_largest_useful_one():
    tiling = choose_tiling((40_000, 40_000), (50, 50), ((0, 0),) * 2, memory(2**36, box=(50, 50)))
    assert math.prod(tiling.fft_shape) <= LARGEST_TRANSFORM


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((4096, 4096), (2123, 2123)),
        ((2500, 2500), (2048, 2048)),
        ((512, 512, 512), (180, 180, 180)),
        ((9000, 60), (6000, 50)),
    ],
)
def test_large_templates_get_larger_transforms(shape, box):
    """A template of 1500² turned in the plane needs more than the usual largest transform."""
    reach = tuple(((b - 1) // 2, b // 2) for b in box)
    tiling = choose_tiling(shape, box, reach, memory(16 * 2**30, box=box))
    assert all(f >= b for f, b in zip(tiling.fft_shape, box, strict=True))


def test_too_little_memory_is_refused_with_the_numbers_and_the_flag():
    with pytest.raises(InputError) as caught:
        choose_tiling((500, 500), (300, 300), ((0, 0),) * 2, memory(BASE_BYTES + MEBIBYTE, box=(300, 300)))
    message = str(caught.value)
    assert message.startswith(f"memory limit {(BASE_BYTES + MEBIBYTE) // MEBIBYTE} MiB: ")
    assert "(500, 500)" in message
    assert "(300, 300)" in message
    assert "--memory-limit" in message
    assert "\n" not in message
    # What it says is needed is enough.
    needed = int(message.split(" needs ")[1].split(" MiB", maxsplit=1)[0])
    choose_tiling((500, 500), (300, 300), ((0, 0),) * 2, memory((needed + 1) * MEBIBYTE, box=(300, 300)))
