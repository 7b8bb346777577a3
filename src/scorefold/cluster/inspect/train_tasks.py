"""The tasks of a training: fold good images, learn, score every good image by the model of the others, report."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.cluster.inspect.image_run import reason
from scorefold.cluster.inspect.scoring import ScoredImage
from scorefold.cluster.inspect.states import empty_states, fold, merge_records, pack, results_of
from scorefold.cluster.inspect.train_run import TrainRun
from scorefold.cluster.suspects import find_killers
from scorefold.errors import InputError
from scorefold.inspection.inspector import Aligned, Inspector
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
    states = empty_states(analyzers)
    method, recipe = METHODS[run.recipe.method], run.recipe
    band = recipe.bands[node.target]
    images = run.plan.images_of(node.batch)
    aligner = run.aligner
    entries = run.images.rows(images.start, images.stop)
    failures = find_killers(
        run.store, node, ((entry.name, partial(aligned_image, run, aligner, entry)) for entry in entries)
    )
    for entry in entries:
        if entry.name in failures:
            continue
        try:
            aligned = aligned_image(run, aligner, entry)
            levels, valid = method.observation(recipe, aligned.pixels, aligned.valid, band)
        except Exception as error:  # noqa: BLE001 - damaged images raise exceptions of many kinds
            failures[entry.name] = reason(error, entry.name)
            continue
        fold(analyzers, states, "band", levels, valid=valid)
    run.store.commit(
        node.key,
        arrays=pack(analyzers, results_of(analyzers, states)),
        coverage=run.covered(node.batch),
        summary={"failures": failures, "seconds": round(time.monotonic() - started, 3)},
    )
    return node.key


def merge_images(run: TrainRun, node: Node) -> str:
    """Merge what was folded of a band; the parts, which may be large, are not kept."""
    merge_records(run.store, node.key, node.inputs, run.fold_analyzers(node.target), run.region)
    run.store.let_go(node.inputs)
    return node.key


def learn(run: TrainRun, node: Node) -> str:
    """Commit the arrays of the model."""
    method = METHODS[run.recipe.method]
    failures: dict[str, str] = {}
    for key in node.inputs:
        failures |= run.store.require_commit(key).summary["failures"]
    added = sum(int(run.array(f"added{number}/images")[0]) for number in range(len(run.job.added)))
    images = run.job.image_count - len(failures) + added
    if images < method.least_images:
        first = next((f' "{name}": {text}.' for name, text in failures.items()), "")
        raise InputError(
            f"method {run.recipe.method}: of {run.job.image_count} good images {images} could be used, and it needs "
            f"{method.least_images}.{first}"
        )
    results = [run.folded(band) for band in range(len(run.recipe.bands))]
    arrays = method.learn(run.recipe, results)
    run.store.commit(node.key, arrays=arrays, summary={"images": images, "failures": failures})
    return node.key


def calibrate(run: TrainRun, node: Node) -> str:
    """Score the good images of a batch, each by the model of the others, and commit the scores."""
    started = time.monotonic()
    learned = run.learned()
    inspector = learned.inspector
    analyzers = run.calibration_analyzers
    states = empty_states(analyzers)
    failures: dict[str, str] = {}
    images = run.plan.images_of(node.batch)
    scores = np.full(len(images), np.nan, np.float16)
    for row, entry in enumerate(run.images.rows(images.start, images.stop)):
        if entry.name in learned.failures:  # what is not part of the model cannot be taken out of it
            failures[entry.name] = learned.failures[entry.name]
            continue
        try:
            signed = inspector.compare_without(aligned_image(run, inspector, entry))
        except Exception as error:  # noqa: BLE001 - damaged images raise exceptions of many kinds
            failures[entry.name] = reason(error, entry.name)
            continue
        scored = ScoredImage.of(
            signed, "float16", polarity=run.recipe.polarity, kernel_size=run.recipe.kernel_size
        )
        scores[row] = scored.score
        fold(analyzers, states, "pixels", scored.anomaly)
        fold(analyzers, states, "moments", scores[row : row + 1].astype(np.float64))
    fold(analyzers, states, "images", scores)
    run.store.commit(
        node.key,
        arrays={**pack(analyzers, results_of(analyzers, states)), "scores": scores},
        coverage=run.covered(node.batch),
        summary={"failures": failures, "seconds": round(time.monotonic() - started, 3)},
    )
    return node.key


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
            table.append(_image_rows([], np.empty(0), {}))
            for leaf in run.plan.leaves("calibrate"):
                arrays, record = run.store.read_partial(leaf.key)
                ids = run.plan.images_of(leaf.batch)
                entries = run.images.rows(ids.start, ids.stop)
                table.append(_image_rows(entries, arrays["scores"], record.summary["failures"]))
        files = run.put_files({f"tables/{path.name}": path for path in table.paths})
    files |= run.put({f"figures/{name}.png": encode_png(picture) for name, picture in _pictures(run).items()})
    run.store.commit(node.key, summary={"files": files})
    return node.key


def _image_rows(
    entries: Sequence[ImageEntry], scores: NDArray[Any], failures: Mapping[str, str]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": pd.array([entry.name for entry in entries], dtype="str"),
            "path": pd.array([readable_path(entry.source.path) for entry in entries], dtype="str"),
            "score": scores.astype(np.float64),
            "failure": pd.array([failures.get(entry.name, "") for entry in entries], dtype="str"),
        }
    )


def _pictures(run: TrainRun) -> dict[str, Picture]:
    """Return pictures of the model: what a good image looks like, and how much it may vary."""
    model = run.learned().inspector.model
    if not isinstance(model, VariationModel):
        return {}
    tolerance = np.maximum(np.float32(model.absolute), np.float32(model.factor) * model.spread)
    return {
        name: gray_picture(np.where(model.valid, values, np.nan), contrast_limits(values[model.valid]))
        for name, values in (("reference", model.mean), ("tolerance", tolerance))
        if model.valid.any()
    }
