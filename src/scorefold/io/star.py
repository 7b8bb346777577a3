"""RELION STAR files of 3D picks."""

import linecache
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from scorefold.errors import InputError
from scorefold.io.tables import write_atomically
from scorefold.io.targets import TargetSource, reason_of
from scorefold.io.units import METRES, unit_ratio

#: STAR column -> column of the table of picks. The name is not the first: a row that began with a target
#: called "data_1" would begin a new block.
_PARTICLE_COLUMNS = {
    "rlnCoordinateX": "x",
    "rlnCoordinateY": "y",
    "rlnCoordinateZ": "z",
    "rlnAngleRot": "rot",
    "rlnAngleTilt": "tilt",
    "rlnAnglePsi": "psi",
    "rlnTomoName": "target",
    "rlnAutopickFigureOfMerit": "score",
    "scorefoldRank": "rank",
    "scorefoldRotationId": "rotation_id",
}
_NAME_COLUMNS = ("rlnTomoName", "rlnMicrographName")
_NUMBER_COLUMNS = tuple(name for name in _PARTICLE_COLUMNS if name.startswith(("rlnCoordinate", "rlnAngle")))

# Header cells are float32 and some programs round them: the edges of a cubic voxel may differ a little.
_SAME_PIXEL_SIZE = 1e-3


def write_star(
    path: str | Path, picks: pd.DataFrame, targets: Iterable[TargetSource], convention: str
) -> None:
    """Write picks in 3D as particles of RELION (3.1 and later).

    The block ``particles`` has the target's name twice, as rlnTomoName (RELION) and rlnMicrographName (Warp,
    ArtiaX). rlnCoordinateX, Y, Z are voxels of the searched volume counted from 0 with integers at voxel
    centres, as RELION's particle extraction takes them (it windows a box from coordinate − size/2 of an image
    whose first pixel is 0); multiply by the binning when importing into a project of unbinned tilt series.
    RELION 5's centred coordinates are not written: they depend on the unbinned volume's size. Angles are
    RELION's; the score is rlnAutopickFigureOfMerit; scorefoldRank and scorefoldRotationId are our own. Where
    every target has an isotropic pixel size, a block ``optics`` has it as rlnImagePixelSize in ångström.

    Parameters
    ----------
    path : str or Path
        The file; it is replaced as a whole.
    picks : pandas.DataFrame
        Columns of `scorefold.io.picks.PICK_COLUMNS_3D`.
    targets : iterable of TargetSource
        Where the pixel sizes are looked up.
    convention : str
        Comment for the head of the file.
    """
    particles = pd.DataFrame({name: picks[column] for name, column in _PARTICLE_COLUMNS.items()})
    particles.insert(7, "rlnMicrographName", picks["target"])
    blocks = {"particles": particles}
    pixel_sizes = {target.name: _angstrom(target) for target in targets}
    sizes = [pixel_sizes.get(name) for name in picks["target"]]
    known = sorted({size for size in sizes if size is not None})
    if known and None not in sizes:
        groups = range(1, len(known) + 1)
        optics = pd.DataFrame(
            {
                "rlnOpticsGroup": groups,
                "rlnOpticsGroupName": [f"opticsGroup{group}" for group in groups],
                "rlnImagePixelSize": known,
            }
        )
        particles["rlnOpticsGroup"] = np.searchsorted(known, np.array(sizes, dtype=float)) + 1
        blocks = {"optics": optics, "particles": particles}
    # The first line is starfile's, with the time of day; the same picks must give the same bytes.
    _, _, body = starfile.to_string(blocks, float_format=None, na_rep="nan").partition("\n")
    write_atomically(path, f"# scorefold picks. {convention}\n{body}".encode())


def read_star(path: str | Path) -> pd.DataFrame:
    """Read particles with 3D coordinates and angles.

    Parameters
    ----------
    path : str or Path
        A STAR file with one block of particles, alone or named ``particles``.

    Returns
    -------
    pandas.DataFrame
        Columns of a table of picks in 3D with physical coordinates.

    Raises
    ------
    InputError
        If the file cannot be read or has no such columns.
    """
    # starfile reads lines through a cache of the whole process, which a failed read leaves behind.
    linecache.clearcache()
    try:
        # As text, because pandas' own parsing of floats may be off by one in the last place.
        as_text = [*_PARTICLE_COLUMNS, *_NAME_COLUMNS, "rlnImagePixelSize"]
        blocks = starfile.read(path, always_dict=True, parse_as_string=as_text)
        tables = {name: block for name, block in blocks.items() if isinstance(block, pd.DataFrame)}
        particles = tables.get("particles", next(iter(tables.values()), pd.DataFrame()))
        return _picks(particles, tables.get("optics", pd.DataFrame()))
    except Exception as error:
        raise InputError(f'STAR file "{path}": {reason_of(error)}. Pass a file of 3D particles.') from error


def _picks(particles: pd.DataFrame, optics: pd.DataFrame) -> pd.DataFrame:
    name_column = next((column for column in _NAME_COLUMNS if column in particles), None)
    if name_column is None or not all(column in particles for column in _NUMBER_COLUMNS):
        raise ValueError(f"no particles with {_NAME_COLUMNS[0]}, {', '.join(_NUMBER_COLUMNS)}")
    defaults = {
        "rlnAutopickFigureOfMerit": np.nan,
        "scorefoldRank": np.arange(1, len(particles) + 1),
        "scorefoldRotationId": -1,
    }
    absent = {column: value for column, value in defaults.items() if column not in particles}
    # starfile takes a target called "nan" for a missing value.
    complete = particles.assign(**absent, rlnTomoName=particles[name_column].astype("str").fillna("nan"))
    picks = complete[list(_PARTICLE_COLUMNS)].rename(columns=_PARTICLE_COLUMNS)
    picks = picks.astype(dict.fromkeys((_PARTICLE_COLUMNS[column] for column in _NUMBER_COLUMNS), "float64"))

    size = np.full(len(picks), np.nan)
    if "rlnOpticsGroup" in particles and "rlnImagePixelSize" in optics and "rlnOpticsGroup" in optics:
        of_group = dict(
            zip(optics["rlnOpticsGroup"], optics["rlnImagePixelSize"].astype("float64"), strict=True)
        )
        size = np.array([of_group.get(group, np.nan) for group in particles["rlnOpticsGroup"]], dtype=float)
    physical = {f"{axis}_physical": picks[axis] * size for axis in "zyx"}
    unit = pd.Series(np.where(np.isnan(size), "", "angstrom"), index=picks.index, dtype="str")
    return picks.assign(**physical, physical_unit=unit)


def _angstrom(target: TargetSource) -> float | None:
    """Return the edge of a target's voxel in ångström, or None if it is unknown or no cube."""
    if target.pixel_size is None or target.pixel_unit not in METRES:
        return None
    if max(target.pixel_size) > min(target.pixel_size) * (1 + _SAME_PIXEL_SIZE):
        return None
    return target.pixel_size[-1] * unit_ratio(target.pixel_unit, "angstrom")
