"""The last tasks of a run: an overlay per target, then tables, contact sheets and the report."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.cluster.match.candidate_tasks import BLOCK_VOXELS
from scorefold.cluster.match.result_map import ResultMap
from scorefold.cluster.match.run import MatchRun, Read
from scorefold.cluster.run import one_line
from scorefold.errors import InputError
from scorefold.io import TargetSource, tabulate_targets, write_picks, write_table
from scorefold.io.names import readable_path
from scorefold.planning.node import Node
from scorefold.rendering import (
    Cutout,
    DrawnPick,
    Failure,
    ReportData,
    ReportTarget,
    ScoreHistogram,
    contact_sheets,
    contrast_limits,
    cut_out,
    encode_png,
    gray_picture,
    mask_outline,
    overlay_image,
    overlay_volume,
    render_report,
)
from scorefold.store import ResultMaps
from scorefold.store.results import level_shapes

SHEETS = "figures/sheets"
"""Folder of the contact sheets, apart from the overlays, since a target may be called grid-000."""

CUTOUTS = {2: 400, 3: 99}
"""Picks of a run that are shown on contact sheets, by dimension."""

REPORT_PICTURES = 60
"""Overlays that are put into the report; all are in ``figures/``."""

OVERLAY_VOXELS = 2_000_000

IMAGES_CONVENTION = (
    "One row per target. best_score: highest score of any position and rotation; threshold: lowest score of a pick; "
    "score_mean, score_std: over all tests (positions x rotations); failure: why a target could not be searched."
)

UNITS = {"angstrom": "Å", "nanometer": "nm", "micrometer": "µm", "millimeter": "mm"}


class TargetPixels:
    """A target as an array that is read where it is sliced."""

    def __init__(self, read: Read, shape: tuple[int, ...]) -> None:
        self._read = read
        self.shape = shape

    def __getitem__(self, region: Any) -> NDArray[Any]:
        given = region if isinstance(region, tuple) else (region,)
        given = given + (slice(None),) * (len(self.shape) - len(given))
        slices, drop = [], []
        for axis, (part, length) in enumerate(zip(given, self.shape, strict=True)):
            if isinstance(part, slice):
                start, stop, _ = part.indices(length)
                slices.append(slice(start, stop))
            else:
                slices.append(slice(int(part), int(part) + 1))
                drop.append(axis)
        return np.squeeze(self._read(tuple(slices)), axis=tuple(drop))


def drawn_picks(run: MatchRun, index: int) -> list[DrawnPick]:
    """Return the committed picks of a target, best first."""
    arrays, record = run.store.read_partial(run.plan.pick_node(index, run.job.picks.digest).key)
    if "failure" in record.summary:
        return []
    name = run.job.targets[index].name
    return [
        DrawnPick(position, rotation, float(score), rank, name)
        for rank, (position, rotation, score) in enumerate(
            zip(arrays["positions"], arrays["matrices"], arrays["scores"], strict=True), start=1
        )
    ]


def render_target(run: MatchRun, node: Node) -> str:
    """Draw the overlay of a target, and cut out its best picks for the contact sheets."""
    target = run.job.targets[node.target]
    record = run.store.require_commit(run.plan.pick_node(node.target, run.job.picks.digest).key)
    if "failure" in record.summary:
        run.store.commit(node.key)
        return node.key
    picks = drawn_picks(run, node.target)
    shown = picks[: CUTOUTS[len(target.shape)]]
    try:
        pixels = TargetPixels(run.reader(target), target.shape)
        picture = encode_png(_overlay(run, node.target, pixels, picks, record.summary["threshold"]))
        cutouts = [cut_out(pixels.__getitem__, p.position, p.rotation, run.job.template_shape) for p in shown]
    except (InputError, OSError) as error:  # it was readable when it was searched
        run.store.commit(node.key, summary={"failure": f"searched, but not drawn: {one_line(error)}"})
        return node.key
    files = run.put({f"figures/{target.name}.png": picture})
    arrays = {"cutouts": np.stack(cutouts)} if cutouts else {}
    run.store.commit(node.key, arrays=arrays, summary={"files": files})
    return node.key


def _overlay(
    run: MatchRun, index: int, pixels: TargetPixels, picks: list[DrawnPick], threshold: float
) -> NDArray[np.uint8]:
    target = run.job.targets[index]
    unit = None if target.pixel_size is None else UNITS.get(target.pixel_unit or "", target.pixel_unit)
    scale: dict[str, Any] = {}
    if target.pixel_size is not None and unit:
        scale = {"pixel_size": float(target.pixel_size[-1]), "unit": unit}
    if len(target.shape) == 3:
        return overlay_volume(
            pixels,
            ResultMap(run, index, "scores"),
            picks,
            run.mask,
            threshold=threshold,
            title=target.name,
            **scale,
        )
    shapes = level_shapes(target.shape)
    level = next((i for i, shape in enumerate(shapes) if math.prod(shape) <= OVERLAY_VOXELS), len(shapes) - 1)
    return overlay_image(
        _reduced(pixels, 2**level),
        _scores_at(run, index, level),
        picks,
        mask_outline(run.mask),
        threshold=threshold,
        title=target.name,
        factor=2**level,
        **scale,
    )


def _scores_at(run: MatchRun, index: int, level: int) -> NDArray[np.float32]:
    """Return the best scores of a target at a level, verified."""
    if level == 0:
        return np.asarray(ResultMap(run, index, "scores"))
    key = run.plan.candidate_node(index, run.job.picks.digest).key
    record = run.store.require_commit(key)
    maps = ResultMaps(run.store, run.job.targets[index].name)
    for name in record.summary["files"]:
        if name.startswith(f"{maps.path}/scores/{level}/"):
            run.store.read_file(record, name)
    return maps.level("scores", level)[...]


def _reduced(pixels: TargetPixels, factor: int) -> NDArray[np.float32]:
    """Return block means of an image, reading a few rows at a time."""
    if factor == 1:
        return np.asarray(pixels[:, :], np.float32)
    height, width = pixels.shape
    result = np.empty((-(-height // factor), -(-width // factor)), np.float32)
    columns = np.arange(0, width, factor)
    step = max(1, BLOCK_VOXELS // (width * factor)) * factor
    for start in range(0, height, step):
        slab = np.asarray(pixels[start : start + step, :], np.float64)
        rows = np.arange(0, slab.shape[0], factor)
        sums = np.add.reduceat(np.add.reduceat(slab, rows, axis=0), columns, axis=1)
        sizes = np.outer(np.diff([*rows, slab.shape[0]]), np.diff([*columns, width]))
        first = start // factor
        result[first : first + len(rows)] = sums / sizes
    return result


def write_report(run: MatchRun, node: Node) -> str:
    """Write the tables of all targets and, unless the run is not rendered, contact sheets and the report."""
    files = _write_tables(run)
    if node.key.startswith("report-"):
        picks = {index: drawn_picks(run, index) for index in range(len(run.job.targets))}
        files |= _write_pages(run, picks)
    run.store.commit(node.key, summary={"files": files})
    return node.key


def picks_frame(run: MatchRun) -> pd.DataFrame:
    """Return the picks of all targets as a table, in the order of targets and ranks."""

    def of_targets() -> Iterator[tuple[str, NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]]:
        for index, target in enumerate(run.job.targets):
            arrays, record = run.store.read_partial(run.plan.pick_node(index, run.job.picks.digest).key)
            if "failure" not in record.summary:
                yield (
                    target.name,
                    arrays["positions"],
                    arrays["scores"],
                    arrays["rotations"],
                    arrays["matrices"],
                )

    return tabulate_targets(of_targets(), len(run.job.template_shape))


def _write_tables(run: MatchRun) -> dict[str, str]:
    picks = picks_frame(run)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_picks(folder, picks, [TargetSource.from_json(target.source) for target in run.job.targets])
        images = _targets_frame(run, picks["target"].value_counts().to_dict())
        for suffix in ("csv", "parquet"):
            write_table(folder / f"images.{suffix}", images, IMAGES_CONVENTION)
        return run.put_files({f"tables/{path.name}": path for path in sorted(folder.iterdir())})


def _targets_frame(run: MatchRun, counts: dict[str, int]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for index, target in enumerate(run.job.targets):
        summary = run.store.require_commit(run.plan.pick_node(index, run.job.picks.digest).key).summary
        rows.append(
            {
                "target": target.name,
                "path": readable_path(target.source["path"]),
                "picks": counts.get(target.name, 0),
                "best_score": summary.get("best", math.nan),
                "threshold": summary.get("threshold", math.nan),
                "score_mean": summary.get("mean", math.nan),
                "score_std": summary.get("std", math.nan),
                "tests": summary.get("tests", 0),
                "failure": summary.get("failure", ""),
            }
        )
    for name, reason in run.unreadable().items():
        rows.append({"target": name, "path": name, "picks": 0, "tests": 0, "failure": reason})
    return pd.DataFrame(rows)


def _write_pages(run: MatchRun, picks: dict[int, list[DrawnPick]]) -> dict[str, str]:
    sheets = [encode_png(page) for page in contact_sheets(_best_cutouts(run, picks), run.template_values)]
    run.store.blobs.delete_below(SHEETS)
    pages = {f"{SHEETS}/grid-{number:03d}.png": sheet for number, sheet in enumerate(sheets)}
    return run.put({**pages, "report.html": render_report(_report_data(run, picks, sheets)).encode()})


def _best_cutouts(run: MatchRun, picks: dict[int, list[DrawnPick]]) -> list[Cutout]:
    most = CUTOUTS[len(run.job.template_shape)]
    ranked = sorted(
        (-pick.score, index, row) for index, found in picks.items() for row, pick in enumerate(found[:most])
    )[:most]
    rows_of: dict[int, list[int]] = {}
    for _, index, row in ranked:
        rows_of.setdefault(index, []).append(row)
    cutouts = []
    for index, rows in rows_of.items():
        arrays, record = run.store.read_partial(run.plan.render_node(index, run.job.picks.digest).key)
        if "failure" not in record.summary:
            cutouts += [Cutout(picks[index][row], arrays["cutouts"][row]) for row in rows]
    return cutouts


def _report_data(run: MatchRun, picks: dict[int, list[DrawnPick]], sheets: list[bytes]) -> ReportData:
    job = run.job
    histogram, thresholds = _pooled_histogram(run)
    by_score = sorted(range(len(job.targets)), key=lambda i: (-len(picks[i]), i))
    pictured = set(by_score[:REPORT_PICTURES])
    targets = [
        ReportTarget(
            name=target.name,
            shape=target.shape,
            picks=len(picks[index]),
            best_score=picks[index][0].score if picks[index] else None,
            picture=run.file(f"figures/{target.name}.png") if index in pictured else None,
        )
        for index, target in enumerate(job.targets)
    ]
    return ReportData(
        title=f"Matches of {Path(job.labels['template']).name}",
        dimensions=2 if len(job.template_shape) == 2 else 3,
        template=f"{job.labels['template']}, {' × '.join(str(n) for n in reversed(job.template_shape))} voxels",
        mask=job.labels["mask"],
        rotation_set=job.labels["rotations"],
        score=job.search.description,
        threshold=float(np.median(thresholds)) if thresholds else math.nan,
        threshold_source=_threshold_source(run, thresholds),
        fingerprint=job.fingerprint,
        versions=run.store.attributes["versions"],
        targets=targets,
        picks=sorted(
            (p for found in picks.values() for p in found), key=lambda p: (-p.score, p.target, p.rank)
        ),
        failures=[Failure(name, reason) for name, reason in run.failures().items()],
        histogram=histogram,
        template_picture=encode_png(_template_picture(run.template_values)),
        contact_sheets=sheets,
    )


def _template_picture(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    section = values if values.ndim == 2 else values[values.shape[0] // 2]
    return gray_picture(section, contrast_limits(section))


def _threshold_source(run: MatchRun, thresholds: list[float]) -> str:
    options = run.job.picks
    if not isinstance(options.threshold, str):
        return "given"
    spread = f", {min(thresholds):.4g} to {max(thresholds):.4g}" if len(set(thresholds)) > 1 else ""
    return f"automatic: {options.false_positives:g} expected false positives per target{spread}"


def _pooled_histogram(run: MatchRun) -> tuple[ScoreHistogram | None, list[float]]:
    parts, thresholds = [], []
    for index in range(len(run.job.targets)):
        arrays, record = run.store.read_partial(run.plan.pick_node(index, run.job.picks.digest).key)
        if "failure" not in record.summary:
            parts.append((arrays["histogram_counts"], arrays["histogram_edges"]))
            thresholds.append(float(record.summary["threshold"]))
    if not parts:
        return None, thresholds
    edges = np.linspace(min(e[0] for _, e in parts), max(e[-1] for _, e in parts), len(parts[0][1]))
    counts = np.zeros(len(edges) - 1, np.int64)
    for own_counts, own_edges in parts:
        # Bins of targets differ; a bin's scores count where its middle lies.
        counts += np.histogram((own_edges[1:] + own_edges[:-1]) / 2, edges, weights=own_counts)[0].astype(
            np.int64
        )
    return ScoreHistogram(counts, edges), thresholds
