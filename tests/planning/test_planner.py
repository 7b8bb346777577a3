"""Making a plan: within the memory, on measured or given times, refused with reasons."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.planning.calibration import Calibration, calibrate
from scorefold.planning.job import SearchOptions
from scorefold.planning.memory import BASE_BYTES, MemoryModel
from scorefold.planning.planner import LARGEST_BATCH, check_fits, make_plan, search_template
from scorefold.rotations import plane_rotations
from scorefold.scoring.fft import available_providers, provider
from scorefold.scoring.score import get_score

GIBIBYTE = 2**30
VALUES = np.random.default_rng(0).normal(size=(9, 12))
ROTATIONS = plane_rotations(10.0)


def quick(shape):
    return Calibration(rotation=1e-3, tile=np.prod(shape) * 1e-8)


def planned(shapes, score="FLC", *, memory_limit=2 * GIBIBYTE, calibration=quick, workers=1, **options):
    search = SearchOptions(score, **options)
    template = search_template(VALUES, np.ones(VALUES.shape, np.float32), ROTATIONS, search)
    return make_plan(
        shapes,
        template,
        ROTATIONS,
        search,
        memory_limit=memory_limit,
        workers=workers,
        calibration=calibration,
    )


def test_targets_of_one_shape_share_a_group_and_all_are_planned():
    plan, estimate = planned([(100, 90), (80, 70), (100, 90)])
    assert [group.targets for group in plan.groups] == [(0, 2), (1,)]
    assert sorted(plan.target_order()) == [0, 1, 2]
    assert estimate.targets == 3
    assert estimate.rotations == plan.rotation_count == len(ROTATIONS)


@pytest.mark.parametrize("score", ["FLC", "MCC", "CC"])
@pytest.mark.parametrize("limit", [BASE_BYTES + 20 * 2**20, GIBIBYTE])
def test_the_largest_leaf_stays_below_the_limit(score, limit):
    plan, estimate = planned([(3000, 2500)] * 3, score, memory_limit=limit)
    assert estimate.worker_bytes <= limit
    memory = MemoryModel(limit, get_score(score), 4, plan.box)
    for group in plan.groups:
        tiles = min(group.batch_tiles, group.tile_count)
        assert memory.leaf_bytes(group.tiling.fft_shape, tiles) <= limit
        assert tiles <= LARGEST_BATCH


def test_tiles_do_not_depend_on_time_or_workers():
    """They decide how states are cut; batches and blocks may follow the machine."""
    slow = planned([(2000, 2000)], calibration=lambda shape: Calibration(1.0, 5.0), workers=7)[0]
    fast = planned([(2000, 2000)], calibration=lambda shape: Calibration(1e-6, 1e-6))[0]
    assert slow.groups[0].tiling == fast.groups[0].tiling
    assert slow.leaf_count > fast.leaf_count


def test_slow_machines_get_shorter_blocks():
    blocks = [
        planned([(500, 500)], calibration=lambda shape, s=seconds: Calibration(0.0, s))[0]
        .groups[0]
        .rotation_block
        for seconds in (0.001, 1.0, 100.0)
    ]
    assert blocks == sorted(blocks, reverse=True)
    assert blocks[-1] == 1


@pytest.mark.parametrize(("leaves", "blocks"), [(0.2, 1), (1.03, 1), (1.4, 1), (2.1, 2), (3.8, 4)])
def test_a_set_is_cut_into_blocks_of_one_length(leaves, blocks):
    """A rest of a few rotations would prepare its tiles for little."""
    shortest, count = 0.25, len(ROTATIONS)  # seconds that a leaf of next to no work is meant to last
    seconds = leaves * shortest / count
    plan = planned([(500, 500)], calibration=lambda _: Calibration(seconds, 0.0))[0]
    block = plan.groups[0].rotation_block
    assert -(-count // block) == blocks
    assert count - (blocks - 1) * block > block - blocks


def test_more_workers_get_more_leaves():
    counts = [planned([(500, 500)] * 4, workers=workers, calibration=lambda _: Calibration(0, 1))[0].leaf_count
              for workers in (1, 4, 16)]  # fmt: skip
    assert counts == sorted(counts)
    assert counts[-1] >= 16


def test_scores_of_partial_overlaps_reach_the_border():
    inside = planned([(60, 60)])[0].groups[0].tiling
    assert inside.reach != ((0, 0), (0, 0))
    for plan in (planned([(60, 60)], "MCC")[0], planned([(60, 60)], pad_edges=True)[0]):
        assert plan.groups[0].tiling.reach == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 60), r"target of shape \(8, 60\): smaller than the template under its mask \(\(9, 12\)\)"),
        ((40, 40, 40), r"3D target of shape \(40, 40, 40\): the template is 2D"),
    ],
)
def test_targets_that_cannot_hold_the_template_are_refused(shape, message):
    rotations = np.eye(2)[None]
    template = search_template(VALUES, np.ones(VALUES.shape, np.float32), rotations, SearchOptions("FLC"))
    check_fits(template, VALUES.shape)
    with pytest.raises(InputError, match=message):
        check_fits(template, shape)


def test_too_little_memory_is_refused():
    with pytest.raises(InputError, match=r"memory limit \d+ MiB: .* Raise --memory-limit"):
        planned([(500, 500)], memory_limit=BASE_BYTES)


def test_time_is_measured_for_few_shapes_only():
    measured = []

    def calibration(shape):
        measured.append(shape)
        return quick(shape)

    planned([(60 + 7 * i, 80 + 11 * i) for i in range(12)], calibration=calibration)
    assert len(measured) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("score", ["CC", "LCC", "FLC", "MCC"])
def test_calibration_folds_as_a_search_does(score, dtype):
    search = SearchOptions(score)
    template = search_template(VALUES, np.ones(VALUES.shape, np.float32), ROTATIONS, search)
    found = calibrate(template, ROTATIONS, get_score(score), provider(), (48, 50), dtype, seconds=0.0)
    assert found.tile > 0
    assert found.rotation >= 0
    assert found.leaf_seconds(3, 10) == pytest.approx(10 * (found.rotation + 3 * found.tile))


def test_calibration_of_a_single_rotation_works():
    template = search_template(
        VALUES, np.ones(VALUES.shape, np.float32), np.eye(2)[None], SearchOptions("NCC")
    )
    assert (
        calibrate(
            template, np.eye(2)[None], get_score("NCC"), provider(), (32, 32), "float32", seconds=0.0
        ).tile
        > 0
    )


@pytest.mark.parametrize("fft", available_providers())
def test_the_plan_carries_the_choice_of_transforms(fft):
    plan, _ = planned([(60, 60)], fft=fft)
    assert bool(plan.wisdom) == (fft == "fftw")
