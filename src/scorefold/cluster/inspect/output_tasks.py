"""The last tasks of an inspection: sheets of images, tables, and the report."""

import hashlib
import io
import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.cluster.inspect.inspect_run import SHEETS, InspectRun
from scorefold.cluster.inspect.score_tasks import (
    SCORED,
    VERDICTS,
    ScoredLeaf,
    one_map,
    pose_of,
    read_leaf,
    read_threshold,
    true_mask,
)
from scorefold.cluster.inspect.states import read_results
from scorefold.errors import InputError
from scorefold.inspection.metrics import (
    aupro,
    auroc,
    average_precision,
    confusion,
    f1_max,
    precision_recall_curve,
    pro_curve,
    roc_curve,
)
from scorefold.inspection.pose import Pose
from scorefold.io.names import readable_path
from scorefold.io.tables import TableWriter
from scorefold.planning.node import Node
from scorefold.planning.truth import BAD, GOOD
from scorefold.post_processing import compute_mask
from scorefold.post_processing.normalization import min_max
from scorefold.rendering import Failure, encode_png
from scorefold.rendering.inspection import (
    VERDICTS as DRAWN_VERDICTS,
)
from scorefold.rendering.inspection import (
    DrawnDefect,
    EvaluationCurve,
    InspectedImage,
    InspectionReport,
    Metric,
    ReportDefect,
    ReportImage,
    ReportSheet,
    draw_density,
    inspection_report,
    sheet_pages,
)

Array = NDArray[Any]

SHEET_IMAGES = 12
"""Images of a sheet."""

REPORT_ROWS = 2000
"""Rows of a table that the report shows; the tables have all."""

HEADINGS = {
    "worst": ("Highest scores", "The images with the highest scores."),
    "borderline": ("Borderline", "The images with scores next to the threshold, on either side."),
    "good": ("Good images", "Images without a defect, drawn at random."),
}

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


def render_sheet(run: InspectRun, node: Node) -> str:
    """Draw a sheet of images and commit the digests of its pages."""
    sheet = node.key.rsplit("-", 1)[1]
    threshold = read_threshold(run)
    scores, verdicts = all_scores(run)
    chosen = choose_images(sheet, scores, verdicts, threshold.value, seed=int(run.job.fingerprint[:8], 16))
    drawn = [inspected_image(run, image_id) for image_id in chosen]
    items = [item for item in drawn if item is not None]
    files: dict[str, bytes] = {}
    if items:
        limits = gray_range(items)
        pages = sheet_pages(
            items,
            HEADINGS[sheet][0],
            gray_range=limits,
            score_range=(max(threshold.lowest, 0.0), threshold.shown),
        )
        files = {f"figures/{sheet}-{number:03d}.png": encode_png(page) for number, page in enumerate(pages)}
    run.store.commit(node.key, summary={"files": put(run, files)})
    return node.key


