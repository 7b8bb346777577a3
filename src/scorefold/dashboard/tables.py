"""Tables of the page, in which rows can be picked."""

# mypy: allow-untyped-calls

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, InlineStyleSheet
from bokeh.models.widgets.tables import DataTable, HTMLTemplateFormatter, NumberFormatter, TableColumn

BLUE, GREY = "#3182bd", "#e0e0e0"
MARKED = ".slick-cell.selected { background-color: #c6dbef; }"

Columns = Mapping[str, tuple[str, int, Callable[[], Any] | None]]
"""Heading, width and what makes the formatter, which belongs to one document, by field; the first one is the key."""


class Table:
    """A table that shows what it is given; where rows can be picked, one of them is marked.

    Parameters
    ----------
    columns : mapping
        Headings, widths and formatters by field.
    height : int
        In pixels.
    on_pick : callable, optional
        Told the key of a row that somebody picks.

    Attributes
    ----------
    source : ColumnDataSource
        What is shown.
    model : DataTable
        How it is shown.
    marked : str
        Key of the row that is marked.
    """

    def __init__(
        self, columns: Columns, *, height: int, on_pick: Callable[[str], None] | None = None
    ) -> None:
        self._key = next(iter(columns))
        self.marked = ""
        self._on_pick = on_pick
        self._drawn = 0
        self.source = ColumnDataSource({name: [] for name in columns})
        self.model = DataTable(
            source=self.source,
            columns=[
                TableColumn(field=name, title=title, width=width, **({"formatter": form()} if form else {}))
                for name, (title, width, form) in columns.items()
            ],
            height=height,
            index_position=None,
            selectable=on_pick is not None,
            scroll_to_selection=False,
            sortable=False,
            reorderable=False,
            sizing_mode="stretch_width",
            css_classes=[f"{self._key}-table"],
            stylesheets=[InlineStyleSheet(css=MARKED)],
        )
        self.source.selected.on_change("indices", self._pick)

    def show(self, rows: Mapping[str, list[Any]], marked: str = "") -> None:
        """Show rows, and mark the one with a key."""
        keys = rows[self._key]
        indices = [keys.index(marked)] if self._on_pick and marked in keys else []
        self.marked = marked
        selected = self.source.selected
        if not same(self.source.data, rows):
            if selected.indices != indices:
                selected.indices = []  # a browser stumbles over a mark on a row that is gone
            self.source.data = dict(rows)
            # Bokeh draws a table again if its view changes, which as many rows as before do not bring about.
            self._drawn += 1
            self.model.view.tags = [self._drawn]
        if selected.indices != indices:
            selected.indices = indices

    def _pick(self, _name: str, _old: list[int], new: list[int]) -> None:
        keys = self.source.data[self._key]
        if self._on_pick and new and new[0] < len(keys) and keys[new[0]] != self.marked:
            self._on_pick(keys[new[0]])


def put(source: ColumnDataSource, data: dict[str, list[Any]]) -> None:
    """Give a source other data, unless they are the same: a browser is sent what changes."""
    if not same(source.data, data):
        source.data = data


def same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether columns hold the same values; pictures never count as the same."""
    return all(
        len(old[name]) == len(values) and all(map(_equal, old[name], values)) for name, values in new.items()
    )


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    return bool(a == b or (a != a and b != b))  # noqa: PLR0124 - NaN equals nothing


def bar() -> HTMLTemplateFormatter:
    """Return what draws a fraction."""
    template = f"""<div style="background:{GREY};height:14px;margin-top:2px"><div style="background:{BLUE};height:14px;
    width:<%= Math.min(100, 100 * value).toFixed(1) %>%"></div></div>"""
    return HTMLTemplateFormatter(template=template)


def number(digits: int) -> NumberFormatter:
    """Return what writes a number; NaN is left out."""
    decimals = "." + digits * "0" if digits else ""
    return NumberFormatter(format=f"0,0{decimals}", text_align="right", nan_format="")
