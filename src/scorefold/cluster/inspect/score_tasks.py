"""The tasks that make score maps: score images, merge the statistics of the maps."""

import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.cluster.inspect.image_run import reason
from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.scored_leaf import ERROR, NOT_FOUND
from scorefold.cluster.inspect.scoring import ScoredImage
from scorefold.cluster.inspect.states import empty_states, fold, merge_records, pack, results_of
from scorefold.cluster.inspect.telling import tell_images
from scorefold.cluster.live import is_heard
from scorefold.cluster.suspects import find_killers
from scorefold.errors import InputError
from scorefold.inspection.inspector import Inspector
from scorefold.inspection.pose import Pose
from scorefold.planning.images import ImageEntry
from scorefold.planning.node import Node
from scorefold.store.image_maps import Block

Array = NDArray[Any]


def score_images(run: InspectRun, node: Node) -> str:
    """Score the images of a batch, write their maps and commit the statistics; note images that failed."""
    started = time.monotonic()
    inspector = run.inspector if run.job.source == "model" else None
    analyzers = run.score_analyzers
    states = empty_states(analyzers)
    images = run.plan.images_of(node.batch)
    group = run.plan.group_of(node.batch)
    status = np.zeros(len(images), np.uint8)
    scores = np.full(len(images), np.nan, run.job.dtype)
    poses = np.full((len(images), 4), np.nan)
    entries = run.images.rows(images.start, images.stop)
    failures = find_killers(
        run.store, node, ((entry.name, partial(_score_map, run, inspector, entry)) for entry in entries)
    )
    maps, kept = run.create_maps(node.batch, "scores")
    blocks: list[Block] = []
    whole_block = np.empty((group.chunk_images, *group.shape), run.job.dtype)
    for first in range(images.start, images.stop, group.chunk_images):
        stop = min(first + group.chunk_images, images.stop)
        block = whole_block[: stop - first]
        block.fill(np.nan)
        for place in range(stop - first):
            row = first + place - images.start
            entry = entries[row]
            if entry.name in failures:
                status[row] = ERROR
                continue
            try:
                found = _score_map(run, inspector, entry)
                if found is None:
                    status[row] = NOT_FOUND
                    continue
                score_map, pose = found
                scored = ScoredImage.of(
                    score_map, run.job.dtype, polarity=run.polarity, kernel_size=run.job.kernel_size
                )
                scores[row] = _checked(scored.score)
                block[place] = scored.scores
            except Exception as error:  # noqa: BLE001 - damaged images raise exceptions of many kinds
                status[row], failures[entry.name] = ERROR, reason(error, entry.name)
                continue
            if pose is not None:
                poses[row] = (*pose.centre, pose.angle, pose.score)
            fold(analyzers, states, "pixels", scored.anomaly)
        if kept:
            blocks.append(maps.write(first - group.first, block))
    fold(analyzers, states, "images", scores)
    seconds = round(time.monotonic() - started, 3)
    run.store.commit(
        node.key,
        arrays={
            **pack(analyzers, results_of(analyzers, states)),
            "status": status,
            "scores": scores,
            "poses": poses,
        },
        coverage=run.covered(node.batch),
        summary={
            "failures": failures,
            "blocks": blocks,
            "seconds": seconds,
        },
    )
    if is_heard():
        names = [entry.name for entry in entries]
        tell_images(run, node, seconds, names, scores=scores, failures=failures)
    return node.key


def _score_map(
    run: InspectRun, inspector: Inspector | None, entry: ImageEntry
) -> tuple[Array, Pose | None] | None:
    """Return the score map of an image and the pose of its part; None if it does not show the part."""
    image = run.read_image(entry)
    if inspector is None:
        if image.dtype.kind not in "biuf":
            raise InputError(f"its dtype is {image.dtype}; an anomaly map holds real numbers")
        return image, None
    aligned = inspector.align(image)
    if aligned is None:
        return None
    return inspector.compare(aligned), aligned.pose


def _checked(score: Any) -> Any:
    """Return a score; what cannot be told to be bad must not pass for good."""
    if np.isnan(score):
        raise InputError("too few of its pixels are valid for a defect to be found")
    return score


def merge_scores(run: InspectRun, node: Node) -> str:
    """Merge the statistics of score maps."""
    merge_records(run.store, node.key, node.inputs, run.score_analyzers, run.region)
    return node.key
