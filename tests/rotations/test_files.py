"""Rotation sets survive a round trip through every format, and bad files are refused with the place."""

import numpy as np
import pandas as pd
import pytest
import starfile
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rotations import (
    angle_to_matrix,
    geodesic_angle,
    plane_rotations,
    read_rotations,
    relion_to_matrix,
    write_rotations,
)

PLANE = plane_rotations(7)
SPACE = np.concatenate(
    [
        Rotation.random(20, rng=np.random.default_rng(1)).as_matrix(),
        relion_to_matrix([[0, 0, 0], [0, 0, 30], [10, 180, 0]]),
    ]
)


@pytest.mark.parametrize("rotations", [PLANE, SPACE], ids=["plane", "space"])
@pytest.mark.parametrize("suffix", [".npy", ".star", ".csv", ".NPY"])
def test_a_set_survives_the_round_trip(tmp_path, rotations, suffix):
    path = tmp_path / f"set{suffix}"
    write_rotations(path, rotations)
    back = read_rotations(str(path), rotations.shape[1])
    # Angles are written to 1e-12 degrees in STAR, to the last digit in CSV.
    assert geodesic_angle(back, rotations).max() < 1e-10
    if suffix == ".npy":
        assert back.tobytes() == rotations.tobytes()


def test_writing_replaces_an_existing_file(tmp_path):
    for rotations in (SPACE, SPACE[:2]):
        write_rotations(tmp_path / "set.csv", rotations)
    assert len(read_rotations(tmp_path / "set.csv", 3)) == 2


def test_star_holds_relions_angles(tmp_path):
    write_rotations(tmp_path / "set.star", relion_to_matrix([[10, 20, 30]]))
    table = starfile.read(tmp_path / "set.star")
    angles = [float(table[f"rlnAngle{name}"].iloc[0]) for name in ("Rot", "Tilt", "Psi")]
    assert angles == pytest.approx([10, 20, 30], abs=1e-10)


def test_star_block_with_the_angles_is_found_among_others(tmp_path):
    optics = pd.DataFrame({"rlnOpticsGroup": [1, 2]})
    particles = pd.DataFrame(
        {
            "rlnMicrographName": ["a", "b"],
            "rlnAnglePsi": [3, 6.5],
            "rlnAngleRot": [1, 4],
            "rlnAngleTilt": [2, 5],
        }
    )
    starfile.write({"optics": optics, "particles": particles}, tmp_path / "set.star")
    np.testing.assert_allclose(
        read_rotations(tmp_path / "set.star", 3), relion_to_matrix([[1, 2, 3], [4, 5, 6.5]])
    )


def test_star_psi_alone_is_the_in_plane_angle(tmp_path):
    (tmp_path / "set.star").write_text("data_\n\nloop_\n_rlnAnglePsi #1\n0\n30\n")
    np.testing.assert_allclose(read_rotations(tmp_path / "set.star", 2), angle_to_matrix([0, 30]))


def test_star_block_without_loop_is_one_rotation(tmp_path):
    (tmp_path / "set.star").write_text("data_one\n\n_rlnAngleRot 1\n_rlnAngleTilt 2\n_rlnAnglePsi 3\n")
    np.testing.assert_allclose(read_rotations(tmp_path / "set.star", 3), relion_to_matrix([[1, 2, 3]]))


def test_csv_columns_are_found_by_name_among_others_and_in_any_order(tmp_path):
    text = "\ufeff# from a microscope\n\nname, Psi ,tilt,rot\na,3,2,1\n\nb,6,5,4\n"
    (tmp_path / "set.csv").write_text(text, encoding="utf-8")
    np.testing.assert_allclose(
        read_rotations(tmp_path / "set.csv", 3), relion_to_matrix([[1, 2, 3], [4, 5, 6]])
    )


@pytest.mark.parametrize("rotations", [PLANE, SPACE], ids=["plane", "space"])
def test_csv_of_matrix_elements_is_read_row_by_row_bit_for_bit(tmp_path, rotations):
    side = rotations.shape[1]
    columns = [f"r{row}{column}" for row in range(side) for column in range(side)]
    pd.DataFrame(rotations.reshape(len(rotations), -1), columns=columns).to_csv(
        tmp_path / "set.csv", index=False
    )
    np.testing.assert_array_equal(read_rotations(tmp_path / "set.csv", side), rotations)


@pytest.mark.parametrize(
    ("name", "text", "dimensions", "reason"),
    [
        ("a.csv", "rot,tilt,psi\n1,2,3\n\n4,x,6\n", 3, r'a\.csv", line 4: \'4,x,6\' does not hold 3 finite'),
        ("a.csv", "rot,tilt,psi\n1,2,3\n4,5\n", 3, "line 3"),
        ("a.csv", "angle\n1\ninf\n", 2, "line 3"),
        ("a.csv", "angle\n1\n", 3, "no column rot, tilt, psi nor r00 to r22"),
        ("a.csv", "rot,tilt,psi\n1,2,3\n", 2, "no column angle nor r00 to r11"),
        ("a.csv", "angle\n", 2, "no rows"),
        ("a.csv", "", 2, "no column"),
        ("a.csv", "r00,r01,r10,r11\n1,0,0,1\n1,0,0,2\n", 2, r'a\.csv": row 1 is not orthonormal'),
        ("a.star", "", 3, "no block with rlnAngleRot, rlnAngleTilt, rlnAnglePsi"),
        ("a.star", "data_p\n\nloop_\n_rlnAnglePsi #1\n1\n", 3, "no block with"),
        ("a.star", "data_p\n\nloop_\n_rlnAnglePsi #1\n", 2, "the set is empty"),
        ("a.star", "data_p\n\nloop_\n_rlnAnglePsi #1\n1\nx\n", 2, r"block 'p', row 2, rlnAnglePsi: 'x'"),
        ("a.star", "data_p\n\nloop_\n_rlnAnglePsi #1\n1\n2 3\n", 2, "not a STAR file"),
        (
            "a.star",
            "data_p\n\nloop_\n_rlnAnglePsi #1\n_rlnAngleTilt #2\n1 0\n1 9\n",
            2,
            "rot or tilt is not 0",
        ),
        ("a.npy", "", 3, r"not a plain \.npy array"),
        ("a.npy", "rot,tilt,psi", 3, r"not a plain \.npy array"),
        ("a.txt", "0 0 0", 3, r"unknown format\. Use \.npy, \.star, \.csv"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path, name, text, dimensions, reason):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        read_rotations(path, dimensions)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"not a plain \.npy array"):
        read_rotations(tmp_path / "a.npy", 3)


def test_binary_data_in_a_table_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not a text table"):
        read_rotations(tmp_path / "a.csv", 3)


def test_a_set_of_other_dimensions_is_refused(tmp_path):
    write_rotations(tmp_path / "a.npy", PLANE)
    with pytest.raises(InputError, match=r'a\.npy": shape \(52, 2, 2\)'):
        read_rotations(tmp_path / "a.npy", 3)
    with pytest.raises(InputError, match="dimensions 1"):
        read_rotations(tmp_path / "a.npy", 1)


def test_a_missing_file_or_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_rotations(tmp_path / "missing.npy", 3)
    with pytest.raises(InputError, match="folder does not exist"):
        write_rotations(tmp_path / "missing" / "a.npy", SPACE)
    with pytest.raises(InputError, match="unknown format"):
        write_rotations(tmp_path / "a.mat", SPACE)
