"""The last task of an inspection: its tables, and the report."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.cluster.inspect.inspect_run import SHEETS, InspectRun
from scorefold.cluster.inspect.measure_tasks import AUTO_DEVIATIONS, NATURAL_THRESHOLD, read_threshold
from scorefold.cluster.inspect.metrics import evaluation, metrics_table
from scorefold.cluster.inspect.scored_leaf import SCORED, read_leaf
from scorefold.cluster.inspect.sheet_tasks import HEADINGS
from scorefold.cluster.inspect.tables import frames, write_tables
from scorefold.inspection.variation import VariationModel
from scorefold.planning.inspect_job import AUTO
from scorefold.planning.node import Node
from scorefold.rendering import Failure, encode_png
from scorefold.rendering.inspection import VERDICTS as DRAWN_VERDICTS
from scorefold.rendering.inspection import (
    EvaluationCurve,
    InspectionReport,
    Metric,
    ReportDefect,
    ReportImage,
    ReportSheet,
    draw_density,
    inspection_report,
)

Array = NDArray[Any]

REPORT_ROWS = 2000
"""Rows of a table that the report shows; the tables have all."""


def write_report(run: InspectRun, node: Node) -> str:
    """Write the tables and, unless the run is not rendered, the report."""
    files = write_tables(run)
    for group in run.plan.groups:
        for what in ("scores", "masks"):
            files |= run.create_maps(run.plan.leaf_of(group.first), what)[1]
    metrics, curves = evaluation(run)
    if metrics:
        files |= run.put({"tables/metrics.csv": metrics_table(metrics)})
    if node.key.startswith("report-"):
        files |= run.put({"report.html": inspection_report(_report_data(run, metrics, curves)).encode()})
    run.store.commit(node.key, summary={"files": files})
    return node.key


def _report_data(run: InspectRun, metrics: list[Metric], curves: list[EvaluationCurve]) -> InspectionReport:
    threshold = read_threshold(run)
    verdicts: Counter[str] = Counter()
    by_group: dict[str, list[Array]] = {}
    images: list[pd.DataFrame] = []
    defects: list[pd.DataFrame] = []
    not_found: list[Failure] = []
    failures: list[Failure] = []
    number = 0
    for rows, own in frames(run):
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
        failed = rows[rows["failure"] != ""]
        failures += [Failure(n, f) for n, f in zip(failed["name"], failed["failure"], strict=True)][
            : REPORT_ROWS - len(failures)
        ]
    return InspectionReport(
        title=f"Inspection of {run.job.labels['images']}",
        model=_model_text(run),
        threshold=threshold.value,
        threshold_rule=_rule_text(run),
        score_range=threshold.colours,
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
        signed=run.job.signed,
    )


def _worst(frames: list[pd.DataFrame], column: str) -> list[pd.DataFrame]:
    rows = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return [rows.sort_values(column, ascending=False, kind="stable", na_position="last").head(REPORT_ROWS)]


def _sheet(run: InspectRun, sheet: str) -> ReportSheet:
    record = run.store.require_commit(run.sheet_key(sheet))
    pages = [run.store.read_file(record, name) for name in sorted(record.summary["files"])]
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
    return encode_png(draw_density(counts.reshape(shape), _good_image(run), images=inspected))


def _good_image(run: InspectRun) -> Array | None:
    """Return what a good image looks like, as far as the model knows."""
    if run.job.source == "maps":
        return None
    inspector = run.inspector
    if isinstance(inspector.model, VariationModel):
        return inspector.model.mean
    known: Array | None = inspector.arrays.get("template", inspector.arrays.get("reference"))
    return known


def _rule_text(run: InspectRun) -> str:
    rule = run.job.measure.threshold
    if rule != AUTO:
        return rule
    usual = f"{AUTO_DEVIATIONS:g} standard deviations above the mean score of good images"
    return f"auto: {usual}" + ("" if run.job.source == "maps" else f", but at least {NATURAL_THRESHOLD:g}")


def _model_text(run: InspectRun) -> str:
    if run.job.recipe is None:
        return "anomaly maps of another tool"
    located = ", part located first" if run.job.location else ""
    height, width = run.job.recipe.shape
    return f"{run.job.recipe.method}, {width} × {height} pixels{located}"
