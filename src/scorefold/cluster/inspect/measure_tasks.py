"""The tasks that follow from the threshold: set it, find the defects of images, write masks and verdicts."""

import io
import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from scorefold.cluster.inspect.evaluate_tasks import true_mask
from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.scored_leaf import block_maps, pose_of, read_leaf
from scorefold.cluster.inspect.states import Results, read_whole
from scorefold.cluster.inspect.telling import tell_images
from scorefold.cluster.live import is_heard
from scorefold.errors import InputError
from scorefold.inspection.components import Defect, find_defects
from scorefold.inspection.metrics import PimoBand, aupimo, pimo_band
from scorefold.inspection.pose import Pose
from scorefold.inspection.threshold_rules import ThresholdRule
from scorefold.planning.inspect_job import AUTO
from scorefold.planning.node import Node
from scorefold.post_processing import compute_mask
from scorefold.store.image_maps import Block

Array = NDArray[Any]

VERDICTS = ("OK", "NG", "NOT_FOUND", "ERROR")

NATURAL_THRESHOLD = 1.0
"""Where the tolerance of a model ends."""

AUTO_DEVIATIONS = 3.0


def set_threshold(run: InspectRun, node: Node) -> str:
    """Commit the threshold, the range of all scores, and the histogram of the images' scores."""
    results = read_whole(run.store, run.score_root, run.score_analyzers, run.whole)
    known = None
    if run.evaluation_root:
        known = read_whole(run.store, run.evaluation_root, run.evaluation_analyzers, run.whole)
    threshold = _threshold(run, known)
    pixels, images = results["pixels"], results["images"]
    low, high, shown = 0.0, 1.0, 1.0
    if pixels.keys.size:
        # Bins of the largest scores may reach to infinity.
        largest = float(np.finfo(run.job.dtype).max)
        low, high = np.clip([pixels.lower[0], pixels.upper[-1]], -largest, largest).tolist()
        # A single hot pixel must not make all others look alike.
        shown = min(pixels.quantile(0.9999), largest)
    arrays = {"image_keys": images.keys, "image_counts": images.counts}
    if known is not None and known["normal_images"].keys.size:
        band = pimo_band(known["normal_images"])
        arrays |= {
            "pimo_thresholds": band.thresholds,
            "pimo_weights": band.weights,
            "pimo_limits": np.array(band.limits),
        }
    summary = {"threshold": threshold, "lowest": low, "highest": high, "shown": max(shown, threshold)}
    run.store.commit(node.key, arrays=arrays, summary=summary)
    return node.key


def _threshold(run: InspectRun, known: Results | None) -> float:
    """Return what the rule of the threshold says; rules of good images ask those of the model, if there is one."""
    dtype = run.job.dtype
    good = run.good_scores()
    labelled, moments = (None, None) if known is None else (known["images"], known["good_moments"])
    if good is not None:
        moments = good[1]
    if run.job.measure.threshold != AUTO:
        rule = ThresholdRule.parse(run.job.measure.threshold)
        if good is not None and rule.kind in ("quantile", "false_positives"):
            # Good images were scored in half precision, whatever the maps are stored in.
            return rule.resolve(scores=good[0], dtype=good[0].dtype)
        return rule.resolve(moments=moments, labelled=labelled, dtype=dtype)
    if good is not None and not good[1].count:  # too few for each to be scored by the others
        return NATURAL_THRESHOLD
    if moments is None:
        raise InputError('threshold "auto": no good images are known. Give --threshold VALUE.')
    usual = ThresholdRule("sigma", AUTO_DEVIATIONS).resolve(moments=moments, dtype=dtype)
    return usual if good is None else max(NATURAL_THRESHOLD, usual)


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

    @property
    def colours(self) -> tuple[float, float]:
        """Scores at the ends of the colour scale, the lower one first, even if all scores are equal."""
        low, high = min(self.lowest, self.value), max(self.shown, self.value)
        return (low, high) if low < high else (low, low + max(1.0, abs(low)))


def read_threshold(run: InspectRun) -> Threshold:
    """Return the threshold of a run."""
    summary = run.store.require_commit(run.threshold_key).summary
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
    verdicts = _VERDICT_OF_STATUS[scored.status]
    counts, areas = np.zeros(len(images), np.int64), np.zeros(len(images), np.int64)
    overlaps = np.full(len(images), np.nan)
    density = np.zeros(group.shape, np.int64)
    defects: list[tuple[int, Defect]] = []
    files: dict[str, str] = {}
    masks, _ = run.create_maps(node.batch, "masks")
    blocks: list[Block] = []
    whole_block = np.empty((group.chunk_images, *group.shape), np.uint8)
    for block in scored.blocks:
        block_masks = whole_block[: block["stop"] - block["first"]]
        block_masks.fill(0)
        for row, scores in block_maps(run, node.batch, scored, block):
            # The score of an image is the highest threshold that leaves a defect.
            if band is None and not run.job.export and scored.scores[row] <= threshold:
                continue
            mask = anomaly_mask(run, scores, threshold)
            found = find_defects(_signed(run, scores), mask)
            block_masks[images.start + row - group.first - block["first"]] = mask
            density += mask > 0
            defects += [(row, defect) for defect in found]
            counts[row], areas[row] = len(found), sum(defect.area for defect in found)
            verdicts[row] = VERDICTS.index("NG" if found else "OK")
            if band is not None:
                overlaps[row] = _overlap(run, images.start + row, pose_of(scored, row), scores, band)
            files |= _export(run, images.start + row, scores, mask)
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
    seconds = round(time.monotonic() - started, 3)
    run.store.commit(
        node.key,
        arrays=arrays,
        coverage=run.covered(node.batch),
        summary={"blocks": blocks, "files": files, "seconds": seconds},
    )
    if is_heard():
        tell_images(run, node, seconds, verdicts=[VERDICTS[verdict] for verdict in verdicts])
    return node.key


_VERDICT_OF_STATUS = np.array([0, 2, 3], np.uint8)


def anomaly_mask(run: InspectRun, scores: Array, threshold: float) -> NDArray[np.uint8]:
    """Return the mask of an image's defects: what the opening leaves of what is greater, without small components."""
    mask = compute_mask(run.anomaly(scores), threshold, run.job.kernel_size)
    if run.job.measure.min_area == 1:
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= run.job.measure.min_area
    kept[0] = False
    return np.where(kept[labels], np.uint8(255), np.uint8(0))


def _signed(run: InspectRun, scores: Array) -> Array:
    """Return scores whose magnitude is the anomaly, with the sign of the deviation."""
    if run.job.source == "maps" or run.job.polarity == "both":
        return scores
    return np.maximum(scores, 0) if run.job.polarity == "bright" else np.minimum(scores, 0)


def _overlap(run: InspectRun, image_id: int, pose: Pose | None, scores: Array, band: PimoBand) -> float:
    """Return the AUPIMO of an image; NaN if it shows no true defect, or nobody knows."""
    truth = None if run.truths is None else run.truths[image_id]
    if truth is None or not truth.mask:
        return float("nan")
    try:
        mask = true_mask(truth, pose, scores.shape)
        return float("nan") if mask is None or not mask.any() else aupimo(run.anomaly(scores), mask, band)
    except Exception:  # noqa: BLE001 - its evaluation said why
        return float("nan")


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
    return run.put(files)
