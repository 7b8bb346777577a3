"""The table of picks: its columns, and writing and reading it as CSV, Parquet and RELION STAR."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError, in_one_line
from scorefold.io.star import read_star, write_star
from scorefold.io.tables import read_table, write_table
from scorefold.io.targets import TargetSource
from scorefold.rotations import matrix_to_angle, matrix_to_relion

#: Columns of a table of picks in 2D, in order: type and meaning.
PICK_COLUMNS_2D: dict[str, tuple[str, str]] = {
    "target": ("str", "name of the target"),
    "rank": ("int64", "1 is the best pick of its target"),
    "score": ("float64", "score at the pick"),
    "y": ("float64", "array coordinate of the template's rotation centre, in pixels"),
    "x": ("float64", "array coordinate of the template's rotation centre, in pixels"),
    "angle": (
        "float64",
        "rotation of the template in degrees, counter-clockwise on screen (y points down), refined",
    ),
    "rotation_id": ("int32", "row of the rotation in the job's rotation set that gave the score"),
}

#: Columns of a table of picks in 3D, in order: type and meaning.
PICK_COLUMNS_3D: dict[str, tuple[str, str]] = {
    "target": ("str", "name of the target"),
    "rank": ("int64", "1 is the best pick of its target"),
    "score": ("float64", "score at the pick"),
    "z": ("float64", "array coordinate of the template's rotation centre, in voxels"),
    "y": ("float64", "array coordinate of the template's rotation centre, in voxels"),
    "x": ("float64", "array coordinate of the template's rotation centre, in voxels"),
    "rot": ("float64", "RELION's first Euler angle (intrinsic ZYZ) in degrees, of the refined rotation"),
    "tilt": ("float64", "RELION's second Euler angle (intrinsic ZYZ) in degrees, of the refined rotation"),
    "psi": ("float64", "RELION's third Euler angle (intrinsic ZYZ) in degrees, of the refined rotation"),
    "rotation_id": ("int32", "row of the rotation in the job's rotation set that gave the score"),
}

_PHYSICAL = "coordinate times pixel size, in physical_unit; nan if the pixel size is unknown"

_COORDINATES = (
    "Coordinates count from 0 and are integers at the centres of pixels (voxels). "
    "The template's rotation centre is (shape - 1) / 2 of its box."
)


def pick_columns(dimensions: int, *, physical: bool = False) -> dict[str, tuple[str, str]]:
    """Return the columns of a table of picks.

    Parameters
    ----------
    dimensions : {2, 3}
        Number of axes of the targets.
    physical : bool
        Whether to include the columns that `write_picks` adds.

    Returns
    -------
    dict of str to (str, str)
        Type and meaning of each column, in order.
    """
    columns = dict(PICK_COLUMNS_3D if dimensions == 3 else PICK_COLUMNS_2D)
    if physical:
        columns |= {f"{axis}_physical": ("float64", _PHYSICAL) for axis in "zyx"[-dimensions:]}
        columns["physical_unit"] = ("str", "unit of the physical coordinates; empty if unknown")
    return columns


def pick_convention(dimensions: int) -> str:
    """Return what files of picks state about themselves.

    Parameters
    ----------
    dimensions : {2, 3}
        Number of axes of the targets.

    Returns
    -------
    str
        One line on coordinates and one for each column.
    """
    columns = pick_columns(dimensions, physical=True)
    return "\n".join(
        [f"scorefold picks. {_COORDINATES}", *(f"{name}: {text}" for name, (_, text) in columns.items())]
    )


def empty_picks(dimensions: int) -> pd.DataFrame:
    """Return a table of picks without rows, with every column in its type.

    Parameters
    ----------
    dimensions : {2, 3}
        Number of axes of the targets.

    Returns
    -------
    pandas.DataFrame
        An empty table.

    Examples
    --------
    >>> from scorefold.io import empty_picks
    >>> list(empty_picks(2).columns)
    ['target', 'rank', 'score', 'y', 'x', 'angle', 'rotation_id']
    """
    return pd.DataFrame(
        {name: pd.Series(dtype=dtype) for name, (dtype, _) in pick_columns(dimensions).items()}
    )


def tabulate_picks(
    target: str, positions: ArrayLike, scores: ArrayLike, rotation_ids: ArrayLike, rotations: ArrayLike
) -> pd.DataFrame:
    """Tabulate the picks of one target, best first.

    Parameters
    ----------
    target : str
        Name of the target.
    positions : array_like, shape (k, d)
        Array coordinates of the template's rotation centre.
    scores : array_like, shape (k,)
        Scores; at equal scores the lower position comes first.
    rotation_ids : array_like of int, shape (k,)
        Rows of the job's rotation set.
    rotations : array_like, shape (k, d, d)
        The rotation of each pick, that of the set or a refined one: an active matrix acting on array-axis vectors.

    Returns
    -------
    pandas.DataFrame
        Columns `PICK_COLUMNS_2D` or `PICK_COLUMNS_3D`.

    Raises
    ------
    InputError
        If the shapes do not fit each other or a rotation id is not a row of the rotation set.

    Examples
    --------
    >>> import numpy as np
    >>> from scorefold.io import tabulate_picks
    >>> quarter_turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> picks = tabulate_picks("a", [[4, 7], [2, 9]], [0.5, 0.75], [0, 1], [np.eye(2), quarter_turn])
    >>> picks[["rank", "score", "y", "x", "angle"]].values.tolist()
    [[1.0, 0.75, 2.0, 9.0, 90.0], [2.0, 0.5, 4.0, 7.0, 0.0]]
    """
    picks = [(target, positions, scores, rotation_ids, rotations)]
    return tabulate_targets(picks, np.asarray(rotations).shape[-1])


def tabulate_targets(
    picks: Iterable[tuple[str, ArrayLike, ArrayLike, ArrayLike, ArrayLike]], dimensions: int
) -> pd.DataFrame:
    """Tabulate the picks of many targets, one target after the other.

    Parameters
    ----------
    picks : iterable of tuple
        Arguments of `tabulate_picks`, in the order of targets.
    dimensions : {2, 3}
        Number of axes of the targets.

    Returns
    -------
    pandas.DataFrame
        As of `tabulate_picks`.
    """
    tables = [table for each in picks if (table := _columns(*each))]
    if not tables:
        return empty_picks(dimensions)
    # A table a target would take most of a minute for ten thousand.
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return _in_schema(pd.DataFrame(columns), physical=False)


def _columns(
    target: str, positions: ArrayLike, scores: ArrayLike, rotation_ids: ArrayLike, rotations: ArrayLike
) -> dict[str, NDArray[Any]]:
    """Return the columns of one target's picks; none if there are no picks."""
    matrices = np.asarray(rotations, dtype=float)
    dimensions = matrices.shape[-1]
    values = np.asarray(scores, dtype=float).reshape(-1)
    ids = np.asarray(rotation_ids, dtype=np.int32).reshape(-1)
    places = np.asarray(positions, dtype=float)
    if values.size == 0:
        return {}
    if places.shape != (values.size, dimensions) or ids.shape != values.shape:
        raise InputError(
            f'picks of "{target}": positions {places.shape}, scores {values.shape}, ids {ids.shape}. '
            f"Pass one of each for each pick, with {dimensions} coordinates."
        )
    if len(matrices) != values.size or ids.min() < 0:
        raise InputError(
            f'picks of "{target}": {len(matrices)} rotations for {values.size} picks, rotation ids from {ids.min()}. '
            "Pass a rotation for each pick, and rows of the rotation set, which count from 0."
        )
    order = np.lexsort((*places.T[::-1], -values))
    columns = {
        "target": np.full(values.size, target, object),
        "rank": np.arange(1, values.size + 1),
        "score": values[order],
        **dict(zip("zyx"[-dimensions:], places[order].T, strict=True)),
    }
    if dimensions == 3:
        columns |= dict(zip(("rot", "tilt", "psi"), matrix_to_relion(matrices[order]).T, strict=True))
    else:
        columns["angle"] = matrix_to_angle(matrices[order])
    columns["rotation_id"] = ids[order]
    return columns


