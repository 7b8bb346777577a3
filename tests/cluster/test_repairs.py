"""What a run keeps, repeats, tries again and refuses: partials, repeated tasks, failed and changed targets."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import scorefold
from scorefold.cluster import create_run, drive, tasks
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.match import exact_maps
from scorefold.cluster.match.candidate_tasks import block_edges, blocks
from scorefold.cluster.match.render_tasks import TargetPixels, _reduced
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest

RNG = np.random.default_rng(8)
IMAGES = [RNG.normal(size=(40, 44)) for _ in range(3)]
TEMPLATE = IMAGES[0][10:19, 12:21].copy()


def request_for(paths, **options):
    return MatchRequest(
        targets=[str(path) for path in paths],
        template=TEMPLATE,
        mask="disk",
        step=90,
        threshold=0.9,
        **options,
    )


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"image-{index}.npy" for index in range(3)]
    for path, image in zip(paths, IMAGES, strict=True):
        np.save(path, image)
    return paths


def test_partials_are_removed_as_they_are_merged_unless_they_are_to_stay(new_run, output_of):
    for keep in (False, True):
        run = new_run(f"keep-{keep}", keep_states=keep)
        most = 0

        def count(_, run=run):
            nonlocal most
            most = max(most, sum(key.startswith("score_leaf-") for key in run.store.committed()))

        drive(run, SerialExecutor(), render=False, on_progress=count)
        partials = {key for key in run.store.committed() if key.startswith(("score_leaf-", "merge_"))}
        assert bool(partials) is keep
        assert (most == run.plan.leaf_count) is keep
    assert output_of(new_run_location(run, True)) == output_of(new_run_location(run, False))


def new_run_location(run, keep):
    return str(Path(run.store.location).with_name(f"keep-{keep}"))


def test_committed_work_is_not_done_again_when_a_scheduler_repeats_it(new_run, monkeypatch):
    run = new_run()
    drive(run, SerialExecutor(), render=False)
    calls = Counter()
    monkeypatch.setattr(tasks, "task_of", lambda *_: lambda _, node: calls.update([node.key]))
    for node in run.plan.search_nodes(0):
        assert tasks.run_node(run.reference, node) == node.key
    assert not calls


def test_a_target_that_was_away_is_searched_when_the_run_is_resumed(files, tmp_path):
    run = create_run(str(tmp_path / "run"), prepare_match(request_for(files)))
    hidden = files[0].rename(tmp_path / "away.npy")
    drive(run, SerialExecutor(), render=False)
    assert list(run.failures()) == ["image-0"]
    hidden.rename(files[0])
    again = run.retry_failed()
    drive(again, SerialExecutor(), render=False)
    assert not again.failures()
    picks = scorefold.open_run(tmp_path / "run").picks
    assert picks["target"].tolist() == ["image-0"]
    assert picks[["y", "x"]].round().to_numpy().tolist() == [[14, 16]]


def test_exact_maps_are_made_of_pixels_that_were_read_once(files, tmp_path, monkeypatch):
    run = create_run(str(tmp_path / "run"), prepare_match(request_for(files, engine="compressed")))
    monkeypatch.setattr(exact_maps, "TRANSFORMED_PRODUCTS", -1)  # always too much work
    make, made = exact_maps.ExactMaps._maps, []

    def hide_first(maps):
        files[0].unlink(missing_ok=True)
        made.append(make(maps))
        return made[-1]

    monkeypatch.setattr(exact_maps.ExactMaps, "_maps", hide_first)
    drive(run, SerialExecutor(), render=False)
    assert made
    assert not run.failures()


def test_a_target_that_is_gone_before_its_candidates_are_scored_stops_no_other(files, tmp_path):
    run = create_run(str(tmp_path / "run"), prepare_match(request_for(files, engine="compressed")))

    def remove(progress):
        if progress.last is not None and progress.last.node.stage == "find_candidates":
            files[0].unlink(missing_ok=True)

    drive(run, SerialExecutor(), render=False, on_progress=remove)
    assert list(run.failures()) == ["image-0"]
    assert "searched, but not read again: " in run.failures()["image-0"]


def test_picks_that_could_not_be_refined_are_said_to_be_and_are_when_the_run_is_resumed(files, tmp_path):
    run = create_run(str(tmp_path / "run"), prepare_match(request_for(files)))
    away = tmp_path / "away.npy"

    def hide(progress):
        if progress.last is not None and progress.last.node.stage == "find_candidates" and files[0].exists():
            files[0].rename(away)

    drive(run, SerialExecutor(), render=False, on_progress=hide)
    assert run.failures()["image-0"].startswith("picks not refined: searched, but not read again: ")
    coarse = scorefold.open_run(tmp_path / "run").picks
    assert "image-0" in coarse["target"].tolist()
    away.rename(files[0])
    again = run.retry_failed()
    drive(again, SerialExecutor(), render=False)
    assert not again.failures()
    refined = scorefold.open_run(tmp_path / "run").picks
    assert refined["score"].tolist() == coarse["score"].tolist()


def test_a_target_that_changed_after_planning_is_refused_by_name(files, tmp_path):
    run = create_run(str(tmp_path / "run"), prepare_match(request_for(files)))
    np.save(files[1], IMAGES[1] + 1)
    os.utime(files[1], ns=(1, 1))
    drive(run, SerialExecutor(), render=False)
    assert list(run.failures()) == ["image-1"]
    assert "changed after the run was planned" in run.failures()["image-1"]


def test_a_target_may_be_called_like_a_contact_sheet(tmp_path):
    for name in ("grid-000", "grid-7"):
        np.save(tmp_path / f"{name}.npy", IMAGES[0])
    scorefold.match(
        [tmp_path / "grid-000.npy", tmp_path / "grid-7.npy"], TEMPLATE, out=tmp_path / "run", step=90
    )
    pictures = sorted(
        path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.png")
    )
    assert pictures == ["figures/grid-000.png", "figures/grid-7.png", "figures/sheets/grid-000.png"]


def test_other_picks_leave_no_output_of_the_former_ones(files, tmp_path):
    found = scorefold.match(files[:1], TEMPLATE, out=tmp_path / "run", mask="disk", step=90, threshold=0.9)
    assert Path(found.report).exists()
    found.repick(threshold=0.95, render=False)
    assert not Path(found.report).exists()
    assert not (tmp_path / "run" / "figures").exists()


def test_a_lazy_target_is_read_in_parts_only(tmp_path):
    class Lazy:
        shape, dtype = IMAGES[0].shape, IMAGES[0].dtype

        def __array__(self, *_, **__):
            raise AssertionError("read as a whole")

        def __getitem__(self, region):
            return IMAGES[0][region]

    found = scorefold.match(
        Lazy(), TEMPLATE, out=tmp_path / "run", mask="disk", step=90, threshold=0.9, render=False
    )
    assert len(found.picks) == 1


def test_a_run_that_could_not_be_made_leaves_nothing(files, tmp_path, monkeypatch):
    prepared = prepare_match(request_for(files))

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("scorefold.cluster.match.creation.open_match", interrupt)
    with pytest.raises(KeyboardInterrupt):
        create_run(str(tmp_path / "run"), prepared)
    monkeypatch.undo()
    assert create_run(str(tmp_path / "run"), prepared).job.fingerprint == prepared.job.fingerprint


@pytest.mark.parametrize(
    ("shape", "halo"),
    [((300, 1000, 1000), 33), ((12_000, 12_000), 25), ((7, 5), 3), ((1, 100_000), 0), ((40, 40, 40), 60)],
)
def test_blocks_cover_an_array_once_and_stay_small(shape, halo):
    edges = block_edges(shape, halo)
    padded = [min(edge + 2 * halo, n) for edge, n in zip(edges, shape, strict=True)]
    assert np.prod(padded) <= max(2**21, np.prod([min(3 * max(halo, 16), n) for n in shape]))
    small = tuple(min(n, 3 * edge + 1) for n, edge in zip(shape, edges, strict=True))
    seen = np.zeros(small, np.int8) if np.prod(small) < 10**7 else None
    for core, around in blocks(small, halo):
        assert all(a.start <= c.start < c.stop <= a.stop for c, a in zip(core, around, strict=True))
        if seen is not None:
            seen[core] += 1
    assert seen is None or (seen == 1).all()


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_an_image_is_reduced_to_the_means_of_whole_blocks(factor):
    image = RNG.normal(size=(2001, 1203))
    reduced = _reduced(TargetPixels(lambda region: image[region], image.shape), factor)
    assert reduced.shape == tuple(-(-n // factor) for n in image.shape)
    for row, column in ((0, 0), (reduced.shape[0] // 2, 7), (reduced.shape[0] - 1, reduced.shape[1] - 1)):
        block = image[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert reduced[row, column] == pytest.approx(block.mean(), abs=1e-6)  # float32
