"""Law: same inspection, same bytes: on any number of workers, in any order, cut anyhow, after any crash."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from scorefold.cluster import drive, open_run, run_progress
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.inspect.train_run import LEARN
from scorefold.cluster.local import local_cluster

pytestmark = pytest.mark.timeout(170)


@pytest.fixture(scope="module")
def client():
    with local_cluster(2) as connected:
        yield connected


@pytest.fixture
def start(new_inspection, data_set, model, tmp_path):
    """Make the inspection of all test images and two odd ones, cut in a certain way."""

    def make(name="run", **cut):
        return new_inspection(
            tmp_path / name,
            images=[data_set.root / "test" / "**" / "*.png", data_set.root / "odd" / "*.png"],
            model=model,
            masks=data_set.root / "masks",
            export=("maps", "masks"),
            **{"leaf_images": 2, **cut},
        )

    return make


@pytest.fixture(scope="module")
def known_outputs():
    return {}


@pytest.fixture
def serial_output(start, output, known_outputs):
    def make(*, render):
        if render not in known_outputs:
            run = start(f"serial-{render}")
            drive(run, SerialExecutor(), render=render)
            known_outputs[render] = output(run)
        return known_outputs[render]

    return make


@pytest.fixture
def output(output_of):
    """Return all bytes that an inspection has to show, exports included."""

    def read(run):
        root = Path(run.store.location)
        exported = (path for path in sorted((root / "export").rglob("*")) if path.is_file())
        return output_of(str(root)) | {str(path.relative_to(root)): path.read_bytes() for path in exported}

    return read


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.long)])
def test_a_cluster_of_any_size_writes_what_one_process_writes(
    client, start, serial_output, output, workers, scale
):
    scale(client, workers)
    run = start()
    drive(run, DaskExecutor(client), render=workers == 2)
    assert output(run) == serial_output(render=workers == 2)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_tasks_does_not_matter(start, serial_output, output, seed, shuffled):
    run = start()
    drive(run, shuffled(seed), render=False)
    assert output(run) == serial_output(render=False)


@pytest.mark.parametrize(("leaf_images", "chunk_images"), [(6, 3), (20, 20)])
def test_how_images_are_cut_into_leaves_and_chunks_does_not_matter(
    start, serial_output, output, maps_of, leaf_images, chunk_images
):
    run = start(leaf_images=leaf_images, chunk_images=chunk_images)
    drive(run, SerialExecutor(), render=leaf_images == 20)
    found, expected = output(run), serial_output(render=leaf_images == 20)
    # Zarr's chunks are as many images as a plan puts into one; what they hold is compared below.
    assert {name: data for name, data in found.items() if not name.startswith("results/")} == {
        name: data for name, data in expected.items() if not name.startswith("results/")
    }
    other = start("other")
    drive(other, SerialExecutor(), render=False)
    for what in ("scores", "masks"):
        for one, two in zip(maps_of(run, what), maps_of(other, what), strict=True):
            np.testing.assert_array_equal(one, two)


def test_an_inspection_that_stops_after_any_task_goes_on_to_the_same_bytes(
    start, serial_output, output, stop_after_every_task
):
    run = start(leaf_images=4, chunk_images=1)
    stops = stop_after_every_task(run)
    assert stops > 10
    assert output(run) == serial_output(render=False)


def test_a_killed_driver_is_resumed_on_a_cluster(start, client, serial_output, output, scale):
    class KilledError(BaseException):
        pass

    def kill(progress):
        if progress.done["score_images"] == 3:
            raise KilledError

    scale(client, 2)
    run = start()
    with contextlib.suppress(KilledError):
        drive(run, SerialExecutor(), render=False, on_progress=kill)
    before = run_progress(run, render=False)
    assert 0 < before.done["score_images"] < before.total["score_images"]
    drive(open_run(run.store.location), DaskExecutor(client), render=False)
    assert output(run) == serial_output(render=False)


@pytest.mark.parametrize("method", ["standard", "robust", "gaussian"])
def test_how_good_images_are_cut_into_leaves_does_not_matter(learn, data_set, output_of, tmp_path, method):
    outputs = []
    for leaf_images in (9, 1):
        run = learn(
            tmp_path / str(leaf_images),
            images=[data_set.root / "good"],
            method=method,
            leaf_images=leaf_images,
        )
        arrays = {name: array.tobytes() for name, array in run.store.read_partial(LEARN)[0].items()}
        good = {name: array.tobytes() for name, array in run.model().good.items()}
        outputs.append((arrays, good, output_of(run.store.location)))
    assert outputs[0] == outputs[1]


def test_training_on_a_cluster_learns_what_one_process_learns(
    client, learn, data_set, output_of, tmp_path, scale
):
    from scorefold.cluster import create_training
    from scorefold.planning.inspect_request import TrainRequest
    from scorefold.planning.prepare_inspect import prepare_train

    scale(client, 2)
    serial = learn(tmp_path / "serial", images=[data_set.root / "good"])
    prepared = prepare_train(TrainRequest(images=[data_set.root / "good"], workers=2))
    run = create_training(str(tmp_path / "run"), prepared)
    drive(run, DaskExecutor(client))
    assert output_of(run.store.location) == output_of(serial.store.location)
    for name, array in serial.store.read_partial(LEARN)[0].items():
        assert array.tobytes() == run.store.read_partial(LEARN)[0][name].tobytes()


def test_the_comparison_sees_every_kind_of_output(serial_output):
    output = serial_output(render=True)
    for name in ("tables/images.csv", "tables/images.parquet", "tables/metrics.csv", "report.html"):
        assert name in output
    assert {
        "figures/worst-000.png",
        "export/test/a/a_part-1_mask.png",
        "results/shape-0/masks/c/1/0/0",
    } <= set(output)
