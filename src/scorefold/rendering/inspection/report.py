"""The HTML report of an inspection: one file that opens from disk and asks nothing of the network."""

from collections.abc import Sequence
from math import inf, isfinite, isnan

from scorefold.rendering.inspection.curves import (
    ANOMALOUS_COLOUR,
    NORMAL_COLOUR,
    CurveKind,
    evaluation_figure,
    image_score_figure,
)
from scorefold.rendering.inspection.image import VERDICTS, Verdict
from scorefold.rendering.inspection.report_data import InspectionReport, ReportDefect, ReportImage
from scorefold.rendering.page import (
    TEXT,
    THEME,
    VERDICT,
    curve,
    description,
    enlargeable,
    grouped,
    number,
    paged_table,
    table,
    text,
    write_page,
)
from scorefold.rendering.report_data import Failure

MAXIMUM_ROWS = 2_000
"""Rows of a table, those with the highest scores; the page would open slowly with a million."""

MAXIMUM_FAILURES = 200
"""Failures that are listed; as many are one failure with one cause."""

_VERDICT_NAMES: dict[Verdict, tuple[str, str]] = {
    "OK": ("OK", "ok"),
    "NG": ("not good (NG)", "ng"),
    "NOT_FOUND": ("part not found", "not-found"),
    "ERROR": ("failed", "error"),
}
_THEME = {**THEME, NORMAL_COLOUR: "ok", ANOMALOUS_COLOUR: "ng"}
_CAPTIONS: dict[CurveKind, str] = {
    "roc": "How many anomalies are found, over how many alarms are false.",
    "pr": "How many alarms are right, over how many anomalies are found.",
    "pro": "How much of each anomalous region is found, over how many pixels are false alarms.",
}
_IMAGE_COLUMNS = ("image", "verdict", "score", "defects", "area", "label", "note")
_IMAGE_CLASSES = {0: TEXT, 1: VERDICT, 5: TEXT, 6: TEXT}
_DEFECT_COLUMNS = ("image", "polarity", "peak", "area", "y", "x", "height", "width")
_DEFECT_CLASSES = {0: TEXT, 1: TEXT}
_RULE = "A pixel or an image is anomalous when its score is above the threshold."
_SIGNS = "Positive scores are brighter than allowed, negative ones darker."
_BOXES = "Boxes are array coordinates (y, x) of their upper left pixel."


def inspection_report(data: InspectionReport) -> str:
    """Write the report of an inspection as one self-contained HTML page.

    Style, script, pictures and curves are in the page, and its content security policy forbids any
    request. It follows the reader's light or dark theme, fits a phone, and prints. Without scripts each
    table shows its first 100 rows; with them it pages, sorts and filters up to 2 000, those of the highest
    scores.

    Parameters
    ----------
    data : InspectionReport
        What to show.

    Returns
    -------
    str
        An HTML document to be written as UTF-8; the same data gives the same text.

    Examples
    --------
    >>> page = inspection_report(
    ...     InspectionReport(
    ...         title="Line 2", model="variation model of 400 images", threshold=1.0,
    ...         threshold_rule="manual", score_range=(0.0, 4.0), verdicts={"OK": 97, "NG": 3},
    ...         fingerprint="3f1a…", versions={"scorefold": "0.1.0"},
    ...     )
    ... )
    >>> "<title>Line 2</title>" in page
    True
    """
    images = sorted(data.images, key=lambda row: (-_orderable(row.score), row.name))[:MAXIMUM_ROWS]
    defects = sorted(data.defects, key=lambda row: (-_orderable(row.peak), row.image, row.box))[:MAXIMUM_ROWS]
    image_rows, defect_rows = [_image_row(row) for row in images], [_defect_row(row) for row in defects]
    defects_found = len(data.defects) if data.number_of_defects is None else data.number_of_defects
    sections = [
        ("failures", "Failures", _listed(data.failures, data.verdicts.get("ERROR", 0), data.tables)),
        ("summary", "Summary", _summary(data)),
        ("scores", "Scores", _scores(data)),
        ("evaluation", "Evaluation", _evaluation(data)),
        ("sheets", "Images", _sheets(data)),
        ("density", "Where defects lie", _density(data)),
        ("images", "All images", _images(image_rows, data.number_of_images, data.tables)),
        ("defects", "Defects", _defects(defect_rows, defects_found, data.tables)),
        (
            "not-found",
            "Part not found",
            _listed(data.not_found, data.verdicts.get("NOT_FOUND", 0), data.tables),
        ),
    ]
    return write_page(
        data.title,
        "Anomaly inspection with scorefold",
        _figures(data, defects_found),
        sections,
        {"image-rows": image_rows, "defect-rows": defect_rows},
    )


def _figures(data: InspectionReport, defects_found: int) -> list[tuple[str, str, str]]:
    figures = [(grouped(data.number_of_images), "images", "")]
    for verdict in VERDICTS:
        count = data.verdicts.get(verdict, 0)
        if count or verdict in {"OK", "NG"}:
            name, style = _VERDICT_NAMES[verdict]
            figures.append((grouped(count), name, style if count else ""))
    figures += [(grouped(defects_found), "defects", ""), (number(data.threshold), "threshold", "")]
    return figures


