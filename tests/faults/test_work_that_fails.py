"""Targets that vanish, tasks that raise, workers and schedulers that die: what can be done is done, nothing hangs."""

import os
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from distributed import Client, Future

from scorefold.cli.application import application
from scorefold.cluster import create_run, drive, open_match, run_progress, tasks
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.failures import ATTEMPTS, OUR_ERRORS
from scorefold.cluster.graph import RETRIES, DaskExecutor
from scorefold.errors import StoreError
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def file_run(tmp_path, targets):
    """A run on three files."""
    *images, template = targets
    for index, image in enumerate([images[0], images[1], images[3]]):
        np.save(tmp_path / f"image-{index}.npy", image)
    request = MatchRequest(
        targets=[str(tmp_path / f"image-{index}.npy") for index in range(3)],
        template=template,
        mask="disk",
        step=45,
        threshold=0.7,
        fft="scipy",
    )
    return create_run(str(tmp_path / "run"), prepare_match(request))


@pytest.fixture(scope="module")
def client():
    """A worker in this process, where tasks can be replaced."""
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as connected:
        yield connected


def unlink(path):
    path.unlink()


def spoil(path):
    path.write_bytes(b"not an array")


@pytest.mark.parametrize("harm", [unlink, spoil])
def test_a_target_that_cannot_be_read_any_more_is_a_failure_and_the_others_are_searched(
    tmp_path, file_run, harm
):
    harm(tmp_path / "image-2.npy")
    drive(file_run, SerialExecutor())
    assert list(file_run.failures()) == ["image-2"]
    assert 'target "image-2"' in file_run.failures()["image-2"]
    picks = pd.read_parquet(tmp_path / "run/tables/picks.parquet")
    assert set(picks["target"]) == {"image-0", "image-1"}
    images = pd.read_parquet(tmp_path / "run/tables/images.parquet").set_index("target")
    assert images.loc["image-2", "failure"]
    assert not images.loc["image-0", "failure"]
    assert run_progress(file_run, render=True).done == run_progress(file_run, render=True).total


def rewrite(path):
    np.save(path, np.load(path))
    os.utime(path, ns=(7, 7))


def change(path):
    image = np.load(path)
    image[0, 0] += 1
    np.save(path, image)
    os.utime(path, ns=(7, 7))


def test_a_target_that_was_written_again_with_other_pixels_is_refused_with_both_digests(tmp_path, file_run):
    rewrite(tmp_path / "image-0.npy")
    change(tmp_path / "image-1.npy")
    drive(file_run, SerialExecutor(), render=False)
    (target,) = [target for target in file_run.job.targets if target.name == "image-1"]
    assert list(file_run.failures()) == ["image-1"]
    told = file_run.failures()["image-1"]
    assert f"was {target.digest[:16]}…" in told
    assert len(set(re.findall("[0-9a-f]{16}", told))) == 2


def test_a_target_that_vanishes_after_it_was_searched_keeps_its_picks(tmp_path, file_run):
    def vanish(progress):
        if progress.last and progress.last.node.stage == "call_picks":
            (tmp_path / "image-1.npy").unlink(missing_ok=True)

    drive(file_run, SerialExecutor(), on_progress=vanish)
    assert file_run.failures()["image-1"].startswith("searched, but not drawn")
    assert set(pd.read_parquet(tmp_path / "run/tables/picks.parquet")["target"]) >= {"image-1"}
    assert not (tmp_path / "run/figures/image-1.png").exists()
    assert (tmp_path / "run/figures/image-0.png").exists()
    assert (tmp_path / "run/report.html").exists()


def test_the_command_line_says_what_failed(tmp_path, file_run, capsys):
    (tmp_path / "image-0.npy").unlink()
    options = ["--scheduler", "serial", "--no-render", "-q"]
    assert application(["resume", str(tmp_path / "run"), *options], standalone_mode=False) == 1
    assert capsys.readouterr().err.startswith("failed  image-0: ")


