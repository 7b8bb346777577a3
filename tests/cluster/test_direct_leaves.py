"""Leaves of all rotations write the result maps themselves: the same bytes, and no state on the way."""

from pathlib import Path

import pytest

from scorefold.cluster import change_picks, drive, run_progress
from scorefold.cluster.executor import SerialExecutor
from scorefold.planning.job import PickOptions
from scorefold.store import collect_garbage, verify

pytestmark = pytest.mark.timeout(60)

WHOLE = 1000
"""More rotations than there are."""


class StoppedError(Exception):
    """A driver that ends in the midst of a run."""


@pytest.fixture
def direct_run(new_run):
    def make(**options):
        return new_run(rotation_block=WHOLE, keep_states=False, **options)

    return make


@pytest.mark.parametrize(("batch_tiles", "cell"), [(1, None), (2, None), (5, (24, 32))])
def test_maps_are_those_of_stored_states(
    direct_run, output_of, serial_output, batch_tiles, cell, stages_ended
):
    run = direct_run(batch_tiles=batch_tiles, cell=cell)
    assert all(run.plan.is_direct(batch) for batch in range(run.plan.batch_count))
    count = stages_ended(run)
    assert count["score_leaf"] == run.plan.batch_count
    assert run_progress(run, render=False).total["write_result"] == count["write_result"] == 0
    assert not run.store.keys_with_arrays() & {key for key in run.store.committed() if "leaf" in key}
    expected = serial_output() if cell is None else serial_output(rotation_block=WHOLE, cell=cell)
    assert output_of(run.store.location) == expected
    assert not verify(run.store).damaged


def test_only_what_is_not_committed_is_done_after_a_driver_ended(
    direct_run, output_of, serial_output, stages_ended
):
    run = direct_run(batch_tiles=1)

    def stop(progress):
        if progress.done["score_leaf"] == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        drive(run, SerialExecutor(), render=False, on_progress=stop)
    assert stages_ended(run)["score_leaf"] == run.plan.batch_count - 2
    assert output_of(run.store.location) == serial_output()


def test_a_damaged_tile_is_searched_again(direct_run, output_of, serial_output, stages_ended):
    run = direct_run(batch_tiles=1)
    stages_ended(run)
    chunk = next(path for path in Path(run.store.location, "results").rglob("0/c/**/*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-3])
    (damaged,) = verify(run.store).damaged
    assert damaged.startswith("score_leaf-")
    changed = change_picks(run, PickOptions(**{**vars(run.job.picks), "top": 7}))
    assert stages_ended(changed)["score_leaf"] == 1
    assert not verify(run.store).damaged
    maps = {name: data for name, data in serial_output().items() if name.startswith("results")}
    assert {n: d for n, d in output_of(run.store.location).items() if n.startswith("results")} == maps


def test_garbage_is_not_what_says_that_maps_are_written(direct_run, stages_ended):
    run = direct_run()
    stages_ended(run)
    before = run.store.committed()
    collect_garbage(run.store, run.needed())
    assert run.store.committed() == before
    assert not stages_ended(run)


def test_states_that_are_kept_are_stored(new_run, stages_ended):
    run = new_run(rotation_block=WHOLE, keep_states=True)
    assert not run.plan.is_direct(0)
    assert stages_ended(run)["write_result"] == run.plan.batch_count
    assert run.plan.root_key(0) in run.store.keys_with_arrays()
