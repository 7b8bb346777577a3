"""What the tests of inspections make of the small data set, and read of it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest


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
