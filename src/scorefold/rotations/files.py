"""Read and write rotation sets: NumPy matrices, RELION STAR angles, CSV tables."""

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import starfile
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError, in_one_line
from scorefold.object_stores import is_url, on_disk
from scorefold.rotations.conventions import (
    angle_to_matrix,
    matrix_to_angle,
    matrix_to_relion,
    relion_to_matrix,
)
from scorefold.rotations.validation import check_dimensions, check_rotations

_FORMATS = (".npy", ".star", ".csv")
_STAR_ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
_CSV_ANGLES = {2: ["angle"], 3: ["rot", "tilt", "psi"]}
_CSV_NOTES = {
    2: "angle: degrees, counter-clockwise as seen on screen with y pointing down",
    3: "rot, tilt, psi: degrees, RELION's intrinsic ZYZ angles",
}


def read_rotations(path: str | Path, dimensions: int) -> NDArray[np.float64]:
    r"""Read a rotation set from a file; the rows of the file are the rows of the set.

    Parameters
    ----------
    path : str or Path
        File or URL, one of

        - ``.npy``: matrices of shape (n, d, d) on array-axis vectors, kept bit for bit;
        - ``.star``: the first block with ``rlnAngleRot``, ``rlnAngleTilt`` and ``rlnAnglePsi``. In 2D
          ``rlnAnglePsi`` is the in-plane angle, and the other two must be 0 or absent;
        - ``.csv``: a header line with the column ``angle`` (2D, degrees counter-clockwise on screen), or
          ``rot``, ``tilt`` and ``psi`` (3D, RELION's angles), or the matrix ``r00``, ``r01``, … row by row.
          Other columns are ignored, as are blank lines and lines that begin with ``#``.
    dimensions : int
        2 for images, 3 for volumes.

    Returns
    -------
    ndarray of float64, shape (n, dimensions, dimensions)
        A rotation set as `check_rotations` returns it.

    Raises
    ------
    InputError
        If the file is missing, of another kind, empty, lacks the columns, holds a value that is no finite
        number (the message says where) or matrices that are no rotations.

    See Also
    --------
    write_rotations : Writes the same files.
    relion_to_matrix, angle_to_matrix : The conventions of the angles.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder) / "angles.csv"
    ...     _ = table.write_text("angle\n0\n90\n")
    ...     read_rotations(table, dimensions=2)[1]
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    if is_url(str(path)):
        return _read_object(str(path), dimensions)
    path = Path(path)
    check_dimensions(dimensions)
    suffix = _format(path)
    if not path.is_file():
        raise InputError(f'rotations "{path}": no such file. Check the path.')
    if suffix == ".npy":
        rotations = _read_npy(path)
    elif suffix == ".star":
        rotations = _read_star(path, dimensions)
    else:
        rotations = _read_csv(path, dimensions)
    try:
        return check_rotations(rotations, dimensions)
    except InputError as error:
        raise InputError(f'rotations "{path}": {str(error).removeprefix("rotations: ")}') from error


def _read_object(url: str, dimensions: int) -> NDArray[np.float64]:
    _format(Path(url))
    try:
        with on_disk(url) as copy:
            try:
                return read_rotations(copy, dimensions)
            except InputError as error:
                raise InputError(str(error).replace(str(copy), url)) from error
    except FileNotFoundError:
        raise InputError(f'rotations "{url}": no such file. Check the URL.') from None
    except OSError as error:
        raise InputError(f'rotations "{url}": cannot be read ({error}).') from error


def write_rotations(path: str | Path, rotations: ArrayLike) -> None:
    """Write a rotation set in the format that the file's suffix names.

    Parameters
    ----------
    path : str or Path
        ``.npy`` keeps every bit of the matrices. ``.star`` and ``.csv`` hold angles in degrees, to about
        1e-10 degrees; in 2D the STAR file has rot = tilt = 0.
    rotations : array_like, shape (n, d, d)
        The set, d = 2 or 3. An existing file is replaced.

    Raises
    ------
    InputError
        If the array is no rotation set, the suffix is none of these, or the folder does not exist.

    See Also
    --------
    read_rotations : Reads the same files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_rotations(f"{folder}/angles.csv", angle_to_matrix([0, 90]))
    ...     print(Path(folder, "angles.csv").read_text())
    # angle: degrees, counter-clockwise as seen on screen with y pointing down
    angle
    0.0
    90.0
    """
    path = Path(path)
    suffix = _format(path)
    checked = check_rotations(rotations)
    if not path.parent.is_dir():
        raise InputError(f'rotations "{path}": the folder does not exist. Create it first.')
    if suffix == ".npy":
        _write_npy(path, checked)
    elif suffix == ".star":
        _write_star(path, checked)
    else:
        _write_csv(path, checked)


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f'rotations "{path}": unknown format. Use {", ".join(_FORMATS)}.')
    return suffix


def _to_matrices(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return matrices of a table's rows: one in-plane angle, three RELION angles, or d × d elements."""
    match values.shape[1]:
        case 1:
            return angle_to_matrix(values[:, 0])
        case 3:
            return relion_to_matrix(values)
        case elements:
            side = math.isqrt(elements)
            return values.reshape(-1, side, side)


