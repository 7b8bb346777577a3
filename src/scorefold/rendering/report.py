"""The HTML report of a matching job: one file that opens from disk and asks nothing of the network."""

from collections.abc import Sequence
from math import isnan

from scorefold.rendering.curves import score_histogram_figure, score_rank_figure
from scorefold.rendering.legend import counted
from scorefold.rendering.page import (
    ROWS_PER_PAGE,
    TEXT,
    curve,
    description,
    enlargeable,
    grouped,
    image,
    number,
    paged_table,
    table,
    text,
    write_page,
)
from scorefold.rendering.pick import DrawnPick
from scorefold.rendering.report_data import ReportData, ReportTarget

MAXIMUM_ROWS = 20_000
"""Rows of the picks table; a longer list is in the run's tables, the page would open slowly with it."""

CONVENTIONS = {
    2: (
        "Coordinates are array coordinates (y, x) of the template's rotation centre, pixel centres at "
        "integers. Angles are degrees, counter-clockwise as seen on screen with y pointing down."
    ),
    3: (
        "Coordinates are array coordinates (z, y, x) of the template's rotation centre, voxel centres at "
        "integers. Angles are degrees as RELION writes them: rot, tilt, psi, intrinsic ZYZ."
    ),
}

_COLUMNS = {
    2: ("rank", "target", "score", "y", "x", "angle"),
    3: ("rank", "target", "score", "z", "y", "x", "rot", "tilt", "psi"),
}
_TARGET_COLUMN = 1


def render_report(data: ReportData) -> str:
    """Write the report of a matching job as one self-contained HTML page.

    Style, script, pictures and curves are in the page, and its content security policy forbids any
    request. It follows the reader's light or dark theme, fits a phone, and prints. Without scripts the
    table shows its first 100 rows; with them it pages, sorts and filters.

    Parameters
    ----------
    data : ReportData
        What to show.

    Returns
    -------
    str
        An HTML document to be written as UTF-8; the same data gives the same text.

    Examples
    --------
    >>> page = render_report(
    ...     ReportData(
    ...         title="Ribosomes", dimensions=3, template="ribosome.mrc, 64³", mask="sphere, radius 20",
    ...         rotation_set="7°, C1, 18 732 rotations", score="FLC", threshold=0.21,
    ...         threshold_source="one expected false positive", fingerprint="3f1a…",
    ...         versions={"scorefold": "0.1.0"}, targets=[], picks=[],
    ...     )
    ... )
    >>> "<title>Ribosomes</title>" in page
    True
    """
    sections = [
        ("failures", "Failures", _failures(data)),
        ("summary", "Summary", _summary(data)),
        ("scores", "Scores", _scores(data)),
        ("targets", "Targets", _targets(data.targets)),
        ("picks", "Picks", _picks(data)),
        ("sheets", "Contact sheets", _sheets(data)),
    ]
    rows = [_row(pick) for pick in data.picks[:MAXIMUM_ROWS]]
    return write_page(
        data.title, "Template matching with scorefold", _figures(data), sections, {"picks": rows}
    )


def _figures(data: ReportData) -> list[tuple[str, str, str]]:
    figures = [
        (grouped(len(data.targets)), "targets searched", ""),
        (grouped(len(data.picks)), "picks", ""),
        (number(data.threshold), "threshold", ""),
    ]
    if data.failures:
        figures.append((str(len(data.failures)), "failed", "warning"))
    return figures


def _failures(data: ReportData) -> str:
    rows = [(failure.target, failure.reason) for failure in data.failures]
    return table(("target", "reason"), rows, classes={0: TEXT, 1: TEXT}) if rows else ""


