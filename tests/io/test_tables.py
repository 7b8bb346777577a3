"""Tables written part by part: the same files however the rows were handed over."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorefold.io.tables import CONVENTION_KEY, TableWriter, read_table, write_table

CONVENTION = "score: of an image\ny, x: where"


def frame_of(rows):
    return pd.DataFrame(
        {
            "name": pd.array([name for name, _, _ in rows], dtype="str"),
            "score": np.array([score for _, score, _ in rows], np.float64),
            "page": pd.array([page for _, _, page in rows], dtype="Int64"),
        }
    )


rows = st.lists(
    st.tuples(
        st.text(alphabet='ab "\n,ä#', max_size=5), st.floats(), st.one_of(st.none(), st.integers(0, 9))
    ),
    max_size=20,
)


@given(rows, st.lists(st.integers(0, 20), max_size=6))
def test_how_rows_are_handed_over_does_not_change_the_files(tmp_path_factory, given_rows, cuts):
    folder = tmp_path_factory.mktemp("tables")
    edges = [0, *sorted(min(cut, len(given_rows)) for cut in cuts), len(given_rows)]
    whole = frame_of(given_rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableWriter, "ROW_GROUP", 7)
        with TableWriter(folder / "parts", CONVENTION) as table:
            for first, stop in pairwise(edges):
                table.append(frame_of(given_rows[first:stop]))
        with TableWriter(folder / "once", CONVENTION) as once:
            once.append(whole)
    for one, two in zip(table.paths, once.paths, strict=True):
        assert one.read_bytes() == two.read_bytes()
    write_table(folder / "plain.csv", whole, CONVENTION)
    assert table.paths[0].read_bytes() == (folder / "plain.csv").read_bytes()
    parquet = pq.ParquetFile(table.paths[1])
    assert parquet.schema_arrow.metadata[CONVENTION_KEY].decode() == CONVENTION
    assert parquet.num_row_groups == math.ceil(len(given_rows) / 7)
    pd.testing.assert_frame_equal(read_table(table.paths[1], {}), whole, check_index_type=False)


def test_a_table_without_rows_has_its_columns(tmp_path):
    with TableWriter(tmp_path / "empty", CONVENTION) as table:
        table.append(frame_of([]))
    for path in table.paths:
        found = read_table(path, {})
        assert list(found) == ["name", "score", "page"]
        assert found.empty


def test_many_short_parts_are_not_gone_through_again_and_again(tmp_path, monkeypatch):
    joined = []
    original = pd.concat

    def counting(frames, **options):
        joined.append(len(frames))
        return original(frames, **options)

    monkeypatch.setattr(pd, "concat", counting)
    monkeypatch.setattr(TableWriter, "ROW_GROUP", 50)
    with TableWriter(tmp_path / "table", CONVENTION) as table:
        for index in range(500):
            table.append(frame_of([(str(index), 1.0, None)]))
    assert sum(joined) <= 500 + len(joined)
    assert len(read_table(table.paths[1], {})) == 500
