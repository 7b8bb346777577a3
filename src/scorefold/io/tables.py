"""Tables as CSV and Parquet: written whole or not at all, convention included, always the same bytes."""

import csv
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from scorefold.errors import InputError
from scorefold.io.targets import reason_of

#: Key of the convention in the metadata of a Parquet file's schema.
CONVENTION_KEY = b"scorefold:convention"


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that a reader finds the old content or the new, never a part.

    Parameters
    ----------
    path : str or Path
        The file; its folder must exist.
    content : bytes
        What to write.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(path: str | Path, frame: pd.DataFrame, convention: str) -> None:
    """Write a table as CSV or Parquet, as the name ends.

    CSV begins with the convention as ``#`` comment lines, which ``pandas.read_csv(path, comment="#")`` skips;
    text is quoted, missing values are ``nan``, and floats have the digits that give back the same float.
    Values are never altered to please a spreadsheet: names of targets begin with a letter or digit, so none
    of them is a formula. Parquet holds the convention in its schema's metadata as ``scorefold:convention``.

    Parameters
    ----------
    path : str or Path
        File ending in ``.csv`` or ``.parquet``; it is replaced as a whole.
    frame : pandas.DataFrame
        The table; its index is not written.
    convention : str
        What the columns mean and in which units; may have several lines.

    Raises
    ------
    InputError
        If the name ends in something else.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        write_atomically(path, _csv_text(frame, convention).encode())
    elif suffix == ".parquet":
        table = pa.Table.from_pandas(frame, preserve_index=False)
        metadata = {**(table.schema.metadata or {}), CONVENTION_KEY: convention.encode()}
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
        write_atomically(path, sink.getvalue().to_pybytes())
    else:
        raise InputError(f'table "{path}": cannot write "{suffix}". Pass a name ending in .csv or .parquet.')


class TableWriter:
    """Writes a table that is larger than memory, part by part, as CSV and as Parquet.

    The files are those of `write_table`, but for Parquet's row groups of `ROW_GROUP` rows; how the rows were handed
    over does not change them. They are whole when the writer is left without an error.

    Parameters
    ----------
    stem : Path
        Path of the files without their endings.
    convention : str
        What the columns mean and in which units.

    Examples
    --------
    >>> import tempfile
    >>> with TableWriter(Path(tempfile.mkdtemp()) / "defects", "area: pixels") as table:
    ...     table.append(pd.DataFrame({"name": ["a"], "area": [3]}))
    ...     table.append(pd.DataFrame({"name": ["b"], "area": [5]}))
    >>> read_table(table.paths[1], {})["area"].tolist()
    [3, 5]
    """

    ROW_GROUP = 2**16

    def __init__(self, stem: Path, convention: str) -> None:
        self.paths = [stem.with_name(stem.name + suffix) for suffix in (".csv", ".parquet")]
        self._convention = convention
        self._waiting: list[pd.DataFrame] = []
        self._rows = 0
        self._parquet: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._waiting:
            self._write(pd.concat(self._waiting, ignore_index=True))
        if self._parquet is not None:
            self._parquet.close()

    def append(self, frame: pd.DataFrame) -> None:
        """Add rows, or with none of them the columns; all frames must have the same columns of the same types."""
        self._waiting.append(frame)
        self._rows += len(frame)
        if self._rows < self.ROW_GROUP:
            return
        rows = pd.concat(self._waiting, ignore_index=True)
        whole = self._rows - self._rows % self.ROW_GROUP
        for first in range(0, whole, self.ROW_GROUP):
            self._write(rows[first : first + self.ROW_GROUP])
        self._waiting = [rows[whole:]]
        self._rows -= whole

    def _write(self, frame: pd.DataFrame) -> None:
        csv_path, parquet_path = self.paths
        table = pa.Table.from_pandas(frame, preserve_index=False)
        first = self._parquet is None
        if self._parquet is None:
            metadata = {**(table.schema.metadata or {}), CONVENTION_KEY: self._convention.encode()}
            self._parquet = pq.ParquetWriter(
                parquet_path, table.schema.with_metadata(metadata), compression="zstd"
            )
        if len(frame):
            self._parquet.write_table(table.cast(self._parquet.schema), row_group_size=self.ROW_GROUP)
        with csv_path.open("wb" if first else "ab") as file:
            file.write(_csv_text(frame, self._convention if first else None).encode())


def _csv_text(frame: pd.DataFrame, convention: str | None) -> str:
    """Return rows as CSV, after convention and header if they are the first."""
    comment = "" if convention is None else "".join(f"# {line}\n" for line in convention.splitlines())
    rows: str = frame.to_csv(
        index=False,
        header=convention is not None,
        quoting=csv.QUOTE_NONNUMERIC,
        lineterminator="\n",
        na_rep="nan",
    )
    return comment + rows


def read_table(path: str | Path, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Read a table that `write_table` wrote.

    Parameters
    ----------
    path : str or Path
        File ending in ``.csv`` or ``.parquet``.
    dtypes : mapping of str to str
        Types of columns, by name. CSV does not keep types; columns not named here get the type that pandas
        infers.

    Returns
    -------
    pandas.DataFrame
        The table; text comes back as it was even where it looks like a number or a missing value.

    Raises
    ------
    InputError
        If the file cannot be read or its values do not fit the types.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f'table "{path}": cannot read "{suffix}". Pass a .csv or .parquet file.')
    try:
        if suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            # Through text, because pandas' own parsing of floats may be off by one in the last place.
            frame = pd.read_csv(path, comment="#", dtype=dict.fromkeys(dtypes, "str"), keep_default_na=False)
        return frame.astype({name: dtype for name, dtype in dtypes.items() if name in frame.columns})
    except Exception as error:  # on damaged files pandas and pyarrow raise anything
        raise InputError(f'table "{path}": {reason_of(error)}. Pass a table that scorefold wrote.') from error
