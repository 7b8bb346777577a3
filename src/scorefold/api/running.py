"""What the functions of the Python interface have in common: where a run goes, who works, which options there are."""

import base64
import contextlib
import dataclasses
import html
import io
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scorefold.cluster import Progress, Run, committed_file, drive, executor
from scorefold.errors import InputError, StoreError, resume_command

OnProgress = Callable[[Progress], None]

HTML_ROWS = 10
"""Rows of a table that a notebook shows."""


def new_location(out: str | Path | None) -> str:
    """Return where a run goes: as asked for, or into a new temporary directory."""
    return str(out) if out is not None else str(Path(tempfile.mkdtemp(prefix="scorefold-")) / "run")


def check_options(given: Mapping[str, Any], request: type, own: Collection[str] = ()) -> None:
    """Refuse options that are no fields of a request, or are set in another way.

    Raises
    ------
    InputError
        If there is one.
    """
    known = {field.name for field in dataclasses.fields(request)} - set(own)
    unknown = set(given) - known
    if unknown:
        raise InputError(f"option {min(unknown)}: unknown. Use {', '.join(sorted(known))}.")


def finish(run: Run, *, render: bool) -> None:
    """Do what is due of a run in this process."""
    with executor() as (serial, _):
        drive(run, serial, render=render)


def as_sequence(inputs: Any) -> Sequence[Any]:
    """Return several inputs, or one as a sequence."""
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def measure_texts(measure: dict[str, Any]) -> dict[str, Any]:
    """Return measure options with the threshold as text, since numbers are welcome, too."""
    if "threshold" in measure and not isinstance(measure["threshold"], str):
        return {**measure, "threshold": f"{float(measure['threshold']):.17g}"}
    return measure


def unfinished(location: str) -> StoreError:
    """Return the error of who asks for results that a run has not got yet."""
    return StoreError(f'run "{location}": not finished. Go on with: {resume_command(location)}')


def read_table(run: Run, name: str, location: str) -> pd.DataFrame:
    """Return a table of a run.

    Raises
    ------
    StoreError
        If the run has not got that far.
    """
    data = committed_file(run, f"tables/{name}.parquet")
    if data is None:
        raise unfinished(location)
    return pd.read_parquet(io.BytesIO(data))


def html_picture(name: str, png: bytes) -> str:
    """Return a picture as an element of a page."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{html.escape(name)}" style="max-width:100%" src="data:image/png;base64,{data}">'


def html_table(frame: pd.DataFrame) -> str:
    """Return the first rows of a table as an element of a page."""
    return str(frame.head(HTML_ROWS).to_html(index=False, float_format="%.4g"))


def read_picture(run: Run, name: str) -> bytes:
    """Return a picture of a run as PNG.

    Raises
    ------
    KeyError
        If there is none.
    """
    data = committed_file(run, f"figures/{name}.png")
    if data is None:
        raise KeyError(name)
    return data


def html_page(shown: object, run: Run, pictures: Sequence[str], table: Callable[[], pd.DataFrame]) -> str:
    """Return what a notebook shows: what it is, pictures that there are, the beginning of a table."""
    parts = [f"<p>{html.escape(repr(shown))}</p>"]
    for name in pictures:
        with contextlib.suppress(KeyError):
            parts.append(html_picture(name, read_picture(run, name)))
    try:
        parts.append(html_table(table()))
    except StoreError:
        parts.append("<p>not finished</p>")
    return "".join(parts)