def write_picks(
    directory: str | Path, picks: pd.DataFrame, targets: Iterable[TargetSource] = ()
) -> list[Path]:
    """Write picks as ``picks.csv`` and ``picks.parquet``, and in 3D as RELION's ``picks.star``.

    The same picks give the same bytes, each file is replaced as a whole, and each states its convention.

    Parameters
    ----------
    directory : str or Path
        An existing folder.
    picks : pandas.DataFrame
        Columns of `PICK_COLUMNS_2D` or `PICK_COLUMNS_3D`; further columns follow them in CSV and Parquet.
    targets : iterable of TargetSource
        The targets. Where one has a pixel size, its picks get physical coordinates: columns ``z_physical``,
        ``y_physical``, ``x_physical`` and ``physical_unit``, which is what OME-Zarr viewers show.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        If a column is missing or does not fit its type.

    See Also
    --------
    scorefold.io.star.write_star : the columns of the STAR file.
    """
    targets = list(targets)
    complete = _in_schema(_with_physical(_in_schema(picks, physical=False), targets), physical=True)
    dimensions = _dimensions(complete)
    paths = [Path(directory) / f"picks.{suffix}" for suffix in ("csv", "parquet")]
    for path in paths:
        write_table(path, complete, pick_convention(dimensions))
    if dimensions == 3:
        paths.append(Path(directory) / "picks.star")
        write_star(paths[-1], complete, targets, _COORDINATES)
    return paths


