"""The tasks of a training: fold good images, learn, score every good image by the model of the others, report."""

import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.cluster.inspect.image_run import reason
from scorefold.cluster.inspect.scoring import image_score, stored
from scorefold.cluster.inspect.states import empty_states, merge_records, pack
from scorefold.cluster.inspect.train_run import TrainRun
from scorefold.errors import InputError
from scorefold.inspection.inspector import Aligned, Inspector
from scorefold.inspection.polarity import magnitude
from scorefold.inspection.recipe import METHODS
from scorefold.inspection.variation import VariationModel
from scorefold.io.names import readable_path
from scorefold.io.tables import TableWriter
from scorefold.planning.images import ImageEntry
from scorefold.planning.node import Node
from scorefold.rendering import contrast_limits, encode_png, gray_picture
from scorefold.rendering.picture import Picture

NOT_FOUND = "the part was not found in it"


def aligned_image(run: TrainRun, inspector: Inspector, entry: ImageEntry) -> Aligned:
    """Return a good image in the coordinates of the model.

    Raises
    ------
    InputError
        If it cannot be read, does not fit the model, or does not show the part.
    """
    aligned = inspector.align(run.read_image(entry))
    if aligned is None:
        raise InputError(NOT_FOUND)
    return aligned


def fold_images(run: TrainRun, node: Node) -> str:
    """Fold a band of rows of a batch of good images and commit the partial; note images that cannot be used."""
    started = time.monotonic()
    analyzers = run.fold_analyzers(node.target)
    state = analyzers["band"].init_state()
    failures: dict[str, str] = {}
    method, recipe = METHODS[run.recipe.method], run.recipe
    images = run.plan.images_of(node.batch)
    for entry in run.images.rows(images.start, images.stop):
        try:
            aligned = aligned_image(run, run.aligner, entry)
            levels, valid = method.observation(
                recipe, aligned.pixels, aligned.valid, recipe.bands[node.target]
            )
        except (InputError, OSError) as error:
            failures[entry.name] = reason(error, entry.name)
            continue
        state = analyzers["band"](state, levels, None, valid=valid)  # type: ignore[arg-type]
    run.store.commit(
        node.key,
        arrays=pack(analyzers, {"band": analyzers["band"].result(state)}),
        coverage=run.covered(node.batch),
        summary={"failures": failures, "seconds": round(time.monotonic() - started, 3)},
    )
    return node.key


def merge_images(run: TrainRun, node: Node) -> str:
    """Merge what was folded of a band."""
    merge_records(run.store, node.key, node.inputs, run.fold_analyzers(node.target), run.region)
    return node.key


def learn(run: TrainRun, node: Node) -> str:
    """Commit the arrays of the model."""
    results = [run.folded(band) for band in range(len(run.recipe.bands))]
    arrays = METHODS[run.recipe.method].learn(run.recipe, results)
    failed = set()
    for key in node.inputs:
        record = run.store.read_commit(key)
        failed |= set(record.summary["failures"] if record is not None else ())
    added = sum(int(run.array(f"added{number}/images")[0]) for number in range(len(run.job.added)))
    images = run.job.image_count - len(failed) + added
    if not images:
        raise InputError("no good image could be used; see the reasons above")
    run.store.commit(node.key, arrays=arrays, summary={"images": images})
    return node.key


def calibrate(run: TrainRun, node: Node) -> str:
    """Score the good images of a batch, each by the model of the others, and commit the scores."""
    started = time.monotonic()
    analyzers = run.calibration_analyzers
    states = empty_states(analyzers)
    failures: dict[str, str] = {}
    images = run.plan.images_of(node.batch)
    scores = np.full(len(images), np.nan, np.float32)
    for row, entry in enumerate(run.images.rows(images.start, images.stop)):
        try:
            aligned = aligned_image(run, run.inspector, entry)
        except (InputError, OSError) as error:
            failures[entry.name] = reason(error, entry.name)
            continue
        anomaly = magnitude(stored(run.inspector.compare_without(aligned), "float16"), run.recipe.polarity)
        score = image_score(anomaly, run.recipe.kernel_size)
        scores[row] = score
        states["pixels"] = analyzers["pixels"](states["pixels"], anomaly, _NO_ROTATION)
        one = np.array([score])
        states["images"] = analyzers["images"](states["images"], one[np.isfinite(one)], _NO_ROTATION)
        states["moments"] = analyzers["moments"](states["moments"], one.astype(np.float64), _NO_ROTATION)
    results = {name: analyzer.result(states[name]) for name, analyzer in analyzers.items()}
    run.store.commit(
        node.key,
        arrays={**pack(analyzers, results), "scores": scores},
        coverage=run.covered(node.batch),
        summary={"failures": failures, "seconds": round(time.monotonic() - started, 3)},
    )
    return node.key


_NO_ROTATION: NDArray[Any] = np.eye(2)


def merge_calibrations(run: TrainRun, node: Node) -> str:
    """Merge the scores of the good images."""
    merge_records(run.store, node.key, node.inputs, run.calibration_analyzers, run.region)
    return node.key


# The report.

IMAGES_CONVENTION = (
    "One row per good image. score: by the model of the other images, the highest threshold below which a defect is "
    "left; 1 is where the model's tolerance ends. failure: why an image could not be used."
)


def write_report(run: TrainRun, node: Node) -> str:
    """Write the table of good images and pictures of what was learned."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with TableWriter(folder / "images", IMAGES_CONVENTION) as table:
            for leaf in run.plan.leaves("calibrate"):
                arrays, record = run.store.read_partial(leaf.key)
                ids = run.plan.images_of(leaf.batch)
                entries = run.images.rows(ids.start, ids.stop)
                failures = record.summary["failures"]
                table.append(
                    pd.DataFrame(
                        {
                            "name": [entry.name for entry in entries],
                            "path": [readable_path(entry.source.path) for entry in entries],
                            "score": arrays["scores"].astype(np.float64),
                            "failure": [failures.get(entry.name, "") for entry in entries],
                        }
                    )
                )
        files = {f"tables/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    files |= {f"figures/{name}.png": encode_png(picture) for name, picture in _pictures(run).items()}
    for name, data in files.items():
        run.store.blobs.put(name, data)
    run.store.commit(
        node.key, summary={"files": {n: hashlib.sha256(data).hexdigest() for n, data in files.items()}}
    )
    return node.key


def _pictures(run: TrainRun) -> dict[str, Picture]:
    """Return pictures of the model: what a good image looks like, and how much it may vary."""
    model = run.inspector.model
    if not isinstance(model, VariationModel):
        return {}
    tolerance = np.maximum(np.float32(model.absolute), np.float32(model.factor) * model.spread)
    return {
        name: gray_picture(np.where(model.valid, values, np.nan), contrast_limits(values[model.valid]))
        for name, values in (("reference", model.mean), ("tolerance", tolerance))
        if model.valid.any()
    }
