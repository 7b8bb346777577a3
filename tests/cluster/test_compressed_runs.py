"""Runs of the compressed engine: the same bytes however they are cut, and the picks of the exact engine."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import zarr
from pandas.testing import assert_frame_equal
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from skimage import data

from scorefold import Match, match
from scorefold.cluster import change_picks, create_run, drive, open_match
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.local import local_cluster
from scorefold.cluster.match import candidate_tasks, exact_maps
from scorefold.cluster.match.exact_maps import ExactMaps
from scorefold.cluster.match.likely_picks import ACROSS
from scorefold.cluster.match.refine_tasks import read_refined
from scorefold.errors import InputError
from scorefold.planning.job import PickOptions
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.rotations import angle_to_matrix
from scorefold.scoring.lowpass import low_passed
from scorefold.scoring.masks import template_mask
from scorefold.store import collect_garbage, verify
from scorefold.testing.planting import chain_density, plant

pytestmark = pytest.mark.timeout(120)

OPTIONS = {"mask": "disk", "step": 3, "threshold": 0.6, "fft": "scipy", "top": 20, "engine": "compressed"}


@pytest.fixture(scope="module")
def cells(targets):
    """The search of four targets at 120 angles in cells of 30 degrees."""
    *images, template = targets
    return prepare_match(MatchRequest(targets=images, template=template, cell_angle=30, **OPTIONS))


@pytest.mark.system
def test_how_cells_with_turning_masks_are_batched_does_not_matter(targets, cut, output_of, tmp_path):
    *images, template = targets
    options = OPTIONS | {"mask": "none"}
    search = prepare_match(MatchRequest(targets=images, template=template, cell_angle=30, **options))
    outputs = []
    for block, batch_tiles in ((12, 1), (1, 4), (5, 3)):
        run = create_run(
            str(tmp_path / f"run-{block}"), cut(search, rotation_block=block, batch_tiles=batch_tiles)
        )
        drive(run, SerialExecutor(), render=False)
        outputs.append(output_of(run.store.location))
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.fixture
def new_cells_run(cells, cut, tmp_path):
    def make(name="run", *, keep_states=True, block=5, batch_tiles=2, cell=None):
        search = cut(cells, rotation_block=block, batch_tiles=batch_tiles, cell=cell)
        return create_run(str(tmp_path / name), search, keep_states=keep_states)

    return make


@pytest.fixture(scope="module")
def serial(cells, output_of, tmp_path_factory):
    run = create_run(str(tmp_path_factory.mktemp("serial") / "run"), cells, keep_states=True)
    drive(run, SerialExecutor(), render=False)
    return output_of(run.store.location)


def test_cells_are_the_steps_of_the_plan(cells):
    assert cells.job.search.engine == "compressed"
    assert cells.plan.step_count == 12
    assert cells.plan.rotation_count == 120
    assert cells.estimate.rotations == 120


@pytest.mark.parametrize(("block", "batch_tiles"), [(12, 1), (1, 4), (5, 3)])
def test_how_cells_and_tiles_are_batched_does_not_matter(
    new_cells_run, serial, output_of, block, batch_tiles
):
    run = new_cells_run(block=block, batch_tiles=batch_tiles)
    drive(run, SerialExecutor(), render=False)
    assert output_of(run.store.location) == serial


def test_tiles_that_meet_at_candidates_may_be_batched_anyhow(new_cells_run, output_of):
    """Copies lie at (20, 30) and (36, 52): tiles of 35 by 29 have borders next to both."""
    outputs = []
    for batch_tiles in (1, 4):
        run = new_cells_run(f"run-{batch_tiles}", batch_tiles=batch_tiles, block=12, cell=(35, 29))
        drive(run, SerialExecutor(), render=False)
        outputs.append(output_of(run.store.location))
    assert outputs[1] == outputs[0]


@pytest.fixture
def maps_made(monkeypatch):
    """Return how many voxels of interest exact maps of tiles had, by tile."""
    made = []

    def found(maps, *options):
        assert not maps._run.bases._held, "maps need the memory of bases"
        result = find(maps, *options)
        made.append(len(result[0]))
        return result

    find = ExactMaps.found
    monkeypatch.setattr(ExactMaps, "found", found)
    return made


@pytest.mark.parametrize(
    ("min_distance", "refine", "maps"),
    [
        pytest.param(*one, marks=pytest.mark.system)
        for one in [(4.0, True, False), (12.0, False, False), (4.0, True, True), (12.0, False, True)]
    ],
)
def test_picks_are_the_exact_engines_however_targets_are_tiled(
    targets, new_cells_run, maps_made, monkeypatch, min_distance, refine, maps
):
    """Low thresholds give many picks, whose rivals lie in other tiles."""
    *images, template = targets
    monkeypatch.setattr(exact_maps, "TRANSFORMED_PRODUCTS", 0 if maps else 2**40)
    picks = {"threshold": 0.45, "min_distance": min_distance, "top": None, "refine": refine}
    options = OPTIONS | picks | {"engine": "exact", "render": False, "scheduler": "serial"}
    expected = match(images, template, **options).picks
    for cell in (None, (35, 29), (13, 17)):
        run = new_cells_run(f"run-{cell}", block=12, cell=cell)
        drive(run, SerialExecutor(), render=False)
        again = change_picks(run, dataclasses.replace(run.job.picks, **picks))
        drive(again, SerialExecutor(), render=False)
        assert_frame_equal(Match(run.store.location).picks, expected, rtol=1e-5, atol=2e-5)
        assert bool(maps_made) == maps


def test_the_order_of_tasks_does_not_matter(new_cells_run, serial, output_of, shuffled):
    run = new_cells_run(block=2)
    drive(run, shuffled(1), render=False)
    assert output_of(run.store.location) == serial


@pytest.mark.system
def test_workers_write_what_one_process_writes(new_cells_run, serial, output_of):
    runs = [new_cells_run(name, block=3, keep_states=False) for name in ("alone", "cluster")]
    drive(runs[0], SerialExecutor(), render=False)
    with local_cluster(2) as client:
        drive(runs[1], DaskExecutor(client), render=False)
        assert output_of(runs[1].store.location) == output_of(runs[0].store.location) == serial
        # Other picks need the bases again, which tasks wait for.
        picks = dataclasses.replace(runs[0].job.picks, threshold=0.4, min_distance=4.0)
        changed = []
        for run, executor in zip(runs, (SerialExecutor(), DaskExecutor(client)), strict=True):
            run.store.forget([node.key for node in run.plan.compress_nodes()])
            changed.append(change_picks(run, picks))
            drive(changed[-1], executor, render=False)
    assert output_of(changed[1].store.location) == output_of(changed[0].store.location) != serial


def test_bases_that_were_collected_are_made_again_for_a_damaged_map(new_cells_run, serial, output_of):
    run = new_cells_run(keep_states=False)
    drive(run, SerialExecutor(), render=False)
    collect_garbage(run.store, run.needed())
    assert not any(key.startswith("compress-") for key in run.store.committed())
    chunk = next(
        p
        for p in sorted((Path(run.store.location) / "results").rglob("*"))
        if "/c/" in str(p) and p.is_file()
    )
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    found = verify(run.store)
    assert found.damaged
    for key, reason in found.damaged.items():
        run.store.discard(key, reason)
    assert set(run.plan.compress_nodes()) <= set(
        open_match(run.store.location).missing(run.store.committed(), render=False)
    )
    drive(open_match(run.store.location), SerialExecutor(), render=False)
    assert output_of(run.store.location) == serial


def test_a_run_that_stops_after_any_task_goes_on_to_the_same_bytes(
    new_cells_run, serial, output_of, stop_after_every_task
):
    run = new_cells_run(block=6)
    stops = stop_after_every_task(run)
    assert stops > 10
    assert output_of(run.store.location) == serial


def test_damaged_bases_are_made_again(new_cells_run, serial, output_of):
    run = new_cells_run()
    key = run.plan.compress_nodes()[0].key
    damaged = []

    def damage(progress):
        if progress.last is not None and progress.last.node.key == key and not damaged:
            record = Path(run.store.location) / "commits" / f"{key}.json"
            record.write_bytes(record.read_bytes()[:-40])
            damaged.append(key)

    drive(run, SerialExecutor(), render=False, on_progress=damage)
    assert output_of(run.store.location) == serial


def test_a_template_that_nearly_repeats_itself_has_the_rotation_of_the_exact_engine():
    """Half a turn away lies a rotation that is almost as good, in another cell."""
    rng = np.random.default_rng(2)
    half = gaussian_filter(rng.normal(size=(21, 21)), 1.5)
    template = half + np.rot90(half, 2) + 0.05 * gaussian_filter(rng.normal(size=(21, 21)), 1.5)
    image = rng.normal(scale=0.06, size=(90, 200))
    places = [[30.0, 30.0 + 35 * i] for i in range(5)] + [[65.0, 30.0 + 35 * i] for i in range(5)]
    turns = angle_to_matrix(rng.uniform(0, 360, 10))
    plant(image, template, np.ones(template.shape), places, turns, add=True)
    options = {**OPTIONS, "threshold": 0.5, "refine": False, "render": False, "scheduler": "serial"}
    compressed = match(image, template, cell_angle=30, **options)
    exact = match(image, template, **(options | {"engine": "exact"}))
    assert len(exact.picks) >= 8
    assert_frame_equal(compressed.picks, exact.picks, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mask", ["disk", "none"])
def test_picks_are_those_of_the_exact_engine(targets, mask):
    *images, template = targets
    options = {**OPTIONS, "mask": mask, "render": False, "scheduler": "serial"}
    compressed = match(images, template, cell_angle=30, **options)
    exact = match(images, template, **(options | {"engine": "exact"}))
    assert len(exact.picks) >= 4
    assert_frame_equal(compressed.picks, exact.picks, rtol=1e-5, atol=1e-5)
    # The maps differ, and say so.
    maps = zarr.open_group(compressed.location, mode="r")["results"]
    made = maps["array-0000/scores"].attrs["scorefold"]
    assert made["engine"] == "compressed"
    assert 0 < made["residual_rms"] <= 0.3 <= made["residual_largest"] + 0.3
    difference = np.abs(np.asarray(compressed.scores["array-0000"]) - np.asarray(exact.scores["array-0000"]))
    assert 0 < difference.max() <= made["residual_largest"]


@pytest.mark.system
def test_picks_in_volumes_are_those_of_the_exact_engine_with_a_mask_that_turns():
    rng = np.random.default_rng(4)
    particle = chain_density(rng, 12, blur=1.0)
    mask = template_mask("ellipse", particle.shape, radius=(5.0, 4.0, 3.0))
    volume = rng.normal(scale=0.4 * particle.std(), size=(20, 22, 32))
    places = [[9.0, 9.0, 10.0], [11.0, 12.0, 23.0]]
    plant(volume, particle, mask, places, Rotation.random(2, rng=5).as_matrix(), add=True)
    options = {"mask": mask, "step": 30, "threshold": 0.4, "top": 12, "render": False, "scheduler": "serial"}
    exact = match(volume, particle, **options)
    compressed = match(volume, particle, engine="compressed", cell_angle=60, **options)
    assert open_match(compressed.location).plan.cell_turns == 24
    assert len(exact.picks) >= 2
    assert_frame_equal(compressed.picks, exact.picks, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("scene", "threshold", "maps"),
    [
        ("coins", 0.5, True),
        *(
            pytest.param(*one, marks=pytest.mark.system)
            for one in [("coins", 0.5, False), ("page", 0.35, False), ("brick", 0.5, False)]
        ),
    ],
)
def test_picks_in_photographs_are_those_of_the_exact_engine(scene, threshold, maps, maps_made, monkeypatch):
    """Ridges and jumps of contrast: the highest synthesised score lies voxels from the highest exact one."""
    if not maps:
        monkeypatch.setattr(exact_maps, "TRANSFORMED_PRODUCTS", 2**40)
    image = getattr(data, scene)()[:150, :220].astype(np.float32)
    template = image[60:82, 70:122]
    options = {
        **OPTIONS,
        "mask": "none",
        "step": 9,
        "threshold": threshold,
        "min_distance": 5,
        "refine": False,
    }
    options |= {"top": 60, "render": False, "scheduler": "serial"}
    exact = match(image, template, **(options | {"engine": "exact"}))
    compressed = match(image, template, cell_angle=45, **options)
    assert len(exact.picks) >= 10
    assert_frame_equal(compressed.picks, exact.picks, rtol=1e-4, atol=1e-4)
    assert bool(maps_made) == maps


@pytest.mark.parametrize(
    ("height", "top"),
    [
        (3000.0, 4),
        *(
            pytest.param(*one, marks=pytest.mark.system)
            for one in [(100.0, 4), (100.0, None), (3000.0, None)]
        ),
    ],
)
def test_copies_on_a_plateau_are_found_with_a_mask_that_turns(height, top):
    """Far from the mean of the image, and next to a jump of contrast at which maps are too high."""
    rng = np.random.default_rng(0)
    template = gaussian_filter(rng.normal(size=(15, 21)), 1.2)
    template /= template.std()
    image = rng.normal(scale=0.8, size=(120, 160))
    places = [[25.0, 110.0], [55.0, 135.0], [85.0, 108.0], [98.0, 140.0]]
    plant(image, template, np.ones(template.shape), places, angle_to_matrix(rng.uniform(0, 360, 4)), add=True)
    image[:, 80:] += height
    options = {**OPTIONS, "mask": "none", "step": 9, "threshold": 0.6, "top": top, "render": False}
    options |= {"scheduler": "serial"}
    exact = match(image, template, **(options | {"engine": "exact"}))
    compressed = match(image, template, cell_angle=45, **options)
    assert len(exact.picks) >= 4
    assert_frame_equal(compressed.picks, exact.picks, rtol=1e-3, atol=1e-3)


def test_a_low_passed_template_is_searched_for_alike_by_both_engines(targets):
    *images, template = targets
    options = {**OPTIONS, "render": False, "scheduler": "serial"}
    compressed = match(images, template, cell_angle=30, lowpass=0.5, **options)
    exact = match(images, template, lowpass=0.5, **(options | {"engine": "exact"}))
    assert len(exact.picks) >= 4
    assert_frame_equal(compressed.picks, exact.picks, rtol=1e-5, atol=1e-5)
    # As if it had been filtered before.
    filtered = match(images, low_passed(np.asarray(template, float), 0.5), **(options | {"engine": "exact"}))
    assert_frame_equal(exact.picks, filtered.picks)


def test_every_pick_is_refined_and_what_is_sure_to_be_suppressed_is_not(targets):
    *images, template = targets
    options = {**OPTIONS, "threshold": 0.45, "min_distance": 12, "render": False, "scheduler": "serial"}
    found = match(images, template, cell_angle=30, **options)
    run = open_match(found.location)
    candidates_near = 0
    for index in range(len(images)):
        refined, _ = read_refined(run, index)
        candidates, _ = run.store.read_partial(run.plan.candidate_node(index, run.job.picks.digest).key)
        picks, _ = run.store.read_partial(run.plan.pick_node(index, run.job.picks.digest).key)
        assert len(picks["matrices"])
        for matrix in picks["matrices"]:
            assert (refined.pose_rotations == matrix).all(axis=(1, 2)).any()
        near = KDTree(picks["positions"])
        candidates_near += int((near.query(candidates["positions"])[0] <= 12).sum()) - len(picks["matrices"])
        maxima = refined.voxels[refined.maxima]
        # Positions of picks lie up to a voxel from the maxima.
        for voxels, distance in ((refined.pose_voxels, 12), (maxima, 12 - ACROSS - 1)):
            assert (near.query(voxels)[0] <= distance).sum() == len(picks["matrices"])
    assert candidates_near > 10


def test_other_picks_are_scored_exactly_too_when_the_bases_are_gone(targets):
    *images, template = targets
    options = {**OPTIONS, "render": False, "scheduler": "serial"}
    compressed = match(images, template, cell_angle=30, **options)
    run = open_match(compressed.location)
    assert all(not key.startswith("compress-") for key in run.needed())
    run.store.forget([node.key for node in run.plan.compress_nodes()])
    exact = match(images, template, **(options | {"engine": "exact"}))
    before = len(exact.picks)
    again = compressed.repick(threshold=0.45, min_distance=4, render=False)
    expected = exact.repick(threshold=0.45, min_distance=4, render=False)
    assert len(expected.picks) > before
    assert_frame_equal(again.picks, expected.picks, rtol=1e-5, atol=1e-5)


def test_automatic_thresholds_agree(targets):
    *images, template = targets
    options = {
        **OPTIONS,
        "threshold": "auto",
        "false_positives": 0.01,
        "render": False,
        "scheduler": "serial",
    }
    compressed = match(images, template, cell_angle=30, **options)
    exact = match(images, template, **(options | {"engine": "exact"}))
    thresholds = []
    for found in (compressed, exact):
        run = open_match(found.location)
        record = run.store.read_commit(run.plan.pick_node(0, run.job.picks.digest).key)
        thresholds.append(record.summary["threshold"])
        assert (
            record.summary["tests"]
            == open_match(exact.location)
            .store.read_commit(run.plan.pick_node(0, run.job.picks.digest).key)
            .summary["tests"]
        )
    assert thresholds[0] == pytest.approx(thresholds[1], rel=0.01)


def test_only_what_is_sure_to_be_suppressed_is_left_out():
    """A > B > C on a line: A will suppress B, so that B suppresses nobody."""
    options = PickOptions(min_distance=40.0)
    line = np.array([[100, 100], [100, 130], [100, 160], [100, 101]])
    values = np.array([0.9, 0.8, 0.7, 0.5])
    suppressed = candidate_tasks._suppressed(line, values, 4, (200, 300), options, 0.3, 0.1, 0.02)
    assert suppressed.tolist() == [False, False, False, True]
    # Next to the border, near the threshold or beside a rival, nothing is sure.
    for shape, threshold in (((115, 300), 0.3), ((200, 300), 0.895)):
        nothing = candidate_tasks._suppressed(line, values, 4, shape, options, threshold, 0.1, 0.02)
        assert not nothing.any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask": "none", "score": "NCC"}, ("with score NCC the mask must not change", "--score FLC")),
        ({"score": "LCC"}, ("LCC is not linear", "--engine exact")),
        ({"score": "MCC"}, ("MCC is not linear",)),
        ({"engine": "fast"}, ('engine "fast"', "exact, compressed, auto")),
        ({"tolerance": 0}, ("tolerance 0", "between 0 and 1")),
        ({"tolerance": float("nan")}, ("tolerance nan",)),
        ({"cell_angle": -4}, ("cell angle -4", "degrees")),
    ],
)
def test_what_cannot_be_compressed_is_refused(targets, changes, words):
    *images, template = targets
    with pytest.raises(InputError) as caught:
        prepare_match(MatchRequest(targets=images, template=template, **(OPTIONS | changes)))
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_auto_takes_an_engine_that_can(targets):
    *images, template = targets
    request = MatchRequest(
        targets=images[:1], template=template, **(OPTIONS | {"engine": "auto", "score": "MCC"})
    )
    search = prepare_match(request).job.search
    assert (search.engine, search.cell_angle, search.tolerance) == ("exact", None, None)
    request = MatchRequest(targets=images[:1], template=template, **(OPTIONS | {"engine": "auto"}))
    assert prepare_match(request).job.search.engine in ("exact", "compressed")


def test_auto_takes_the_exact_engine_where_the_other_has_no_room(targets):
    *images, template = targets
    request = MatchRequest(targets=images[:1], template=template, **OPTIONS)
    exact, compressed = (
        prepare_match(dataclasses.replace(request, engine=engine)).estimate.worker_bytes
        for engine in ("exact", "compressed")
    )
    request = dataclasses.replace(request, memory_limit=(exact + compressed) // 2)
    with pytest.raises(InputError, match=r"memory limit 4\d\d MiB.* or use --engine exact"):
        prepare_match(request)
    search = prepare_match(dataclasses.replace(request, engine="auto"))
    assert search.job.search.engine == "exact"
