"""Tables of a run of which every task reads its own rows: Parquet files, checked before anything is unpacked."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from scorefold.errors import StoreError, in_one_line

ROW_GROUP = 4096
"""Rows of a row group, which is what a reader takes at a time."""

Entry = TypeVar("Entry")


class RowTable(ABC, Generic[Entry]):
    """The rows of a table, by number; a group of them is unpacked when one is asked for.

    Parameters
    ----------
    data : bytes
        A Parquet file.

    Raises
    ------
    StoreError
        If it is damaged; reading a row raises it, too.
    """

    schema: ClassVar[pa.Schema]
    title: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, data: bytes) -> None:
        self._group: tuple[int, list[Entry]] | None = None
        try:
            self._file = pq.ParquetFile(pa.BufferReader(data))
            columns = self._file.schema_arrow
            rows = [self._file.metadata.row_group(n).num_rows for n in range(self._file.num_row_groups)]
        except Exception as error:  # on damaged files pyarrow raises anything
            raise self._damaged(in_one_line(error)) from error
        if not columns.equals(self.schema):
            raise self._damaged("it has other columns")
        # A few bytes can stand for any number of equal rows.
        if any(count != ROW_GROUP for count in rows[:-1]) or max(rows, default=0) > ROW_GROUP:
            raise self._damaged("its groups have other lengths")
        self._length: int = sum(rows)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Entry:
        if not 0 <= number < len(self):
            raise IndexError(number)
        group, row = divmod(number, ROW_GROUP)
        if self._group is None or self._group[0] != group:
            self._group = group, self._unpacked(group)
        return self._group[1][row]

    def __iter__(self) -> Iterator[Entry]:
        return (self[number] for number in range(len(self)))

    def _unpacked(self, group: int) -> list[Entry]:
        try:
            rows = self._file.read_row_group(group).to_pylist()
            entries = [self._entry(row) for row in rows]
        except Exception as error:  # on damaged files pyarrow raises anything
            raise self._damaged(in_one_line(error)) from error
        if len(entries) != min(ROW_GROUP, len(self) - group * ROW_GROUP):
            raise self._damaged("rows are missing")
        return entries

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(f"{self.title}: it is damaged ({reason}). {self.remedy}")

    @abstractmethod
    def _entry(self, row: dict[str, Any]) -> Entry:
        """Return what a row stands for."""
