"""The tasks that look at pixels: score images, compare score maps with what is known, find defects."""

import hashlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from scorefold.analyzer import Coverage
from scorefold.cluster.inspect.image_run import reason
from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.scoring import image_score, stored
from scorefold.cluster.inspect.states import empty_states, merge_records, pack, read_results
from scorefold.errors import DamagedPartialError, InputError
from scorefold.inspection.alignment import align
from scorefold.inspection.components import Defect, find_defects
from scorefold.inspection.metrics import PimoBand, aupimo, pimo_band
from scorefold.inspection.pose import Pose
from scorefold.inspection.threshold_rules import ThresholdRule
from scorefold.io import read_array
from scorefold.planning.images import ImageEntry
from scorefold.planning.inspect_job import AUTO
from scorefold.planning.node import Node
from scorefold.planning.truth import BAD, UNKNOWN, Truth
from scorefold.post_processing import compute_mask
from scorefold.store.image_maps import Block, ImageMaps, read_block

Array = NDArray[Any]

SCORED, NOT_FOUND, ERROR = 0, 1, 2
"""What became of an image."""

VERDICTS = ("OK", "NG", "NOT_FOUND", "ERROR")

NATURAL_THRESHOLD = 1.0
"""Where the tolerance of a model ends."""

AUTO_DEVIATIONS = 3.0

_NO_ROTATION: Array = np.eye(2)


@dataclass(frozen=True, eq=False)
class ScoredLeaf:
    """What a record of `score_images` holds, image by image.

    Attributes
    ----------
    status : ndarray of uint8
        `SCORED`, `NOT_FOUND` or `ERROR`.
    scores : ndarray
        Score of the image; NaN without one.
    poses : ndarray of float64, shape (n, 4)
        Centre (y, x), angle and correlation of the part; NaN if it was not located.
    failures : dict of str to str
        Reasons, by name.
    blocks : list of Block
        The maps.
    """

    status: Array
    scores: Array
    poses: Array
    failures: dict[str, str]
    blocks: list[Block]


