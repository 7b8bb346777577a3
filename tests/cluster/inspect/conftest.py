"""A small data set of a printed part: good images, images with and without defects, masks; and its model."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

SHAPE = (24, 30)
DEFECTS = {"a/part-1": (6, 8, 70), "a/part-3": (14, 20, -70), "b/part-1": (10, 12, 60)}
"""Row, column and contrast of the planted defects, 5 x 5 pixels, by image."""


@pytest.fixture(scope="session")
def data_set(tmp_path_factory):
    """Folders good, test (a/ and b/, with equal file names), masks and odd, and the pixels of all images."""
    rng = np.random.default_rng(11)
    root = tmp_path_factory.mktemp("parts")
    base = 90 + 60 * np.kron(rng.integers(0, 2, (6, 6)), np.ones((4, 5)))
    good = [np.uint8(base + rng.normal(0, 3, SHAPE)) for _ in range(9)]
    test, masks = {}, {}
    for folder, count in (("a", 7), ("b", 4)):
        for index in range(count):
            name = f"{folder}/part-{index}"
            image, mask = base + rng.normal(0, 3, SHAPE), np.zeros(SHAPE, np.uint8)
            if name in DEFECTS:
                y, x, contrast = DEFECTS[name]
                image[y : y + 5, x : x + 5] += contrast
                mask[y : y + 5, x : x + 5] = 255
                masks[name] = mask
            test[name] = np.uint8(np.clip(image, 0, 255))
    paths = {f"good/g{index}": image for index, image in enumerate(good)}
    paths |= {f"test/{name}": image for name, image in test.items()}
    paths |= {f"masks/{name}": mask for name, mask in masks.items()}
    for name, image in paths.items():
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    (root / "odd").mkdir()
    (root / "odd" / "broken.png").write_bytes((root / "good" / "g0.png").read_bytes()[:-90])
    cv2.imwrite(str(root / "odd" / "small.png"), good[0][:10, :12])
    return SimpleNamespace(root=root, good=good, test=test, masks=masks)


@pytest.fixture(scope="session")
def learn():
    """Make, drive and return trainings: ``learn(location, images=..., method=..., ...)``."""
    from scorefold.cluster import create_training, drive
    from scorefold.cluster.executor import SerialExecutor
    from scorefold.planning.inspect_request import TrainRequest
    from scorefold.planning.prepare_inspect import prepare_train

    def make(location, *, leaf_images=None, **options):
        prepared = _cut(prepare_train(TrainRequest(**options)), leaf_images)
        run = create_training(str(location), prepared)
        drive(run, SerialExecutor())
        return run

    return make


@pytest.fixture(scope="session")
def model(data_set, learn, tmp_path_factory):
    """The standard model of the good images."""
    return learn(tmp_path_factory.mktemp("model") / "run", images=[data_set.root / "good"]).model()


@pytest.fixture(scope="session")
def new_inspection():
    """Make inspections: ``new_inspection(location, leaf_images=..., chunk_images=..., images=..., model=..., ...)``."""
    from scorefold.cluster import create_inspection
    from scorefold.planning.inspect_request import InspectRequest
    from scorefold.planning.prepare_inspect import prepare_inspect

    def make(location, *, leaf_images=None, chunk_images=None, **options):
        prepared = _cut(prepare_inspect(InspectRequest(**options)), leaf_images, chunk_images)
        return create_inspection(str(location), prepared)

    return make


@pytest.fixture(scope="session")
def inspect(new_inspection):
    """Make and drive inspections; see `new_inspection`; without pictures unless ``render=True``."""
    from scorefold.cluster import drive
    from scorefold.cluster.executor import SerialExecutor

    def make(location, *, render=False, **options):
        run = new_inspection(location, **options)
        drive(run, SerialExecutor(), render=render)
        return run

    return make


@pytest.fixture(scope="session")
def tables():
    """Read tables of a run: ``tables(run).images`` and ``.defects``, and ``.metrics`` by name if there are any."""
    import pandas as pd

    def read(run):
        folder = Path(run.store.location) / "tables"
        metrics = folder / "metrics.csv"
        return SimpleNamespace(
            images=pd.read_parquet(folder / "images.parquet").set_index("path"),
            defects=pd.read_parquet(folder / "defects.parquet"),
            metrics=pd.read_csv(metrics).set_index("metric") if metrics.exists() else None,
        )

    return read


@pytest.fixture(scope="session")
def maps_of():
    """Read what a run stores of every image, in the order of their ids: "scores" or "masks"; None without maps."""
    import zarr

    def read(run, what="scores"):
        found = []
        for index, group in enumerate(run.plan.groups):
            if all(group.shape):
                array = zarr.open_array(f"{run.store.location}/results/shape-{index}/{what}", mode="r")
                found += list(np.asarray(array[...]))
            else:
                found += [None] * group.count
        return found

    return read


def _cut(prepared, leaf_images=None, chunk_images=None):
    """Return a prepared run with other leaves."""
    groups = []
    for group in prepared.plan.groups:
        chunk = chunk_images or (1 if leaf_images else group.chunk_images)
        leaf = leaf_images or group.leaf_images
        groups.append(dataclasses.replace(group, chunk_images=chunk, leaf_images=-(-leaf // chunk) * chunk))
    return dataclasses.replace(prepared, plan=dataclasses.replace(prepared.plan, groups=tuple(groups)))
