"""The tables of an inspection: one row an image, one row a defect."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.measure_tasks import VERDICTS, read_threshold
from scorefold.cluster.inspect.scored_leaf import pose_of, read_leaf
from scorefold.inspection.pose import Pose
from scorefold.io.names import readable_path
from scorefold.io.tables import TableWriter
from scorefold.planning.truth import BAD, GOOD
from scorefold.post_processing.normalization import min_max

Array = NDArray[Any]

IMAGES_CONVENTION = (
    "One row per image. score: highest threshold below which a defect is left; threshold: what is greater is "
    "anomalous; normalized: score on the range of the data set, 0.5 at the threshold; verdict: OK, NG, NOT_FOUND (the "
    "part is not there) or ERROR (see failure).\n"
    "y, x: centre of the located part in the image, pixel centres at integers; angle: degrees, counter-clockwise as "
    "seen on screen; location_score: correlation of the part.\n"
    "label: what is known of the image; aupimo: overlap with its mask, averaged over false-positive rates of 1e-5 to "
    "1e-4."
)

DEFECTS_CONVENTION = (
    "One row per defect: y0, x0, y1, x1: bounding box in the coordinates of the map (those of the template if parts "
    "are located), y1 and x1 outside; area: pixels; peak: largest score; peak_y, peak_x: where; centroid_y, "
    "centroid_x: mean position; target_y, target_x: the centroid in the image."
)


def write_tables(run: InspectRun) -> dict[str, str]:
    """Write the tables of images and of defects, leaf by leaf; return the digests of the files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            TableWriter(folder / "images", IMAGES_CONVENTION) as images,
            TableWriter(folder / "defects", DEFECTS_CONVENTION) as defects,
        ):
            for image_rows, defect_rows in frames(run):
                images.append(image_rows)
                defects.append(defect_rows)
        return run.put_files({f"tables/{path.name}": path for path in (*images.paths, *defects.paths)})


def frames(run: InspectRun) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield the rows of every leaf's images and of their defects."""
    root = run.evaluation_root
    unknown = run.store.require_commit(root).summary["failures"] if root else {}
    for leaf in range(run.plan.leaf_count):
        yield _leaf_frames(run, leaf, unknown)


def _leaf_frames(run: InspectRun, leaf: int, unknown: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    scored = read_leaf(run, leaf)
    arrays, _ = run.store.read_partial(run.measure_key(leaf))
    threshold = read_threshold(run)
    ids = run.plan.images_of(leaf)
    entries = run.images.rows(ids.start, ids.stop)
    scores = scored.scores.astype(np.float64)
    low, high = threshold.lowest, threshold.highest
    high = high if high > low else low + max(1.0, abs(low))  # no scores, or all alike
    normalized = np.asarray(min_max.normalize(scores, threshold.value, low, high), np.float64)
    labels = ["" for _ in entries]
    if run.truths is not None:
        labels = [{GOOD: "good", BAD: "bad"}.get(run.truths[i].label, "") for i in ids]
    images = pd.DataFrame(
        {
            "name": [entry.name for entry in entries],
            "path": [readable_path(entry.source.path) for entry in entries],
            "page": pd.array([entry.source.page for entry in entries], dtype="Int64"),
            "score": scores,
            "threshold": np.full(len(entries), threshold.value),
            "normalized": normalized,
            "verdict": [VERDICTS[v] for v in arrays["verdicts"]],
            "defects": arrays["counts"],
            "area": arrays["areas"],
            "y": scored.poses[:, 0],
            "x": scored.poses[:, 1],
            "angle": scored.poses[:, 2],
            "location_score": scored.poses[:, 3],
            "label": labels,
            "aupimo": arrays["overlaps"],
            "failure": [scored.failures.get(entry.name) or unknown.get(entry.name, "") for entry in entries],
        }
    )
    rows = arrays["defect_rows"]
    shape = run.plan.group_of(leaf).shape
    centroids = arrays["defect_centroids"]
    located = [
        _in_target(pose_of(scored, int(row)), c, shape) for row, c in zip(rows, centroids, strict=True)
    ]
    target = np.array(located, np.float64).reshape(-1, 2)
    boxes = arrays["defect_boxes"]
    defects = pd.DataFrame(
        {
            "name": pd.array([entries[row].name for row in rows], dtype="str"),
            "y0": boxes[:, 0],
            "x0": boxes[:, 1],
            "y1": boxes[:, 2],
            "x1": boxes[:, 3],
            "area": arrays["defect_areas"],
            "peak": arrays["defect_peaks"],
            "polarity": pd.array(
                [run.polarity_of(bright) or "" for bright in arrays["defect_bright"]], dtype="str"
            ),
            "peak_y": arrays["defect_peak_positions"][:, 0],
            "peak_x": arrays["defect_peak_positions"][:, 1],
            "centroid_y": centroids[:, 0],
            "centroid_x": centroids[:, 1],
            "target_y": target[:, 0],
            "target_x": target[:, 1],
        }
    )
    return images, defects


def _in_target(pose: Pose | None, centroid: Array, shape: tuple[int, int]) -> Array:
    return centroid if pose is None else pose.to_target(centroid, shape)