def score_images(run: InspectRun, node: Node) -> str:
    """Score the images of a batch, write their maps and commit the statistics; note images that failed."""
    started = time.monotonic()
    analyzers = run.score_analyzers
    states = empty_states(analyzers)
    images = run.plan.images_of(node.batch)
    group = run.plan.group_of(node.batch)
    status = np.zeros(len(images), np.uint8)
    scores = np.full(len(images), np.nan, run.job.dtype)
    poses = np.full((len(images), 4), np.nan)
    failures: dict[str, str] = {}
    maps = ImageMaps(run.store, run.map_path(node.batch, "scores"))
    keep = all(group.shape)
    if keep:
        maps.create((group.count, *group.shape), group.chunk_images, run.job.dtype)
    blocks = []
    for first in range(images.start, images.stop, group.chunk_images):
        stop = min(first + group.chunk_images, images.stop)
        block = np.full((stop - first, *group.shape), np.nan, run.job.dtype)
        for place, entry in enumerate(run.images.rows(first, stop)):
            row = first + place - images.start
            try:
                found = _score_map(run, entry)
            except (InputError, OSError) as error:
                status[row], failures[entry.name] = ERROR, reason(error, entry.name)
                continue
            if found is None:
                status[row] = NOT_FOUND
                continue
            signed, pose = found
            block[place] = stored(signed, run.job.dtype)
            if pose is not None:
                poses[row] = (*pose.centre, pose.angle, pose.score)
            anomaly = run.anomaly(block[place])
            scores[row] = image_score(anomaly, run.job.kernel_size)
            states["pixels"] = analyzers["pixels"](states["pixels"], anomaly, _NO_ROTATION)
        if keep:
            blocks.append(maps.write(first - group.first, block))
    states["images"] = analyzers["images"](states["images"], scores, _NO_ROTATION)
    results = {name: analyzer.result(states[name]) for name, analyzer in analyzers.items()}
    run.store.commit(
        node.key,
        arrays={**pack(analyzers, results), "status": status, "scores": scores, "poses": poses},
        coverage=run.covered(node.batch),
        summary={
            "failures": failures,
            "blocks": blocks,
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    return node.key


def _score_map(run: InspectRun, entry: ImageEntry) -> tuple[Array, Pose | None] | None:
    """Return the score map of an image and the pose of its part; None if it does not show the part."""
    image = run.read_image(entry)
    if run.job.source == "maps":
        if image.dtype.kind not in "biuf":
            raise InputError(f"its dtype is {image.dtype}; an anomaly map holds real numbers")
        return image.astype(np.float32, copy=False), None
    aligned = run.inspector.align(image)
    if aligned is None:
        return None
    return run.inspector.compare(aligned), aligned.pose


def read_leaf(run: InspectRun, leaf: int) -> ScoredLeaf:
    """Return what is recorded of a leaf's images.

    Raises
    ------
    DamagedPartialError
        If it cannot be trusted.
    """
    arrays, record = run.store.read_partial(run.score_key(leaf))
    summary = record.summary
    return ScoredLeaf(
        arrays["status"], arrays["scores"], arrays["poses"], summary["failures"], summary["blocks"]
    )


def leaf_maps(run: InspectRun, leaf: int, scored: ScoredLeaf) -> Iterator[tuple[int, Array]]:
    """Yield row and signed score map of every scored image of a leaf, verified."""
    group = run.plan.group_of(leaf)
    images = run.plan.images_of(leaf)
    for block in scored.blocks:
        maps = None
        for place in range(block["stop"] - block["first"]):
            row = group.first + block["first"] + place - images.start
            if scored.status[row] == SCORED:
                if maps is None:
                    maps = read_block(run.store, run.score_key(leaf), block)
                yield row, maps[place]


def one_map(run: InspectRun, image_id: int) -> tuple[ScoredLeaf, int, Array | None]:
    """Return an image's leaf, its row there, and its score map; None if it has none."""
    leaf = run.plan.leaf_of(image_id)
    scored = read_leaf(run, leaf)
    row = image_id - run.plan.images_of(leaf).start
    if scored.status[row] != SCORED:
        return scored, row, None
    place = image_id - run.plan.group_of(leaf).first
    block = next(b for b in scored.blocks if b["first"] <= place < b["stop"])
    return scored, row, read_block(run.store, run.score_key(leaf), block)[place - block["first"]]


def pose_of(scored: ScoredLeaf, row: int) -> Pose | None:
    """Return where the part lies in an image; None if it was not located."""
    y, x, angle, score = scored.poses[row].tolist()
    return None if np.isnan(y) else Pose((y, x), angle, score)


def merge_scores(run: InspectRun, node: Node) -> str:
    """Merge the statistics of score maps."""
    merge_records(run.store, node.key, node.inputs, run.score_analyzers, run.region)
    return node.key


# What is known of the images.


def true_mask(truth: Truth, pose: Pose | None, shape: tuple[int, int]) -> Array | None:
    """Return what is truly anomalous in an image, in the coordinates of its map; None if that is not known.

    Raises
    ------
    InputError
        If the mask cannot be read or has another shape.
    """
    if not truth.mask:
        return None if truth.label != 0 else np.zeros(shape, bool)
    mask = read_array(truth.mask, channel=None, gray=_has_colour(truth.mask), role="mask") > 0
    if pose is not None:
        aligned, _ = align(mask.astype(np.float32), pose, shape)
        return np.asarray(aligned > 0.5)
    if mask.shape != shape:
        raise InputError(f"its mask has shape {mask.shape}, its map {shape}")
    return mask


def _has_colour(path: str) -> bool:
    from scorefold.io.targets import describe  # noqa: PLC0415

    return any(stored.channels > 1 for stored in describe(path)[1])


def evaluate(run: InspectRun, node: Node) -> str:
    """Fold the score maps of a batch with what is known of the images and commit the partial."""
    analyzers = run.evaluation_analyzers
    states = empty_states(analyzers)
    scored = read_leaf(run, node.batch)
    images = run.plan.images_of(node.batch)
    truths = run.truths or []
    failures: dict[str, str] = {}
    for row, scores in leaf_maps(run, node.batch, scored):
        truth = truths[images.start + row]
        try:
            mask = true_mask(truth, pose_of(scored, row), scores.shape)
        except (InputError, OSError) as error:
            failures[run.images[images.start + row].name] = reason(error, "")
            continue
        anomaly = run.anomaly(scores)
        bad = bool(mask.any()) if truth.mask and mask is not None else truth.label == BAD
        if mask is not None:
            for name in ("pixels", "regions"):
                states[name] = analyzers[name](states[name], anomaly, _NO_ROTATION, labels=mask)
            if not bad:
                states["normal_images"] = analyzers["normal_images"](
                    states["normal_images"], anomaly, _NO_ROTATION, labels=True
                )
        if truth.label == UNKNOWN and not truth.mask:
            continue
        score = scored.scores[row]
        states["images"] = analyzers["images"](states["images"], score, _NO_ROTATION, labels=bad)
        if not bad:
            one = np.array([score], np.float64)
            states["good_moments"] = analyzers["good_moments"](states["good_moments"], one, _NO_ROTATION)
    results = {name: analyzer.result(states[name]) for name, analyzer in analyzers.items()}
    run.store.commit(
        node.key,
        arrays=pack(analyzers, results),
        coverage=run.covered(node.batch),
        summary={"failures": failures},
    )
    return node.key


def merge_evaluations(run: InspectRun, node: Node) -> str:
    """Merge what the known images tell."""
    merge_records(run.store, node.key, node.inputs, run.evaluation_analyzers, run.region)
    return node.key


# The threshold, and what follows from it.


def set_threshold(run: InspectRun, node: Node) -> str:
    """Commit the threshold, the range of all scores, and the histogram of the images' scores."""
    results, coverage, _ = read_results(run.store, run.score_root, run.score_analyzers)
    if coverage != Coverage.of(run.region, 0, run.job.image_count):
        raise DamagedPartialError(run.score_root, f"it covers {coverage}, not every image")
    pixels, images = results["pixels"], results["images"]
    labelled, moments = None, None
    arrays: dict[str, Array] = {}
    if run.evaluation_root:
        known, _, _ = read_results(run.store, run.evaluation_root, run.evaluation_analyzers)
        labelled, moments = known["images"], known["good_moments"]
        if known["normal_images"].keys.size:
            band = pimo_band(known["normal_images"])
            arrays = {
                "pimo_thresholds": band.thresholds,
                "pimo_weights": band.weights,
                "pimo_limits": np.array(band.limits),
            }
    good = run.good_scores()
    rule = run.job.measure.threshold
    if rule == AUTO and good is None:
        if labelled is None or moments is None:
            raise InputError('threshold "auto": no good images are known. Give --threshold VALUE.')
        threshold = ThresholdRule("sigma", AUTO_DEVIATIONS).resolve(moments=moments, dtype=run.job.dtype)
    elif rule == AUTO and good is not None:
        usual = ThresholdRule("sigma", AUTO_DEVIATIONS).resolve(moments=good[1], dtype=run.job.dtype)
        threshold = max(NATURAL_THRESHOLD, usual)
    else:
        threshold = ThresholdRule.parse(rule).resolve(
            scores=None if good is None else good[0],
            moments=moments if good is None else good[1],
            labelled=labelled,
            dtype=run.job.dtype,
        )
    low, high = (float(pixels.lower[0]), float(pixels.upper[-1])) if pixels.keys.size else (0.0, 1.0)
    # A single hot pixel must not make all others look alike.
    shown = float(pixels.quantile(0.9999)) if pixels.keys.size else 1.0
    summary = {"threshold": threshold, "lowest": low, "highest": high, "shown": max(shown, threshold)}
    arrays |= {"image_keys": images.keys, "image_counts": images.counts}
    run.store.commit(node.key, arrays=arrays, summary=summary)
    return node.key


@dataclass(frozen=True)
class Threshold:
    """The threshold of a run, and the scores around it.

    Attributes
    ----------
    value : float
        What is greater is anomalous.
    lowest, highest : float
        Of all pixels.
    shown : float
        Upper end of the colour scale: all but one in ten thousand pixels are below it.
    """

    value: float
    lowest: float
    highest: float
    shown: float


def read_threshold(run: InspectRun) -> Threshold:
    """Return the threshold of a run."""
    record = run.store.read_commit(run.threshold_key)
    if record is None:
        raise DamagedPartialError(run.threshold_key, "there is no commit record")
    summary = record.summary
    return Threshold(summary["threshold"], summary["lowest"], summary["highest"], summary["shown"])


def _pimo(run: InspectRun) -> PimoBand | None:
    arrays, _ = run.store.read_partial(run.threshold_key)
    if "pimo_thresholds" not in arrays:
        return None
    low, high = arrays["pimo_limits"].tolist()
    return PimoBand(arrays["pimo_thresholds"], arrays["pimo_weights"], (low, high))


def measure(run: InspectRun, node: Node) -> str:
    """Find the defects of a batch's images, write the masks and commit defects and verdicts."""
    started = time.monotonic()
    threshold = read_threshold(run).value
    band = _pimo(run) if run.job.truth else None
    scored = read_leaf(run, node.batch)
    images = run.plan.images_of(node.batch)
    group = run.plan.group_of(node.batch)
    verdicts = np.array([0, 2, 3], np.uint8)[scored.status]
    counts, areas = np.zeros(len(images), np.int64), np.zeros(len(images), np.int64)
    overlaps = np.full(len(images), np.nan)
    density = np.zeros(group.shape, np.int64)
    defects: list[tuple[int, Defect]] = []
    masks = ImageMaps(run.store, run.map_path(node.batch, "masks"))
    blocks: list[Block] = []
    files: dict[str, str] = {}
    if all(group.shape):
        masks.create((group.count, *group.shape), group.chunk_images, "uint8")
    maps = leaf_maps(run, node.batch, scored)
    following = next(maps, None)
    for block in scored.blocks:
        block_masks = np.zeros((block["stop"] - block["first"], *group.shape), np.uint8)
        while following is not None and group.first + block["stop"] > images.start + following[0]:
            row, scores = following
            anomaly = run.anomaly(scores)
            mask = compute_mask(anomaly, threshold, run.job.kernel_size)
            found = find_defects(_signed(run, scores), mask, run.job.measure.min_area)
            if run.job.measure.min_area > 1:
                mask = _large(mask, run.job.measure.min_area)
            block_masks[images.start + row - group.first - block["first"]] = mask
            density += mask > 0
            defects += [(row, defect) for defect in found]
            counts[row], areas[row] = len(found), sum(defect.area for defect in found)
            verdicts[row] = 1 if found else 0
            if band is not None:
                overlaps[row] = _overlap(run, images.start + row, pose_of(scored, row), anomaly, band)
            files |= _export(run, images.start + row, scores, mask)
            following = next(maps, None)
        blocks.append(masks.write(block["first"], block_masks))
    places = np.flatnonzero(density)
    arrays: dict[str, Array] = {
        "verdicts": verdicts,
        "counts": counts,
        "areas": areas,
        "overlaps": overlaps,
        "density_places": places,
        "density_counts": density.ravel()[places],
        **_defect_arrays(defects),
    }
    run.store.commit(
        node.key,
        arrays=arrays,
        coverage=run.covered(node.batch),
        summary={"blocks": blocks, "files": files, "seconds": round(time.monotonic() - started, 3)},
    )
    return node.key


def _signed(run: InspectRun, scores: Array) -> Array:
    """Return scores whose magnitude is the anomaly, with the sign of the deviation."""
    if run.job.source == "maps" or run.job.polarity == "both":
        return scores
    return np.maximum(scores, 0) if run.job.polarity == "bright" else np.minimum(scores, 0)


def _large(mask: Array, min_area: int) -> Array:
    """Return a mask without its components of fewer pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= min_area
    kept[0] = False
    return np.where(kept[labels], np.uint8(255), np.uint8(0))


def _overlap(run: InspectRun, image_id: int, pose: Pose | None, anomaly: Array, band: PimoBand) -> float:
    truth = (run.truths or [])[image_id]
    if not truth.mask:
        return float("nan")
    try:
        mask = true_mask(truth, pose, anomaly.shape)
    except (InputError, OSError):
        return float("nan")  # its evaluation said why
    return aupimo(anomaly, mask, band) if mask is not None and mask.any() else float("nan")


def _defect_arrays(defects: list[tuple[int, Defect]]) -> dict[str, Array]:
    return {
        "defect_rows": np.array([row for row, _ in defects], np.int64),
        "defect_boxes": np.array([d.box for _, d in defects], np.int64).reshape(-1, 4),
        "defect_areas": np.array([d.area for _, d in defects], np.int64),
        "defect_peaks": np.array([d.peak for _, d in defects], np.float64),
        "defect_peak_positions": np.array([d.peak_position for _, d in defects], np.int64).reshape(-1, 2),
        "defect_centroids": np.array([d.centroid for _, d in defects], np.float64).reshape(-1, 2),
        "defect_bright": np.array([d.polarity == "bright" for _, d in defects], bool),
    }


def _export(run: InspectRun, image_id: int, scores: Array, mask: Array) -> dict[str, str]:
    """Write map and mask of an image as files, in the folder that the image has below the input; return digests."""
    if not run.job.export:
        return {}
    entry = run.images[image_id]
    folder = "/".join(["export", *(part for part in entry.folder.split("/") if part not in ("", ".", ".."))])
    files = {}
    if "maps" in run.job.export:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.asarray(scores, np.float32), compression=None)
        files[f"{folder}/{entry.name}_map.tiff"] = buffer.getvalue()
    if "masks" in run.job.export:
        files[f"{folder}/{entry.name}_mask.png"] = cv2.imencode(".png", mask)[1].tobytes()
    for name, data in files.items():
        run.store.blobs.put(name, data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