def read_picks(path: str | Path) -> pd.DataFrame:
    """Read picks from CSV, Parquet or STAR.

    Parameters
    ----------
    path : str or Path
        A file that `write_picks` wrote, or a STAR file of particles with coordinates and angles.

    Returns
    -------
    pandas.DataFrame
        The columns that `write_picks` wrote, in their types. A STAR file that is not scorefold's may lack
        scores (nan), rotation ids (−1) and ranks (order in the file).

    Raises
    ------
    InputError
        If the file cannot be read or is no table of picks.
    """
    if Path(path).suffix.lower() == ".star":
        return _in_schema(read_star(path), physical=True)
    types = {
        name: dtype
        for dimensions in (2, 3)
        for name, (dtype, _) in pick_columns(dimensions, physical=True).items()
    }
    return _in_schema(read_table(path, types), physical=True)


def _dimensions(picks: pd.DataFrame) -> int:
    return 3 if "z" in picks.columns else 2


def _in_schema(picks: pd.DataFrame, *, physical: bool) -> pd.DataFrame:
    columns = pick_columns(_dimensions(picks), physical=physical)
    missing = [name for name in columns if name not in picks.columns]
    if missing:
        raise InputError(f"picks: no column {', '.join(missing)}. The columns are {', '.join(columns)}.")
    further = [name for name in picks.columns if name not in columns]
    try:
        typed = picks.astype({name: dtype for name, (dtype, _) in columns.items()})
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"picks: {in_one_line(error)}. See scorefold.io.picks for the columns' types."
        ) from error
    return typed[[*columns, *further]].reset_index(drop=True)


def _with_physical(picks: pd.DataFrame, targets: Iterable[TargetSource]) -> pd.DataFrame:
    axes = "zyx"[-_dimensions(picks) :]
    sizes = {
        target.name: dict(zip(axes, target.pixel_size, strict=True))
        for target in targets
        if target.pixel_size is not None and len(target.pixel_size) == len(axes)
    }
    units = {target.name: target.pixel_unit or "" for target in targets if target.name in sizes}
    names = picks["target"].tolist()
    added = {
        f"{axis}_physical": picks[axis].to_numpy()
        * np.array([sizes.get(name, {}).get(axis, np.nan) for name in names], dtype=float)
        for axis in axes
    }
    unit = pd.Series([units.get(name, "") for name in names], index=picks.index, dtype="str")
    return picks.assign(**added, physical_unit=unit)
