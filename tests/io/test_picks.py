"""Tables of picks come back from every file as they were written, with their meaning stated in the file."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import starfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.io import (
    TargetSource,
    empty_picks,
    pick_columns,
    pick_convention,
    read_picks,
    read_table,
    tabulate_picks,
    write_picks,
    write_table,
)
from scorefold.io.names import safe_name
from scorefold.io.units import METRES, unit_name, unit_ratio

names = st.one_of(
    st.sampled_from(["007", "1e5", "NA", "nan", "None", "true", "a", "inf", "null", "data_", "loop_"]),
    # starfile cannot tell "nan" from "NaN".
    st.text(max_size=8).map(safe_name).filter(lambda name: name != "NaN"),
)
# A pixel size times the largest float would overflow.
floats = st.one_of(st.floats(-1e300, 1e300), st.sampled_from([float("inf"), float("-inf")]))


@st.composite
def tables(draw):
    columns = pick_columns(draw(st.sampled_from([2, 3])))
    rows = draw(st.integers(0, 4))
    values = {
        "str": names,
        "float64": st.one_of(floats, st.just(float("nan"))),
        "int64": st.integers(1, 2**62),
        "int32": st.integers(0, 2**31 - 1),
    }
    return pd.DataFrame(
        {
            name: pd.Series([draw(values[dtype]) for _ in range(rows)], dtype=dtype)
            for name, (dtype, _) in columns.items()
        }
    )


def source(name, dimensions=3, pixel_size=None, unit=None):
    return TargetSource(
        name=name,
        path=f"/{name}.mrc",
        format="mrc",
        shape=(9,) * dimensions,
        dtype="float32",
        pixel_size=pixel_size,
        pixel_unit=unit,
    )


@given(picks=tables(), size=st.floats(0.1, 100))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_file_gives_back_every_bit(tmp_path, picks, size):
    dimensions = 3 if "z" in picks else 2
    targets = [source(name, dimensions, (size,) * dimensions, "angstrom") for name in set(picks["target"])]
    paths = write_picks(tmp_path, picks, targets)
    assert [path.name for path in paths] == ["picks.csv", "picks.parquet", "picks.star"][:dimensions]
    for path in paths:
        found = read_picks(path)
        assert_frame_equal(found[list(picks.columns)], picks, check_exact=True)
        assert list(found.columns) == list(pick_columns(dimensions, physical=True))
        physical = picks["x"] * size
        assert_frame_equal(
            found[["x_physical", "physical_unit"]],
            pd.DataFrame(
                {"x_physical": physical, "physical_unit": pd.Series(["angstrom"] * len(picks), dtype="str")}
            ),
            check_exact=True,
        )


@given(picks=tables())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_picks_give_the_same_bytes(tmp_path, picks):
    first = [path.read_bytes() for path in write_picks(tmp_path, picks)]
    second = [path.read_bytes() for path in write_picks(tmp_path, picks.copy())]
    assert first == second
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("dimensions", [2, 3])
def test_an_empty_table_keeps_its_columns_and_types(tmp_path, dimensions):
    for path in write_picks(tmp_path, empty_picks(dimensions)):
        found = read_picks(path)
        assert len(found) == 0
        expected = {name: dtype for name, (dtype, _) in pick_columns(dimensions, physical=True).items()}
        assert {name: str(dtype) for name, dtype in found.dtypes.items()} == expected


@pytest.mark.parametrize("dimensions", [2, 3])
def test_files_state_their_convention(tmp_path, dimensions):
    csv, parquet, *star = write_picks(tmp_path, empty_picks(dimensions))
    comment = [line[2:] for line in csv.read_text().splitlines() if line.startswith("# ")]
    assert "\n".join(comment) == pick_convention(dimensions)
    assert pq.read_schema(parquet).metadata[b"scorefold:convention"].decode() == pick_convention(dimensions)
    assert all("count from 0" in path.read_text().splitlines()[0] for path in star)


def test_csv_is_read_by_pandas_alone(tmp_path):
    picks = tabulate_picks("a", [[1, 2]], [0.5], [0], [np.eye(2)])
    csv, _ = write_picks(tmp_path, picks)
    found = pd.read_csv(csv, comment="#")
    assert found[["target", "score", "y", "x"]].values.tolist() == [["a", 0.5, 1.0, 2.0]]


def test_further_columns_are_kept(tmp_path):
    picks = tabulate_picks("a", [[1, 2]], [0.5], [0], [np.eye(2)]).assign(z_score=7.5)
    for path in write_picks(tmp_path, picks):
        assert read_picks(path)["z_score"].tolist() == [7.5]


def test_physical_coordinates_follow_each_targets_pixel_size(tmp_path):
    rotations = [np.eye(3)]
    picks = pd.concat([tabulate_picks(name, [[1, 2, 4]], [0.5], [0], rotations) for name in "abc"])
    targets = [
        source("a", 3, (3.0, 2.0, 1.0), "micrometer"),
        source("b", 3, (5.0, 5.0, 5.0), "angstrom"),
        source("c"),
    ]
    csv, _, star = write_picks(tmp_path, picks, targets)
    found = read_picks(csv)
    places = found[["z_physical", "y_physical", "x_physical"]].to_numpy()
    np.testing.assert_array_equal(places, [[3, 4, 4], [5, 10, 20], [np.nan] * 3])
    assert found["physical_unit"].tolist() == ["micrometer", "angstrom", ""]
    # No single voxel size for all of them, so RELION gets none rather than a wrong one.
    assert list(starfile.read(star, always_dict=True)) == ["particles"]


def test_star_has_what_relion_reads(tmp_path):
    rotation = Rotation.from_euler("ZYZ", [10, 20, 30], degrees=True).inv().as_matrix()
    picks = tabulate_picks("t1", [[4, 5, 6.5]], [0.25], [0], [rotation[::-1, ::-1]])
    *_, star = write_picks(tmp_path, picks, [source("t1", 3, (1.35, 1.35, 1.35), "nanometer")])
    blocks = starfile.read(star)
    (particle,) = blocks["particles"].to_dict("records")
    assert (particle["rlnCoordinateX"], particle["rlnCoordinateY"], particle["rlnCoordinateZ"]) == (6.5, 5, 4)
    angles = [particle[f"rlnAngle{angle}"] for angle in ("Rot", "Tilt", "Psi")]
    np.testing.assert_allclose(angles, [10, 20, 30], atol=1e-10)
    assert particle["rlnTomoName"] == particle["rlnMicrographName"] == "t1"
    assert particle["rlnAutopickFigureOfMerit"] == 0.25
    (optics,) = blocks["optics"].to_dict("records")
    assert optics["rlnOpticsGroup"] == particle["rlnOpticsGroup"] == 1
    assert optics["rlnImagePixelSize"] == pytest.approx(13.5)


def test_star_of_another_program_is_read(tmp_path):
    angles = {f"rlnAngle{angle}": [1.0, 2.0] for angle in ("Rot", "Tilt", "Psi")}
    places = {f"rlnCoordinate{axis}": [3, 4] for axis in "XYZ"}
    starfile.write(pd.DataFrame({"rlnMicrographName": ["a", "a"], **places, **angles}), tmp_path / "a.star")
    picks = read_picks(tmp_path / "a.star")
    assert picks["target"].tolist() == ["a", "a"]
    assert picks["rank"].tolist() == [1, 2]
    assert picks["rotation_id"].tolist() == [-1, -1]
    assert picks["score"].isna().all()
    assert picks["x"].tolist() == [3.0, 4.0]


class TestTabulate:
    def test_best_first_and_ties_by_position(self):
        picks = tabulate_picks("a", [[2, 1], [0, 9], [1, 5], [1, 4]], [1, 2, 1, 1], [0] * 4, [np.eye(2)] * 4)
        assert picks["rank"].tolist() == [1, 2, 3, 4]
        assert picks[["score", "y", "x"]].values.tolist() == [[2, 0, 9], [1, 1, 4], [1, 1, 5], [1, 2, 1]]

    @pytest.mark.parametrize("dimensions", [2, 3])
    def test_no_picks(self, dimensions):
        picks = tabulate_picks("a", [], [], [], np.eye(dimensions)[None])
        assert_frame_equal(picks, empty_picks(dimensions))

    @pytest.mark.parametrize(("rotation_id", "count"), [(-1, 1), (0, 0), (0, 2)])
    def test_every_pick_has_one_rotation_and_a_row_of_the_set(self, rotation_id, count):
        with pytest.raises(InputError, match="Pass a rotation for each pick"):
            tabulate_picks("a", [[1, 2]], [0.5], [rotation_id], np.stack([np.eye(2)] * 2)[:count])

    def test_shapes_must_agree(self):
        with pytest.raises(InputError, match="with 2 coordinates"):
            tabulate_picks("a", [[1, 2, 3]], [0.5], [0], [np.eye(2)])


class TestErrors:
    @pytest.mark.parametrize("suffix", [".csv", ".parquet", ".star", ".txt"])
    @pytest.mark.parametrize(
        "content", [None, b"", b"\x00\xff", b"a,b\n1\n2,3,4\n", b"data_\n\nloop_\n_a #1\n1\n"]
    )
    def test_a_file_without_picks_is_one_line(self, tmp_path, suffix, content):
        if content is not None:
            (tmp_path / f"a{suffix}").write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_picks(tmp_path / f"a{suffix}")
        assert "\n" not in str(caught.value)

    def test_a_missing_column_is_named(self, tmp_path):
        with pytest.raises(InputError, match="no column score"):
            write_picks(tmp_path, empty_picks(2).drop(columns="score"))
        assert list(tmp_path.iterdir()) == []

    def test_a_value_of_the_wrong_type_is_refused(self, tmp_path):
        picks = tabulate_picks("a", [[1, 2]], [0.5], [0], [np.eye(2)]).astype({"rank": "float64"})
        picks["rank"] = np.nan
        with pytest.raises(InputError):
            write_picks(tmp_path, picks)

    def test_a_write_that_fails_leaves_the_old_file(self, tmp_path):
        write_table(tmp_path / "a.parquet", pd.DataFrame({"a": [1]}), "old")
        with pytest.raises(Exception, match="Conversion failed"):
            write_table(tmp_path / "a.parquet", pd.DataFrame({"a": [1, "x"]}), "new")
        assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
        assert read_table(tmp_path / "a.parquet", {"a": "int64"})["a"].tolist() == [1]

    def test_an_unknown_suffix_is_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"\.csv or \.parquet"):
            write_table(tmp_path / "a.xlsx", pd.DataFrame(), "")


@given(st.sampled_from(sorted(METRES)), st.sampled_from(sorted(METRES)))
def test_unit_ratios_are_reciprocal(unit, other):
    assert unit_name(unit.upper()) == unit
    assert unit_ratio(unit, other) * unit_ratio(other, unit) == pytest.approx(
        1, rel=1e-11
    )  # 12 digits are kept