def put(run: InspectRun, files: dict[str, bytes]) -> dict[str, str]:
    """Write files into the run; return their SHA-256 by name, for the record."""
    for name, data in files.items():
        run.store.blobs.put(name, data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def all_scores(run: InspectRun) -> tuple[Array, Array]:
    """Return score and verdict (an index of `VERDICTS`) of every image."""
    scores, verdicts = [], []
    for leaf in range(run.plan.leaf_count):
        scores.append(read_leaf(run, leaf).scores)
        verdicts.append(run.store.read_partial(run.measure_key(leaf))[0]["verdicts"])
    return np.concatenate(scores), np.concatenate(verdicts)


def choose_images(sheet: str, scores: Array, verdicts: Array, threshold: float, seed: int) -> list[int]:
    """Return the ids of the images of a sheet, in the order in which they are shown."""
    known = np.flatnonzero(np.isfinite(scores))
    if sheet == "worst":
        order = np.argsort(-scores[known].astype(np.float64), kind="stable")
    elif sheet == "borderline":
        order = np.argsort(np.abs(scores[known].astype(np.float64) - threshold), kind="stable")
    else:
        known = np.flatnonzero((verdicts == VERDICTS.index("OK")) & np.isfinite(scores))
        order = np.random.default_rng(seed).permutation(len(known))[:SHEET_IMAGES]
        order.sort()
    ids: list[int] = known[order[:SHEET_IMAGES]].tolist()
    return ids


def inspected_image(run: InspectRun, image_id: int) -> InspectedImage | None:
    """Return an image with what was found in it; None if it can no longer be read."""
    scored, row, scores = one_map(run, image_id)
    if scores is None:
        return None
    entry = run.images[image_id]
    threshold = read_threshold(run).value
    leaf = run.plan.leaf_of(image_id)
    arrays, _ = run.store.read_partial(run.measure_key(leaf))
    anomaly = run.anomaly(scores)
    mask = compute_mask(anomaly, threshold, run.job.kernel_size) > 0
    own = np.flatnonzero(arrays["defect_rows"] == row)
    maps = run.job.source == "maps"
    truth, label = None, None
    if run.truths is not None:
        known = run.truths[image_id]
        label = {GOOD: "good", BAD: "bad"}.get(known.label)
        try:
            truth = true_mask(known, pose_of(scored, row), scores.shape)
        except (InputError, OSError):
            truth = None
    try:
        image = _picture(run, image_id, scored, row, scores)
    except (InputError, OSError):
        image = np.full(scores.shape, np.nan, np.float32)
    return InspectedImage(
        name=entry.name,
        image=image,
        scores=scores,
        mask=mask,
        score=float(scored.scores[row]),
        threshold=threshold,
        verdict=VERDICTS[arrays["verdicts"][row]],  # type: ignore[arg-type]
        truth=truth,
        label=label,
        defects=[
            DrawnDefect(
                tuple(arrays["defect_boxes"][i].tolist()),
                float(arrays["defect_peaks"][i]),
                None if maps else ("bright" if arrays["defect_bright"][i] else "dark"),
            )
            for i in own
        ],
        polarity="unsigned" if maps else run.job.polarity,  # type: ignore[arg-type]
    )


def _picture(run: InspectRun, image_id: int, scored: ScoredLeaf, row: int, scores: Array) -> Array:
    """Return what is drawn of an image, in the coordinates of its map."""
    if run.job.source == "model":
        image = run.read_image(run.images[image_id])
        pose = pose_of(scored, row)
        return image if pose is None else run.inspector.align_at(image, pose).pixels
    if run.pictures is None:
        return np.asarray(scores, np.float32)
    image = run.read_image(run.pictures[image_id])
    if image.shape != scores.shape:
        raise InputError(f"its shape is {image.shape}, that of its map {scores.shape}")
    return image


def gray_range(items: list[InspectedImage]) -> tuple[float, float]:
    """Return the grey levels drawn black and white, the same for all images of a sheet."""
    samples = [
        item.image[:: max(1, item.image.shape[0] // 64), :: max(1, item.image.shape[1] // 64)]
        for item in items
    ]
    values = np.concatenate([np.asarray(sample, np.float64).ravel() for sample in samples])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, [0.5, 99.5]).tolist()
    return (low, high) if high > low else (low, low + 1.0)


# Tables and the report.


def write_report(run: InspectRun, node: Node) -> str:
    """Write the tables and, unless the run is not rendered, the report."""
    files = write_tables(run)
    metrics, curves = evaluation(run)
    if metrics:
        files |= put(run, {"tables/metrics.csv": _metrics_table(metrics)})
    if node.key.startswith("report-"):
        files |= put(run, {"report.html": inspection_report(_report_data(run, metrics, curves)).encode()})
    run.store.commit(node.key, summary={"files": files})
    return node.key


def write_tables(run: InspectRun) -> dict[str, str]:
    """Write the tables of images and of defects, leaf by leaf; return the digests of the files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            TableWriter(folder / "images", IMAGES_CONVENTION) as images,
            TableWriter(folder / "defects", DEFECTS_CONVENTION) as defects,
        ):
            for leaf in range(run.plan.leaf_count):
                image_rows, defect_rows = leaf_frames(run, leaf)
                images.append(image_rows)
                defects.append(defect_rows)
        return put(run, {f"tables/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())})


def leaf_frames(run: InspectRun, leaf: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of a leaf's images and of their defects."""
    scored = read_leaf(run, leaf)
    arrays, _ = run.store.read_partial(run.measure_key(leaf))
    threshold = read_threshold(run)
    ids = run.plan.images_of(leaf)
    entries = run.images.rows(ids.start, ids.stop)
    scores = scored.scores.astype(np.float64)
    low, high = threshold.lowest, max(threshold.highest, threshold.lowest + 1e-9)
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
            "failure": [scored.failures.get(entry.name, "") for entry in entries],
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
    maps = run.job.source == "maps"
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
                ["" if maps else ("bright" if bright else "dark") for bright in arrays["defect_bright"]],
                dtype="str",
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


def evaluation(run: InspectRun) -> tuple[list[Metric], list[EvaluationCurve]]:
    """Return how well scores tell what is known of the images, as numbers and curves."""
    if not run.evaluation_root:
        return [], []
    known, _, _ = read_results(run.store, run.evaluation_root, run.evaluation_analyzers)
    threshold = read_threshold(run).value
    curves: list[EvaluationCurve] = []
    values: dict[str, dict[str, float]] = {}
    for level in ("images", "pixels"):
        counts = known[level]
        if not counts.positives.any() or not counts.negatives.any():
            continue
        roc, ranked = roc_curve(counts), precision_recall_curve(counts)
        at = confusion(counts, threshold)
        area, precision = auroc(counts), average_precision(counts)
        best, best_threshold = f1_max(counts)
        values[level] = {
            "AUROC": area,
            "average precision": precision,
            "F1-max": best,
            "threshold of F1-max": best_threshold,
            "precision at the threshold": at.precision,
            "recall at the threshold": at.recall,
        }
        curves.append(EvaluationCurve("roc", level, roc.false_positive_rates, roc.true_positive_rates, area))
        curves.append(EvaluationCurve("pr", level, ranked.recalls, ranked.precisions, precision))
    regions = known["regions"]
    if regions.regions and regions.normals.any():
        curve = pro_curve(regions)
        values.setdefault("pixels", {})["AUPRO"] = area = aupro(regions)
        curves.append(
            EvaluationCurve("pro", "pixels", curve.false_positive_rates, curve.overlaps, area, limit=0.3)
        )
    overlaps = _overlaps(run)
    if overlaps.size:
        values.setdefault("pixels", {})["AUPIMO, mean over images"] = float(overlaps.mean())
    names = dict.fromkeys(name for level in values.values() for name in level)
    by_level = values.get("images", {}), values.get("pixels", {})
    return [Metric(name, *(level.get(name) for level in by_level)) for name in names], curves


def _overlaps(run: InspectRun) -> Array:
    found = [
        run.store.read_partial(run.measure_key(leaf))[0]["overlaps"] for leaf in range(run.plan.leaf_count)
    ]
    overlaps: Array = np.concatenate(found)
    known: Array = overlaps[np.isfinite(overlaps)]
    return known


def _metrics_table(metrics: list[Metric]) -> bytes:
    text = io.StringIO()
    frame = pd.DataFrame(
        {
            "metric": [m.name for m in metrics],
            "images": [m.images for m in metrics],
            "pixels": [m.pixels for m in metrics],
        }
    )
    frame.to_csv(text, index=False, na_rep="nan", lineterminator="\n")
    return text.getvalue().encode()


def _report_data(run: InspectRun, metrics: list[Metric], curves: list[EvaluationCurve]) -> InspectionReport:
    threshold = read_threshold(run)
    verdicts: Counter[str] = Counter()
    by_group: dict[str, list[Array]] = {}
    images: list[pd.DataFrame] = []
    defects: list[pd.DataFrame] = []
    not_found: list[Failure] = []
    failures: list[Failure] = []
    number = 0
    for leaf in range(run.plan.leaf_count):
        rows, own = leaf_frames(run, leaf)
        verdicts.update(rows["verdict"])
        number += len(own)
        for label, group in rows.groupby("label", sort=False):
            name = {"good": "normal", "bad": "anomalous"}.get(str(label), "unlabelled")
            by_group.setdefault(name, []).append(group["score"].to_numpy())
        images = _worst([*images, rows], "score")
        defects = _worst([*defects, own], "peak")
        not_found += [
            Failure(name, "the part was not found") for name in rows["name"][rows["verdict"] == "NOT_FOUND"]
        ][: REPORT_ROWS - len(not_found)]
        failed = rows[rows["verdict"] == "ERROR"]
        failures += [Failure(n, f) for n, f in zip(failed["name"], failed["failure"], strict=True)][
            : REPORT_ROWS - len(failures)
        ]
    return InspectionReport(
        title=f"Inspection of {run.job.labels['images']}",
        model=_model_text(run),
        threshold=threshold.value,
        threshold_rule=run.job.measure.threshold,
        score_range=(threshold.lowest, threshold.highest),
        verdicts={name: verdicts[name] for name in DRAWN_VERDICTS},
        fingerprint=run.job.fingerprint,
        versions=run.store.attributes["versions"],
        scores={name: np.concatenate(parts) for name, parts in by_group.items()},
        curves=curves,
        metrics=metrics,
        sheets=[_sheet(run, sheet) for sheet in SHEETS],
        density_picture=_density(run, number),
        images=[
            ReportImage(
                r["name"], r["verdict"], r["score"], r["defects"], r["area"], r["label"] or None, r["failure"]
            )
            for frame in images
            for r in frame.to_dict("records")
        ],
        defects=[
            ReportDefect(
                r["name"], (r["y0"], r["x0"], r["y1"], r["x1"]), r["area"], r["peak"], r["polarity"] or None
            )
            for frame in defects
            for r in frame.to_dict("records")
        ],
        number_of_defects=number,
        failures=failures,
        not_found=not_found,
        tables="tables/images.parquet and tables/defects.parquet",
    )


def _worst(frames: list[pd.DataFrame], column: str) -> list[pd.DataFrame]:
    rows = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return [rows.sort_values(column, ascending=False, kind="stable", na_position="last").head(REPORT_ROWS)]


def _sheet(run: InspectRun, sheet: str) -> ReportSheet:
    record = run.store.read_commit(run.sheet_key(sheet))
    names = sorted(record.summary["files"]) if record is not None else []
    pages = [data for data in map(run.store.blobs.get, names) if data is not None]
    return ReportSheet(*HEADINGS[sheet], pages)


def _density(run: InspectRun, defects: int) -> bytes | None:
    """Draw where defects lie, if all maps have one shape."""
    if not defects or len(run.plan.groups) != 1:
        return None
    shape = run.plan.groups[0].shape
    counts = np.zeros(math.prod(shape), np.int64)
    inspected = 0
    for leaf in range(run.plan.leaf_count):
        arrays, _ = run.store.read_partial(run.measure_key(leaf))
        counts[arrays["density_places"]] += arrays["density_counts"]
        inspected += int((read_leaf(run, leaf).status == SCORED).sum())
    mean = getattr(run.inspector.model, "mean", None) if run.job.source == "model" else None
    ground = mean if mean is not None and mean.shape == shape else None
    return encode_png(draw_density(counts.reshape(shape), ground, images=inspected))


def _model_text(run: InspectRun) -> str:
    if run.job.recipe is None:
        return "anomaly maps of another tool"
    located = ", part located first" if run.job.location else ""
    height, width = run.job.recipe.shape
    return f"{run.job.recipe.method}, {width} × {height} pixels{located}"


def failed_rows(run: InspectRun) -> Iterator[tuple[str, str]]:
    """Yield name and reason of every image that could not be inspected."""
    for leaf in range(run.plan.leaf_count):
        yield from read_leaf(run, leaf).failures.items()
