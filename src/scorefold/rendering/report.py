"""The HTML report of a matching job: one file that opens from disk and asks nothing of the network."""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from math import isnan
from string import Template

from matplotlib.figure import Figure

from scorefold.rendering.colour import ACCENT, FAINT_INK, INK
from scorefold.rendering.curves import (
    BARS,
    figure_to_svg,
    hexadecimal,
    score_histogram_figure,
    score_rank_figure,
)
from scorefold.rendering.legend import counted
from scorefold.rendering.pick import DrawnPick
from scorefold.rendering.report_data import ReportData, ReportTarget

ROWS_PER_PAGE = 100
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
    present = [section for section in sections if section[2]]
    return _page().substitute(
        title=_text(data.title),
        navigation="".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in present),
        figures=_figures(data),
        sections="\n".join(
            f'<section aria-labelledby="{name}"><h2 id="{name}">{heading}</h2>\n{body}</section>'
            for name, heading, body in present
        ),
        picks_data=_script_safe(json.dumps([_row(pick) for pick in data.picks[:MAXIMUM_ROWS]])),
    )


@cache
def _page() -> Template:
    return Template(files("scorefold.rendering").joinpath("report_page.html").read_text(encoding="utf-8"))


def _text(text: str) -> str:
    """Escape text for HTML; what UTF-8 cannot write (odd bytes in file names) shows as its number."""
    return escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _script_safe(text: str) -> str:
    """Write JSON so that no text in it can end the script element; JSON reads the escapes back."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _image(png: bytes, alternative: str) -> str:
    source = b64encode(png).decode("ascii")
    return f'<img src="data:image/png;base64,{source}" alt="{_text(alternative)}" decoding="async">'


def _enlargeable(png: bytes, alternative: str) -> str:
    return f'<button class="enlarge" type="button" title="Enlarge">{_image(png, alternative)}</button>'


def _figures(data: ReportData) -> str:
    values = [
        (f"{len(data.targets):,}".replace(",", " "), "targets searched", ""),
        (f"{len(data.picks):,}".replace(",", " "), "picks", ""),
        (_number(data.threshold), "threshold", ""),
    ]
    if data.failures:
        values.append((str(len(data.failures)), "failed", ' class="warning"'))
    return "".join(f"<div{style}><b>{value}</b>{name}</div>" for value, name, style in values)


def _failures(data: ReportData) -> str:
    rows = [(failure.target, failure.reason) for failure in data.failures]
    return _table(("target", "reason"), rows, text_columns={0, 1}) if rows else ""


def _summary(data: ReportData) -> str:
    entries = [
        ("Template", _text(data.template)),
        ("Mask", _text(data.mask)),
        ("Rotation set", _text(data.rotation_set)),
        ("Score", _text(data.score)),
        ("Threshold", f"{_number(data.threshold)} — {_text(data.threshold_source)}"),
        ("Convention", _text(CONVENTIONS[data.dimensions])),
        ("Fingerprint", f"<code>{_text(data.fingerprint)}</code>"),
        ("Versions", ", ".join(f"{_text(name)} {_text(version)}" for name, version in data.versions.items())),
    ]
    listing = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in entries)
    picture = ""
    if data.template_picture is not None:
        image = _image(data.template_picture, "The template")
        picture = f'<figure class="template">{image}<figcaption>Template</figcaption></figure>'
    return f'<div class="summary">{picture}<dl>{listing}</dl></div>'


def _scores(data: ReportData) -> str:
    curves = []
    if data.histogram is not None:
        figure = score_histogram_figure(data.histogram.counts, data.histogram.edges, data.threshold)
        curves.append((figure, "histogram", "How often each score occurs, over all targets."))
    if data.picks:
        figure = score_rank_figure([pick.score for pick in data.picks], data.threshold)
        curves.append((figure, "ranks", "Scores of the picks, from best to worst."))
    drawings = [_curve(figure, name, caption) for figure, name, caption in curves]
    return f'<div class="curves">{"".join(drawings)}</div>' if drawings else ""


def _curve(figure: Figure, name: str, caption: str) -> str:
    """Return a figure in the page's own colours and font, so that it follows the theme."""
    drawing = figure_to_svg(figure, name)
    for colour, variable in ((INK, "ink"), (FAINT_INK, "faint"), (ACCENT, "accent"), (BARS, "bars")):
        drawing = drawing.replace(hexadecimal(colour), f"var(--{variable})")
    return f'<figure role="img" aria-label="{caption}">{drawing}<figcaption>{caption}</figcaption></figure>'


