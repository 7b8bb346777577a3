"""The parts that every report page is made of: frame, pictures, curves, tables; all text escaped."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from math import isnan
from string import Template
from typing import TYPE_CHECKING

from scorefold.errors import InputError
from scorefold.rendering.colour import ACCENT, FAINT_INK, INK
from scorefold.rendering.curves import BARS, figure_to_svg, hexadecimal
from scorefold.rendering.picture import Colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS_PER_PAGE = 100
"""Rows of a table that are shown at a time, and all that is seen of it without scripts."""

THEME = {INK: "ink", FAINT_INK: "faint", ACCENT: "accent", BARS: "bars"}
"""Colours of curves that follow the reader's theme, with the names the style sheet knows them by."""

TEXT = "text"
"""Class of columns that hold text: left-aligned, searched by the filter, sorted as text."""

VERDICT = "verdict"
"""Class of columns that hold verdicts: text, coloured by what it says."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write_page(
    title: str,
    kind: str,
    figures: Sequence[tuple[str, str, str]],
    sections: Sequence[tuple[str, str, str]],
    tables: Mapping[str, Sequence[Sequence[str]]],
) -> str:
    """Return a self-contained HTML page.

    Parameters
    ----------
    title, kind : str
        Heading, and what sort of report stands beneath it; any text.
    figures : sequence of (value, name, class)
        Numbers at the top of the page; the class, if any, colours one.
    sections : sequence of (id, heading, HTML)
        Those without content are left out.
    tables : mapping of str to rows
        Rows of each table made by `paged_table`, by its name; cells are text.

    Returns
    -------
    str
        An HTML document to be written as UTF-8.
    """
    present = [section for section in sections if section[2]]
    return _page().substitute(
        title=text(title),
        kind=text(kind),
        navigation="".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in present),
        figures="".join(_figure(*figure) for figure in figures),
        sections="\n".join(
            f'<section aria-labelledby="{name}"><h2 id="{name}">{heading}</h2>\n{body}</section>'
            for name, heading, body in present
        ),
        data="\n".join(
            f'<script type="application/json" id="{name}-data">{_script_safe(json.dumps(rows))}</script>'
            for name, rows in tables.items()
        ),
    )


def check_picture(png: bytes) -> None:
    """Refuse what is not a PNG file."""
    if not png.startswith(_PNG_SIGNATURE):
        raise InputError(f"picture that starts with {png[:8]!r}: a report embeds PNG files.")


def text(words: str) -> str:
    """Escape text for HTML; what UTF-8 cannot write (odd bytes in file names) shows as its number."""
    return escape(words.encode("utf-8", "backslashreplace").decode("utf-8"))


def number(value: float | None) -> str:
    """Return a number to four digits; a dash where there is none.

    Examples
    --------
    >>> number(0.25), number(float("nan"))
    ('0.2500', '–')
    """
    return "–" if value is None or isnan(value) else f"{value:#.4g}"


def grouped(count: int) -> str:
    """Return a count with its thousands apart.

    Examples
    --------
    >>> grouped(1200000)
    '1 200 000'
    """
    return f"{count:,}".replace(",", " ")


def image(png: bytes, alternative: str) -> str:
    """Return a picture that is embedded in the page."""
    source = b64encode(png).decode("ascii")
    return f'<img src="data:image/png;base64,{source}" alt="{text(alternative)}" decoding="async">'


def enlargeable(png: bytes, alternative: str) -> str:
    """Return an embedded picture that opens at full size when clicked."""
    return f'<button class="enlarge" type="button" title="Enlarge">{image(png, alternative)}</button>'


def description(entries: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values, both HTML."""
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in entries) + "</dl>"


def curve(figure: "Figure", name: str, caption: str, theme: Mapping[Colour, str] = THEME) -> str:
    """Return a figure in the page's own colours and font, so that it follows the theme."""
    drawing = figure_to_svg(figure, name)
    for colour, variable in theme.items():
        drawing = drawing.replace(hexadecimal(colour), f"var(--{variable})")
    return f'<figure role="img" aria-label="{caption}">{drawing}<figcaption>{caption}</figcaption></figure>'


def table(
    headings: Iterable[str],
    rows: Iterable[Sequence[str]],
    *,
    classes: Mapping[int, str],
    name: str = "",
) -> str:
    """Return a table; headings are HTML, cells are text.

    `classes` names the class of each column that does not hold numbers.
    """

    def style(column: int, cell: str = "") -> str:
        kind = classes.get(column)
        verdict = f' data-verdict="{text(cell)}"' if kind == VERDICT and cell else ""
        return f' class="{kind}"{verdict}' if kind else ""

    head = "".join(f'<th scope="col"{style(i)}>{heading}</th>' for i, heading in enumerate(headings))
    body = "".join(
        "<tr>" + "".join(f"<td{style(i, cell)}>{text(cell)}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    identity = f' id="{name}"' if name else ""
    content = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table{identity}>{content}</table></div>'


def paged_table(
    name: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    classes: Mapping[int, str],
    placeholder: str,
) -> str:
    """Return the first page of a table that the page's script pages, sorts and filters.

    All rows go to `write_page`, by the same name.
    """
    controls = (
        f'<div class="controls" id="{name}-controls" hidden>'
        f'<input id="{name}-filter" type="search" placeholder="{placeholder}" aria-label="{placeholder}">'
        f'<span><button id="{name}-previous" type="button">Previous</button> '
        f'<span id="{name}-position" aria-live="polite"></span> '
        f'<button id="{name}-next" type="button">Next</button></span></div>'
    )
    headings = [f'<button type="button">{column}</button>' for column in columns]
    return controls + table(headings, rows[:ROWS_PER_PAGE], classes=classes, name=f"{name}-table")


@cache
def _page() -> Template:
    return Template(files("scorefold.rendering").joinpath("report_page.html").read_text(encoding="utf-8"))


def _figure(value: str, name: str, style: str) -> str:
    attribute = f' class="{style}"' if style else ""
    return f"<div{attribute}><b>{value}</b>{name}</div>"


def _script_safe(words: str) -> str:
    """Write JSON so that no text in it can end the script element; JSON reads the escapes back."""
    return words.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