@pytest.fixture
def broken_merge(monkeypatch):
    """Make merges raise, a number of times each; return how often each was called."""

    def breaks(times, error=RuntimeError):
        calls = Counter()
        task_of = tasks.task_of

        def merge(run, node):
            calls[node.key] += 1
            if calls[node.key] <= times:
                raise error("the disk\nis on fire")
            return task_of("match", "merge")(run, node)

        monkeypatch.setattr(
            tasks, "task_of", lambda kind, stage: merge if stage == "merge" else task_of(kind, stage)
        )
        return calls

    return breaks


@pytest.mark.parametrize("dask", [False, True], ids=["serial", "dask"])
def test_a_task_that_always_raises_ends_the_run_and_says_how_to_go_on(new_run, broken_merge, client, dask):
    calls = broken_merge(10**6)
    run = new_run(rotation_block=6)
    message = r"^merge_l0-b000000.-000000: failed 3 times \(the disk is on fire\)\. .*scorefold resume /"
    with pytest.raises(StoreError, match=message):
        drive(run, DaskExecutor(client) if dask else SerialExecutor(), render=False)
    assert max(calls.values()) == ATTEMPTS * (RETRIES + 1 if dask else 1)
    assert run_progress(run, render=False).done["score_leaf"] == run.plan.leaf_count


@pytest.mark.parametrize("error", OUR_ERRORS)
def test_an_error_of_the_program_ends_the_run_at_once(new_run, broken_merge, error):
    calls = broken_merge(10**6, error)
    message = (
        rf"^merge_\S+: internal error, {error.__name__}: .*the disk.*\. What is done .*scorefold resume /"
    )
    with pytest.raises(StoreError, match=message):
        drive(new_run(rotation_block=6), SerialExecutor(), render=False)
    assert list(calls.values()) == [1]


@pytest.mark.parametrize("dask", [False, True], ids=["serial", "dask"])
def test_what_is_kept_after_a_failure_is_not_done_again(
    new_run, output_of, serial_output, broken_merge, client, dask, monkeypatch
):
    run = new_run(rotation_block=6)
    broken_merge(10**6)
    with pytest.raises(StoreError):
        drive(run, SerialExecutor(), render=False)
    monkeypatch.undo()
    ended = Counter()
    drive(
        open_match(run.store.location),
        DaskExecutor(client) if dask else SerialExecutor(),
        render=False,
        on_progress=lambda p: ended.update([p.last.node.stage] if p.last else []),
    )
    assert ended["score_leaf"] == 0
    assert ended["merge"] == run.plan.merge_count
    assert output_of(run.store.location) == serial_output()


def test_a_task_that_raises_now_and_then_does_not_stop_the_run(new_run, broken_merge):
    calls = broken_merge(ATTEMPTS - 1)
    run = new_run(rotation_block=6)
    drive(run, SerialExecutor(), render=False)
    assert set(calls.values()) == {ATTEMPTS}


def test_what_needs_failed_work_is_not_blamed(new_run, broken_merge, client):
    """Every merge fails once; the tasks behind them are more than the attempts that one may have."""
    run = new_run(rotation_block=6)
    calls = broken_merge(RETRIES + 1)
    outcomes = []
    drive(
        run,
        DaskExecutor(client),
        render=False,
        on_progress=lambda p: outcomes.append(p.last) if p.last else None,
    )
    collateral = [outcome.node.stage for outcome in outcomes if outcome.collateral]
    assert set(collateral) == {"write_result", "find_candidates", "refine", "call_picks", "report"}
    assert {o.node.stage for o in outcomes if o.error is not None and not o.collateral} == {"merge"}
    assert set(calls.values()) == {RETRIES + 2}


def test_a_lost_task_is_a_failure(new_run, client):
    """What a scheduler forgets has neither result nor error."""
    run = new_run(rotation_block=6)
    wave = run.plan.search_nodes(0)
    outcomes = []
    for outcome in DaskExecutor(client).run(run.reference, wave):
        if not outcomes:
            waiting = [key for key, state in client.futures.items() if state.status == "pending"]
            client.cancel([Future(key, client=client) for key in waiting], force=True)
        outcomes.append(outcome)
    assert {outcome.node.key for outcome in outcomes} == {node.key for node in wave}
    assert any(outcome.error is not None for outcome in outcomes)