def _read_npy(path: Path) -> NDArray[np.float64]:
    try:
        # A map is only made of a file as long as its header says; no memory is taken for one that is not.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # damaged headers raise exceptions of many kinds
        raise InputError(f'rotations "{path}": not a plain .npy array. Save it with numpy.save.') from error


def _write_npy(path: Path, rotations: NDArray[np.float64]) -> None:
    with path.open("wb") as file:
        np.save(file, rotations, allow_pickle=False)


def _read_star(path: Path, dimensions: int) -> NDArray[np.float64]:
    needed = _STAR_ANGLES if dimensions == 3 else _STAR_ANGLES[2:]
    block, table = _star_block(path, needed)
    # Through text: whole numbers can be too long for a float.
    numbers = table.astype(str).apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers.to_numpy())
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f'rotations "{path}": block {in_one_line(block, 30)!r}, row {row + 1}, {numbers.columns[column]}: '
            f"{in_one_line(table.iat[row, column], 40)!r} is not a finite number. Correct it."
        )
    if dimensions == 2 and (numbers.drop(columns="rlnAnglePsi") != 0).any(axis=None):
        raise InputError(
            f'rotations "{path}": rot or tilt is not 0, so these turn volumes. Pass in-plane angles.'
        )
    return _to_matrices(numbers[needed].to_numpy())


def _star_block(path: Path, needed: list[str]) -> tuple[str, pd.DataFrame]:
    """Return the first block that has the columns `needed`, and all of its angles."""
    try:
        blocks = starfile.read(path, always_dict=True)
    except Exception as error:  # on damaged files starfile raises anything
        raise InputError(f'rotations "{path}": not a STAR file. Check that it has a data_ block.') from error
    for name, block in blocks.items():
        # A block without loop_ is read as a dict of single values.
        table = block if isinstance(block, pd.DataFrame) else pd.DataFrame([block])
        if set(needed) <= set(table.columns):
            return name, table[[column for column in _STAR_ANGLES if column in table.columns]]
    raise InputError(f'rotations "{path}": no block with {", ".join(needed)}. Pass a table of rotations.')


def _write_star(path: Path, rotations: NDArray[np.float64]) -> None:
    if rotations.shape[1] == 3:
        angles = matrix_to_relion(rotations)
    else:
        psi = matrix_to_angle(rotations)
        angles = np.stack([np.zeros_like(psi), np.zeros_like(psi), psi], axis=1)
    table = pd.DataFrame(angles, columns=_STAR_ANGLES)
    starfile.write({"rotations": table}, path, float_format="%.12f")


def _read_csv(path: Path, dimensions: int) -> NDArray[np.float64]:
    elements = [f"r{row}{column}" for row in range(dimensions) for column in range(dimensions)]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if "".join(row).strip() and row[0][:1] != "#"]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f'rotations "{path}": not a text table. Save it as comma-separated UTF-8.'
        ) from error
    header = [cell.strip().lower() for cell in lines[0][1]] if lines else []
    for columns in (_CSV_ANGLES[dimensions], elements):
        if set(columns) <= set(header):
            break
    else:
        raise InputError(
            f'rotations "{path}": no column {", ".join(_CSV_ANGLES[dimensions])} '
            f"nor {elements[0]} to {elements[-1]}. Name the columns in the first line."
        )
    if len(lines) == 1:
        raise InputError(f'rotations "{path}": a header and no rows. Add at least one rotation.')
    places = [header.index(column) for column in columns]
    return _to_matrices(np.array([_numbers(path, line, row, places) for line, row in lines[1:]]))


def _numbers(path: Path, line: int, row: list[str], places: list[int]) -> list[float]:
    try:
        numbers = [float(row[place]) for place in places]
    except (ValueError, IndexError):
        numbers = []
    if not numbers or not np.isfinite(numbers).all():
        raise InputError(
            f'rotations "{path}", line {line}: {in_one_line(",".join(row), 60)!r} does not hold {len(places)} '
            "finite numbers. Correct it."
        )
    return numbers


def _write_csv(path: Path, rotations: NDArray[np.float64]) -> None:
    dimensions = rotations.shape[1]
    angles = matrix_to_relion(rotations) if dimensions == 3 else matrix_to_angle(rotations)[:, np.newaxis]
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {_CSV_NOTES[dimensions]}\n")
        pd.DataFrame(angles, columns=_CSV_ANGLES[dimensions]).to_csv(file, index=False, lineterminator="\n")