def _summary(data: InspectionReport) -> str:
    inspected = data.verdicts.get("OK", 0) + data.verdicts.get("NG", 0)
    entries = [("Model", text(data.model))]
    if isnan(data.threshold):
        entries.append(("Threshold", "none: no image could be inspected"))
    else:
        entries.append(("Threshold", f"{number(data.threshold)} — {text(data.threshold_rule)}"))
    if inspected:
        share = 100 * data.verdicts.get("NG", 0) / inspected
        entries.append(("Not good", f"{share:.3g} % of {grouped(inspected)} inspected images"))
    if data.score_range is not None:
        low, high = data.score_range
        entries.append(
            ("Colours", f"scores from {number(low)} to {number(high)} or more, the same in all pictures")
        )
    entries += [(text(name), text(value)) for name, value in data.facts.items()]
    entries += [
        ("Convention", " ".join((_RULE, *((_SIGNS,) if data.signed else ()), _BOXES))),
        ("Fingerprint", f"<code>{text(data.fingerprint)}</code>"),
        ("Versions", ", ".join(f"{text(name)} {text(version)}" for name, version in data.versions.items())),
    ]
    return f'<div class="summary">{description(entries)}</div>'


def _scores(data: InspectionReport) -> str:
    if isnan(data.threshold) or not any(
        isfinite(score) for scores in data.scores.values() for score in scores
    ):
        return ""
    figure = image_score_figure(data.scores, data.threshold)
    caption = "How often each image score occurs. Images right of the threshold are not good."
    return f'<div class="curves">{curve(figure, "scores", caption, _THEME)}</div>'


def _evaluation(data: InspectionReport) -> str:
    parts = []
    if data.metrics:
        rows = [(metric.name, _metric(metric.images), _metric(metric.pixels)) for metric in data.metrics]
        parts.append(table(("measure", "images", "pixels"), rows, classes={0: TEXT}))
    kinds = [kind for kind in _CAPTIONS if any(curve.kind == kind for curve in data.curves)]
    drawings = [
        curve(
            evaluation_figure([given for given in data.curves if given.kind == kind]),
            kind,
            _CAPTIONS[kind],
            _THEME,
        )
        for kind in kinds
    ]
    if drawings:
        parts.append(f'<div class="curves">{"".join(drawings)}</div>')
    return "\n".join(parts)


def _sheets(data: InspectionReport) -> str:
    return "\n".join(
        f"<h3>{text(sheet.heading)}</h3><p>{text(sheet.caption)}</p>{_pages(sheet.heading, sheet.pages)}"
        for sheet in data.sheets
        if sheet.pages
    )


def _pages(name: str, pages: Sequence[bytes]) -> str:
    figures = "".join(
        f"<figure>{enlargeable(page, f'{name}, page {position}')}</figure>"
        for position, page in enumerate(pages, start=1)
    )
    return f'<div class="sheets">{figures}</div>'


def _density(data: InspectionReport) -> str:
    if data.density_picture is None:
        return ""
    return "<p>How many defects cover each place.</p>" + _pages("Where defects lie", [data.density_picture])


def _images(rows: Sequence[Sequence[str]], total: int, tables: str) -> str:
    if not rows:
        return ""
    listing = paged_table(
        "image-rows", _IMAGE_COLUMNS, rows, classes=_IMAGE_CLASSES, placeholder="Filter by name or verdict"
    )
    return _cut(len(rows), total, "images", "scores", tables) + listing


def _defects(rows: Sequence[Sequence[str]], total: int, tables: str) -> str:
    if not rows:
        return ""
    listing = paged_table(
        "defect-rows", _DEFECT_COLUMNS, rows, classes=_DEFECT_CLASSES, placeholder="Filter by image"
    )
    return _cut(len(rows), total, "defects", "peaks", tables) + listing


def _cut(shown: int, total: int, things: str, by: str, tables: str) -> str:
    if shown >= total:
        return ""
    return (
        f"<p>The table holds the {grouped(shown)} of {grouped(total)} {things} with the highest {by}; "
        f"all of them are in {text(tables)}.</p>"
    )


def _listed(failures: Sequence[Failure], total: int, tables: str) -> str:
    if not failures:
        return ""
    shown = failures[:MAXIMUM_FAILURES]
    total = max(total, len(failures))
    remark = ""
    if len(shown) < total:
        remark = (
            f"<p>The first {grouped(len(shown))} of {grouped(total)}; all of them are in {text(tables)}.</p>"
        )
    rows = [(failure.target, failure.reason) for failure in shown]
    return remark + table(("image", "reason"), rows, classes={0: TEXT, 1: TEXT})


def _image_row(row: ReportImage) -> list[str]:
    label = row.label or ""
    return [row.name, row.verdict, number(row.score), str(row.defects), str(row.area), label, row.note]


def _defect_row(row: ReportDefect) -> list[str]:
    y0, x0, y1, x1 = row.box
    lengths = [str(length) for length in (row.area, y0, x0, y1 - y0, x1 - x0)]
    return [row.image, row.polarity or "–", number(row.peak), *lengths]


def _metric(value: float | None) -> str:
    return "–" if value is None or isnan(value) else f"{value:.4f}"


def _orderable(score: float) -> float:
    """Return a score that sorts, lowest where there is none."""
    return -inf if isnan(score) else score
