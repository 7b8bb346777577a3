"""Making trainings and inspections in a store, and giving an inspection another threshold."""

import json
from dataclasses import replace

import numpy as np

from scorefold.cluster.inspect.image_run import IMAGES, PLAN
from scorefold.cluster.inspect.inspect_run import PICTURES, InspectRun, truth_path
from scorefold.cluster.inspect.train_run import TrainRun
from scorefold.cluster.run import absolute_location
from scorefold.cluster.versions import versions
from scorefold.planning.images import ImageTable
from scorefold.planning.inspect_job import InspectJob, MeasureOptions
from scorefold.planning.prepare_inspect import PreparedInspect, PreparedTrain
from scorefold.planning.truth import check_threshold
from scorefold.store import RunStore, check_free


def create_training(location: str, prepared: PreparedTrain) -> TrainRun:
    """Write a training and its plan into a new store.

    Parameters
    ----------
    location : str
        Directory or URL; it must not hold anything yet.
    prepared : PreparedTrain
        What is learned.

    Raises
    ------
    InputError
        If something is there already, or nothing can be written there.
    """
    return TrainRun(_create(location, "train", prepared, {}, {}))


def create_inspection(location: str, prepared: PreparedInspect) -> InspectRun:
    """Write an inspection and its plan into a new store; see `create_training`."""
    files = {} if prepared.pictures is None else {PICTURES: ImageTable.to_bytes(prepared.pictures)}
    truth = {truth_path(prepared.job.truth): prepared.truth} if prepared.truth else {}
    return InspectRun(_create(location, "inspect", prepared, files, truth))


def _create(
    location: str,
    kind: str,
    prepared: PreparedTrain | PreparedInspect,
    files: dict[str, bytes],
    truth: dict[str, bytes],
) -> RunStore:
    store = RunStore.create(
        absolute_location(location),
        {
            "kind": kind,
            "fingerprint": prepared.job.fingerprint,
            "job": prepared.job.to_json(),
            "versions": versions(),
            "max_pixels": prepared.max_pixels,
        },
        {
            **files,
            IMAGES: ImageTable.to_bytes(prepared.entries),
            PLAN: json.dumps(prepared.plan.to_json()).encode(),
        },
    )
    try:
        for name, array in prepared.arrays.items():
            store.write_array(f"arrays/{name}", np.asarray(array))
        for name, data in truth.items():  # which may be replaced, as no other file
            store.blobs.put(name, data)
    except BaseException:  # half a run could neither be resumed nor made again at the same place
        store.blobs.delete_below("")
        raise
    return store


def change_measure(run: InspectRun, measure: MeasureOptions) -> InspectRun:
    """Give an inspection another threshold; defects, verdicts, tables and pictures are due again, score maps are not.

    Parameters
    ----------
    run : InspectRun
        The run.
    measure : MeasureOptions
        The new options.

    Raises
    ------
    InputError
        If the threshold follows from labels or good images, and none are known; nothing is changed then.
    """
    check_threshold(measure, run.truths, maps=run.job.source == "maps")
    return _change(run, replace(run.job, measure=measure))


def change_truth(run: InspectRun, truth: bytes, digest: str) -> InspectRun:
    """Tell an inspection what is known of its images; it is evaluated, and its tables and pictures are due again."""
    check_free(run.store)
    run.store.blobs.put(truth_path(digest), truth)
    changed = _change(run, replace(run.job, truth=digest))
    if run.job.truth not in ("", digest):
        run.store.blobs.delete(truth_path(run.job.truth))
    return changed


def _change(run: InspectRun, job: InspectJob) -> InspectRun:
    check_free(run.store)
    run.forget_outputs()
    run.store.update_attributes(job=job.to_json())
    return InspectRun(RunStore(run.store.location))