def _summary(data: ReportData) -> str:
    entries = [
        ("Template", text(data.template)),
        ("Mask", text(data.mask)),
        ("Rotation set", text(data.rotation_set)),
        ("Score", text(data.score)),
        ("Threshold", f"{number(data.threshold)} — {text(data.threshold_source)}"),
        ("Convention", text(CONVENTIONS[data.dimensions])),
        ("Fingerprint", f"<code>{text(data.fingerprint)}</code>"),
        ("Versions", ", ".join(f"{text(name)} {text(version)}" for name, version in data.versions.items())),
    ]
    picture = ""
    if data.template_picture is not None:
        drawing = image(data.template_picture, "The template")
        picture = f'<figure class="template">{drawing}<figcaption>Template</figcaption></figure>'
    return f'<div class="summary">{picture}{description(entries)}</div>'


def _scores(data: ReportData) -> str:
    curves = []
    if data.histogram is not None:
        figure = score_histogram_figure(data.histogram.counts, data.histogram.edges, data.threshold)
        curves.append((figure, "histogram", "How often each score occurs, over all targets."))
    if data.picks:
        figure = score_rank_figure([pick.score for pick in data.picks], data.threshold)
        curves.append((figure, "ranks", "Scores of the picks, from best to worst."))
    drawings = [curve(figure, name, caption) for figure, name, caption in curves]
    return f'<div class="curves">{"".join(drawings)}</div>' if drawings else ""


def _targets(targets: Sequence[ReportTarget]) -> str:
    pictured = [(target, target.picture) for target in targets if target.picture is not None]
    cards = "".join(
        f'<article class="card">{enlargeable(picture, f"Picks in {target.name}")}'
        f'<h3>{text(target.name)}</h3><p class="faint">{text(_remark(target))}</p></article>'
        for target, picture in pictured
    )
    others = [target for target in targets if target.picture is None]
    rows = [(target.name, _size(target), str(target.picks), number(target.best_score)) for target in others]
    listing = table(("target", "size", "picks", "best score"), rows, classes={0: TEXT}) if rows else ""
    if cards and listing:
        listing = f"<details><summary>{counted(len(others), 'more target')}</summary>{listing}</details>"
    return (f'<div class="cards">{cards}</div>' if cards else "") + listing


def _picks(data: ReportData) -> str:
    if not data.picks and isnan(data.threshold):
        return "<p>No target could be searched.</p>"
    if not data.picks:
        return (
            f"<p>No position scored above {number(data.threshold)}. "
            "The score distribution shows how far the best positions are from the threshold.</p>"
        )
    columns = _COLUMNS[data.dimensions]
    rows = [_row(pick) for pick in data.picks[:ROWS_PER_PAGE]]
    remark = ""
    if len(data.picks) > MAXIMUM_ROWS:
        remark = (
            f"<p>The table holds the first {MAXIMUM_ROWS} of {len(data.picks)} picks; "
            "all of them are in the run's tables.</p>"
        )
    return remark + paged_table(
        "picks", columns, rows, classes={_TARGET_COLUMN: TEXT}, placeholder="Filter by target"
    )


def _sheets(data: ReportData) -> str:
    pages = "".join(
        f"<figure>{enlargeable(sheet, f'Contact sheet {page}')}</figure>"
        for page, sheet in enumerate(data.contact_sheets, start=1)
    )
    caption = "<p>Every pick cut out and turned back upright, beside the template, best first.</p>"
    return f'{caption}<div class="sheets">{pages}</div>' if pages else ""


def _row(pick: DrawnPick) -> list[str]:
    """Return a pick as the table prints it; the script sorts by the same numbers."""
    coordinates = [f"{coordinate:.2f}" for coordinate in pick.position]
    angles = [f"{angle:.1f}" for angle in pick.angles]
    return [str(pick.rank), pick.target, f"{pick.score:#.4g}", *coordinates, *angles]


def _remark(target: ReportTarget) -> str:
    best = "" if target.best_score is None else f" · best score {number(target.best_score)}"
    return f"{counted(target.picks, 'pick')}{best} · {_size(target)}"


def _size(target: ReportTarget) -> str:
    return " × ".join(str(length) for length in reversed(target.shape))
