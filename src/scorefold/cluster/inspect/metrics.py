"""How well the scores of an inspection tell what is known of its images."""

import io
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.measure_tasks import read_threshold
from scorefold.cluster.inspect.states import read_whole
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
from scorefold.rendering.inspection import EvaluationCurve, Metric

Array = NDArray[Any]


def evaluation(run: InspectRun) -> tuple[list[Metric], list[EvaluationCurve]]:
    """Return how well scores tell what is known of the images, as numbers and curves."""
    if not run.evaluation_root:
        return [], []
    known = read_whole(run.store, run.evaluation_root, run.evaluation_analyzers, run.whole)
    threshold = read_threshold(run).value
    curves: list[EvaluationCurve] = []
    values: dict[str, dict[str, float]] = {}
    for level in ("images", "pixels"):
        counts = known[level]
        if not counts.positives.any() or not counts.negatives.any():
            continue
        roc, ranked = roc_curve(counts), precision_recall_curve(counts)
        area, precision = auroc(counts), average_precision(counts)
        best, best_threshold = f1_max(counts)
        values[level] = {
            "AUROC": area,
            "average precision": precision,
            "F1-max": best,
            "threshold of F1-max": best_threshold,
        }
        if level == "images":  # masks are opened, so that scores alone do not tell which pixels are found
            at = confusion(counts, threshold)
            values[level] |= {
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


def metrics_table(metrics: list[Metric]) -> bytes:
    """Return metrics as the content of a CSV file."""
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