def _targets(targets: Sequence[ReportTarget]) -> str:
    pictured = [(target, target.picture) for target in targets if target.picture is not None]
    cards = "".join(
        f'<article class="card">{_enlargeable(picture, f"Picks in {target.name}")}'
        f'<h3>{_text(target.name)}</h3><p class="faint">{_text(_remark(target))}</p></article>'
        for target, picture in pictured
    )
    others = [target for target in targets if target.picture is None]
    rows = [(target.name, _size(target), str(target.picks), _number(target.best_score)) for target in others]
    listing = _table(("target", "size", "picks", "best score"), rows, text_columns={0}) if rows else ""
    if cards and listing:
        listing = f"<details><summary>{counted(len(others), 'more target')}</summary>{listing}</details>"
    return (f'<div class="cards">{cards}</div>' if cards else "") + listing


def _picks(data: ReportData) -> str:
    if not data.picks and isnan(data.threshold):
        return "<p>No target could be searched.</p>"
    if not data.picks:
        return (
            f"<p>No position scored above {_number(data.threshold)}. "
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
    controls = (
        '<div class="controls" id="picks-controls" hidden>'
        '<input id="picks-filter" type="search" placeholder="Filter by target" aria-label="Filter by target">'
        '<span><button id="picks-previous" type="button">Previous</button> '
        '<span id="picks-position" aria-live="polite"></span> '
        '<button id="picks-next" type="button">Next</button></span></div>'
    )
    headings = [f'<button type="button">{column}</button>' for column in columns]
    return remark + controls + _table(headings, rows, text_columns={_TARGET_COLUMN}, name="picks-table")


def _sheets(data: ReportData) -> str:
    pages = "".join(
        f"<figure>{_enlargeable(sheet, f'Contact sheet {number}')}</figure>"
        for number, sheet in enumerate(data.contact_sheets, start=1)
    )
    caption = "<p>Every pick cut out and turned back upright, beside the template, best first.</p>"
    return f'{caption}<div class="sheets">{pages}</div>' if pages else ""


def _table(
    headings: Iterable[str], rows: Iterable[Sequence[str]], *, text_columns: set[int], name: str = ""
) -> str:
    """Return a table; headings are HTML, cells are text."""

    def style(column: int) -> str:
        return ' class="text"' if column in text_columns else ""

    head = "".join(f'<th scope="col"{style(i)}>{heading}</th>' for i, heading in enumerate(headings))
    body = "".join(
        "<tr>" + "".join(f"<td{style(i)}>{_text(cell)}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    identity = f' id="{name}"' if name else ""
    content = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table{identity}>{content}</table></div>'


def _row(pick: DrawnPick) -> list[str]:
    """Return a pick as the table prints it; the script sorts by the same numbers."""
    coordinates = [f"{coordinate:.2f}" for coordinate in pick.position]
    angles = [f"{angle:.1f}" for angle in pick.angles]
    return [str(pick.rank), pick.target, f"{pick.score:#.4g}", *coordinates, *angles]


def _remark(target: ReportTarget) -> str:
    best = "" if target.best_score is None else f" · best score {_number(target.best_score)}"
    return f"{counted(target.picks, 'pick')}{best} · {_size(target)}"


def _size(target: ReportTarget) -> str:
    return " × ".join(str(length) for length in reversed(target.shape))


def _number(value: float | None) -> str:
    return "–" if value is None or isnan(value) else f"{value:#.4g}"
