"""Choosing tiles within the memory: monotone, refused with numbers, and never wasteful without need."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import next_fast_len

from scorefold.errors import InputError
from scorefold.planning.memory import (
    BASE_BYTES,
    HELD_BASES,
    REFINE_BYTES,
    MemoryModel,
    bases_while_refining,
)
from scorefold.planning.tiling import LARGEST_TRANSFORM, WORTH, Tiling, choose_tiling
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
def test_more_memory_never_costs_more_work(problem):
    shape, box, reach = problem

    def work(limit):
        tiling = choose_tiling(shape, box, reach, memory(limit, box=box))
        voxels = math.prod(tiling.fft_shape)
        return math.prod(tiling.grid) * voxels * math.log2(voxels)

    assert work(8 * 2**30) <= WORTH * work(BASE_BYTES + 100 * MEBIBYTE)


@pytest.mark.parametrize("edge", [160, 192, 224, 256, 320])
def test_a_larger_transform_is_only_taken_for_much_less_work(edge):
    """Of all that fits and costs up to a twentieth more than the least, the smallest transform is taken."""
    shape, box, reach = (edge,) * 3, (48,) * 3, ((23, 24),) * 3
    chosen = choose_tiling(shape, box, reach, memory(16 * 2**30, box=box))
    work = {}
    for count in range(1, 8):
        cell = -(-edge // count)
        fft_shape = (next_fast_len((cell if count > 1 else edge - 47) + 47, real=True),) * 3
        if math.prod(fft_shape) <= LARGEST_TRANSFORM:
            cell = fft_shape[0] - 47 if count > 1 else edge
            work[fft_shape] = (-(-edge // cell)) ** 3 * math.prod(fft_shape) * math.log2(math.prod(fft_shape))
    of_chosen = math.prod(chosen.grid) * math.prod(chosen.fft_shape) * math.log2(math.prod(chosen.fft_shape))
    assert of_chosen <= WORTH * min(work.values())
    smaller = [one for one in work if math.prod(one) < math.prod(chosen.fft_shape)]
    assert all(work[one] > WORTH * min(work.values()) for one in smaller) or of_chosen < min(work.values())


def test_who_looks_at_candidates_needs_memory_for_bases_beside_the_tile():
    exact = memory(box=(48,) * 3)
    bases = replace(
        exact, rank=20, basis_bytes=3 * MEBIBYTE, finer_bytes=9 * MEBIBYTE, places_bytes=5 * MEBIBYTE
    )
    small, large = (100,) * 3, (200,) * 3
    assert exact.refine_bytes(large, (400,) * 3) == 0
    least = BASE_BYTES + REFINE_BYTES + 3 * HELD_BASES + 2 * (3 + 9 + 5) * MEBIBYTE
    # Eight bytes of a pixel, and more while it is read.
    assert bases.refine_bytes(small, (400,) * 3) > least + 8 * 148**3
    assert bases.refine_bytes(small, (400,) * 3) < bases.refine_bytes(large, (400,) * 3)
    assert bases.refine_bytes(large, (60,) * 3) < bases.refine_bytes(small, (400,) * 3), (
        "no more than the target"
    )


def test_tiles_leave_room_to_look_at_candidates():
    shape, box, reach = (400,) * 3, (24,) * 3, ((11, 12),) * 3
    model = replace(memory(900 * MEBIBYTE, box=box), rank=4, finer_bytes=40 * MEBIBYTE)
    tiling = choose_tiling(shape, box, reach, model)
    assert model.refine_bytes(tiling.fft_shape, shape) <= model.limit
    with pytest.raises(InputError, match="needs"):
        choose_tiling(shape, box, reach, replace(model, finer_bytes=200 * MEBIBYTE))


def test_bases_get_half_of_the_room_and_never_less_than_while_searching():
    assert bases_while_refining(2**30, 2) == 2**28
    assert bases_while_refining(2**30, 3) == 2**29 // 3
    assert bases_while_refining(-5, 2) == HELD_BASES


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
