"""The tasks that compare score maps with what is known of the images."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.cluster.inspect.image_run import reason
from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.scored_leaf import leaf_maps, pose_of, read_leaf
from scorefold.cluster.inspect.states import empty_states, fold, merge_records, pack, results_of
from scorefold.cluster.suspects import find_killers
from scorefold.errors import InputError
from scorefold.inspection.alignment import align
from scorefold.inspection.pose import Pose
from scorefold.io import read_array
from scorefold.io.targets import describe
from scorefold.planning.node import Node
from scorefold.planning.truth import BAD, GOOD, Truth

Array = NDArray[Any]


def evaluate(run: InspectRun, node: Node) -> str:
    """Fold the score maps of a batch with what is known of the images and commit the partial."""
    analyzers = run.evaluation_analyzers
    states = empty_states(analyzers)
    scored = read_leaf(run, node.batch)
    images = run.plan.images_of(node.batch)
    truths = run.truths
    shape = run.plan.group_of(node.batch).shape

    def truth_of(image: int) -> Truth:
        return Truth() if truths is None else truths[image]

    failures = find_killers(
        run.store,
        node,
        ((run.images[image].name, partial(true_mask, truth_of(image), None, shape)) for image in images),
    )
    for row, scores in leaf_maps(run, node.batch, scored):
        truth = truth_of(images.start + row)
        if truth == Truth() or (failures and run.images[images.start + row].name in failures):
            continue
        try:
            mask = true_mask(truth, pose_of(scored, row), scores.shape)
        except Exception as error:  # noqa: BLE001 - damaged masks raise exceptions of many kinds
            failures[run.images[images.start + row].name] = reason(error, "")
            continue
        anomaly = run.anomaly(scores)
        bad = truth.label == BAD if mask is None or not truth.mask else bool(mask.any())
        if mask is not None:
            for name in ("pixels", "regions"):
                fold(analyzers, states, name, anomaly, labels=mask)
            if not bad:
                fold(analyzers, states, "normal_images", anomaly, labels=True)
        score = scored.scores[row]
        fold(analyzers, states, "images", score, labels=bad)
        if not bad:
            fold(analyzers, states, "good_moments", [float(score)])
    run.store.commit(
        node.key,
        arrays=pack(analyzers, results_of(analyzers, states)),
        coverage=run.covered(node.batch),
        summary={"failures": failures},
    )
    return node.key


def true_mask(truth: Truth, pose: Pose | None, shape: tuple[int, int]) -> Array | None:
    """Return what is truly anomalous in an image, in the coordinates of its map; None if that is not known.

    Raises
    ------
    InputError
        If the mask cannot be read or has another shape.
    """
    if not truth.mask:
        return np.zeros(shape, bool) if truth.label == GOOD else None
    mask = read_array(truth.mask, channel=None, gray=_has_colour(truth.mask), role="mask") > 0
    if pose is not None:
        aligned, _ = align(mask.astype(np.float32), pose, shape)
        return np.asarray(aligned > 0.5)
    if mask.shape != shape:
        raise InputError(f"its mask has shape {mask.shape}, its map {shape}")
    return mask


def _has_colour(path: str) -> bool:
    return any(stored.channels > 1 for stored in describe(path)[1])


def merge_evaluations(run: InspectRun, node: Node) -> str:
    """Merge what the known images tell."""
    merge_records(run.store, node.key, node.inputs, run.evaluation_analyzers, run.region)
    return node.key
