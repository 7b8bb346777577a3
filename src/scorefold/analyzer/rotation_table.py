"""Rotation ids: which integer stands for which rotation matrix."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError

Matrix = NDArray[np.float64]
Ids = NDArray[np.int32]


class RotationTable(Mapping[int, Matrix]):
    """Immutable mapping from rotation id to rotation matrix; an id is a row of the underlying array.

    Parameters
    ----------
    matrices : array_like of shape (n, d, d)
        The rotations. They are copied, converted to float64, and negative zeros become zeros. They are not
        required to be orthonormal.

    Raises
    ------
    InputError
        If the shape is not (n, d, d) or an entry is not finite.

    Notes
    -----
    Two tables are equal if their contents are; the comparison is by digest and costs nothing after the first.

    Examples
    --------
    >>> import numpy as np
    >>> table = RotationTable([np.eye(2), -np.eye(2)])
    >>> len(table), table.id_of(-np.eye(2))
    (2, 1)
    >>> table == RotationTable(table.matrices)
    True
    """

    __slots__ = ("_digest", "_matrices", "_rows")

    def __init__(self, matrices: Any) -> None:
        given = np.asarray(matrices, dtype=np.float64)
        if given.ndim != 3 or given.shape[1] != given.shape[2] or given.shape[1] == 0:
            raise InputError(f"rotations of shape {given.shape}: expected (n, d, d)")
        if not np.isfinite(given).all():
            row = int(np.flatnonzero(~np.isfinite(given).all(axis=(1, 2)))[0])
            raise InputError(f"rotation {row}: has an entry that is not finite")
        self._matrices = np.ascontiguousarray(given + 0.0)  # adding zero copies, and turns -0.0 into 0.0
        self._matrices.setflags(write=False)
        self._digest: bytes | None = None
        self._rows: dict[bytes, int] | None = None

    @classmethod
    def empty(cls, dimensions: int) -> "RotationTable":
        """Return the table without rotations."""
        return cls(np.empty((0, dimensions, dimensions)))

    @property
    def matrices(self) -> Matrix:
        """All matrices, (n, d, d) float64, read-only."""
        return self._matrices

    @property
    def dimensions(self) -> int:
        """Number of axes, d."""
        return int(self._matrices.shape[1])

    @property
    def digest(self) -> bytes:
        """SHA-256 of shape and entries, 32 bytes."""
        if self._digest is None:
            content = hashlib.sha256(np.asarray(self._matrices.shape, dtype="<i8").tobytes())
            content.update(self._matrices.astype("<f8", copy=False).tobytes())
            self._digest = content.digest()
        return self._digest

    def id_of(self, matrix: Any) -> int:
        """Return the lowest id of a matrix with these entries or raise `InputError`."""
        if self._rows is None:
            rows: dict[bytes, int] = {}
            for row, known in enumerate(self._matrices):
                rows.setdefault(known.tobytes(), row)
            self._rows = rows
        row_of_matrix = self._rows.get(checked_matrix(matrix, self.dimensions).tobytes())
        if row_of_matrix is None:
            raise InputError(
                f"rotation_matrix {np.asarray(matrix).tolist()}: not in the analyzer's set of {len(self)} "
                "rotations; fold only rotations of that set"
            )
        return row_of_matrix

    def __getitem__(self, rotation_id: int) -> Matrix:
        if not 0 <= rotation_id < len(self):
            raise KeyError(rotation_id)
        matrix: Matrix = self._matrices[rotation_id]
        return matrix

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return int(self._matrices.shape[0])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RotationTable):
            return NotImplemented
        return self is other or self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"RotationTable({len(self)} rotations, {self.dimensions}D)"

    def __reduce__(self) -> tuple[type["RotationTable"], tuple[Matrix]]:
        return type(self), (self._matrices,)


def checked_matrix(matrix: Any, dimensions: int) -> Matrix:
    """Return a rotation matrix as (d, d) float64 without negative zeros or raise `InputError`."""
    given = np.asarray(matrix)
    if given.shape != (dimensions, dimensions) or given.dtype.kind not in "biuf":
        raise InputError(
            f"rotation_matrix of shape {given.shape}, dtype {given.dtype}: expected real numbers of shape "
            f"({dimensions}, {dimensions})"
        )
    canonical: Matrix = given.astype(np.float64) + 0.0
    if not np.isfinite(canonical).all():
        raise InputError(f"rotation_matrix {given.tolist()}: has an entry that is not finite")
    return canonical


def checked_rotations(rotations: ArrayLike | RotationTable | None, dimensions: int) -> RotationTable | None:
    """Return a job's rotation set as a table or raise `InputError`."""
    if rotations is None:
        return None
    table = rotations if isinstance(rotations, RotationTable) else RotationTable(rotations)
    if table.dimensions != dimensions or not len(table):
        raise InputError(
            f"rotations of shape {table.matrices.shape}: expected at least one, of {dimensions} dimensions"
        )
    return table


def rank_rotations(matrices: Matrix) -> tuple[RotationTable, Ids]:
    """Put distinct rotations in the lexicographic order of their entries.

    Parameters
    ----------
    matrices : ndarray of shape (n, d, d)
        Rotations in any order, repetitions allowed, without negative zeros.

    Returns
    -------
    table : RotationTable
        The distinct rotations in order: the same for every order of the input.
    lookup : ndarray of int32, shape (n,)
        The id in `table` of every input row.
    """
    rows = matrices.reshape(len(matrices), matrices.shape[1] ** 2)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    is_first = np.ones(len(rows), dtype=bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    lookup = np.empty(len(rows), dtype=np.int32)
    lookup[order] = np.cumsum(is_first) - 1
    return RotationTable(matrices[order[is_first]]), lookup


def unite_tables(tables: Sequence[RotationTable]) -> tuple[RotationTable, list[Ids | None]]:
    """Find one table for results that were folded under several.

    Equal tables stay as they are, and a table without rotations agrees with every other. Different ones are
    united into the ranked table of all their rotations.

    Returns
    -------
    table : RotationTable
        The common table.
    lookups : list of (ndarray of int32, shape (n,)) or None
        For each input the ids in `table` of its rows; None where ids stay as they are.
    """
    filled = [table for table in tables if len(table)] or list(tables[:1])
    if all(table == filled[0] for table in filled):
        return filled[0], [None] * len(tables)
    if len({table.dimensions for table in tables}) > 1:
        raise InputError("merge: results of 2D and 3D rotations cannot be united; merge them separately")
    united, lookup = rank_rotations(np.concatenate([table.matrices for table in tables]))
    ends = np.cumsum([len(table) for table in tables])
    return united, list(np.split(lookup, ends[:-1]))


def relabel(ids: Ids, lookup: Ids | None) -> Ids:
    """Return rotation ids under another table; -1, no rotation, stays -1."""
    if lookup is None:
        return ids
    with_none: Ids = np.append(lookup, np.int32(-1))
    return with_none[ids]


def table_to_arrays(table: RotationTable, rotations: RotationTable | None) -> dict[str, NDArray[Any]]:
    """Return a table as arrays to store: the digest alone if it is the analyzer's own rotation set."""
    if rotations is not None and table == rotations:
        return {"rotation_set_digest": np.frombuffer(table.digest, dtype=np.uint8)}
    return {"rotation_matrices": table.matrices}


def table_from_arrays(arrays: Mapping[str, NDArray[Any]], rotations: RotationTable | None) -> RotationTable:
    """Return the table that `table_to_arrays` took apart; `rotations` is the analyzer's own rotation set."""
    if "rotation_matrices" in arrays:
        return RotationTable(arrays["rotation_matrices"])
    digest = arrays["rotation_set_digest"].tobytes()
    if rotations is None or rotations.digest != digest:
        raise InputError(
            f"stored result: its rotation set (SHA-256 {digest.hex()[:12]}…) is not the analyzer's; "
            "pass the job's rotation set as rotations="
        )
    return rotations


class RotationRegister(Protocol):
    """Gives ids to the rotations that a state observes."""

    @property
    def ranks(self) -> NDArray[np.int64]:
        """For every id given so far its place in the order that decides ties; lower wins."""

    def identify(self, matrix: Any, rotation_id: int | None = None) -> int:
        """Return the id of a rotation."""

    def table(self) -> tuple[RotationTable, Ids | None]:
        """Return the canonical table, and the canonical id of every id given (None: the same)."""


class FixedRotations:
    """Register of a job's rotation set: an id is the rotation's row."""

    def __init__(self, rotations: RotationTable) -> None:
        self._rotations = rotations
        self._ranks = np.arange(len(rotations))

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Rows: ties go to the lower one."""
        return self._ranks

    def identify(self, matrix: Any, rotation_id: int | None = None) -> int:
        """Return the row of a rotation; a row that the caller names is checked against the matrix."""
        if rotation_id is None:
            return self._rotations.id_of(matrix)
        row = int(rotation_id)
        if not 0 <= row < len(self._rotations):
            raise InputError(f"rotation_id {rotation_id}: the set has rows 0 to {len(self._rotations) - 1}")
        given = np.asarray(matrix)
        precision = np.result_type(given.dtype, np.float32)  # a GPU may hold the set in single precision
        if not np.array_equal(self._rotations[row].astype(precision), given):
            raise InputError(
                f"rotation_id {rotation_id}: rotation_matrix is not that row of the rotation set"
            )
        return row

    def table(self) -> tuple[RotationTable, Ids | None]:
        """Return the rotation set itself."""
        return self._rotations, None


class ObservedRotations:
    """Register of rotations that become known one by one; ids are canonical only after `table`.

    Parameters
    ----------
    dimensions : int
        Number of axes, d.
    each_once : bool
        Give a new id to every observation without looking the matrix up.
    """

    def __init__(self, dimensions: int, *, each_once: bool = False) -> None:
        self._dimensions = dimensions
        self._each_once = each_once
        self._matrices: list[Matrix] = []
        self._ids: dict[tuple[float, ...], int] = {}
        self._ordered: list[tuple[float, ...]] = []
        self._ranks = np.empty(16, dtype=np.int64)

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Places in the lexicographic order of the matrices observed so far."""
        return self._ranks[: len(self._matrices)]

    def __len__(self) -> int:
        return len(self._matrices)

    def identify(self, matrix: Any, rotation_id: int | None = None) -> int:  # noqa: ARG002
        """Return the id of a rotation, a new one if need be; `rotation_id` has no set to refer to."""
        checked = checked_matrix(matrix, self._dimensions)
        known = None if self._each_once else self._ids.get(tuple(checked.ravel().tolist()))
        return self.append(checked) if known is None else known

    def matrix(self, rotation_id: int) -> Matrix:
        """Return the rotation that has an id."""
        return self._matrices[rotation_id]

    def append(self, matrix: Matrix) -> int:
        """Give the next id to a rotation."""
        entries = tuple(matrix.ravel().tolist())
        new_id = len(self._matrices)
        if new_id == len(self._ranks):
            self._ranks = np.concatenate([self._ranks, np.empty_like(self._ranks)])
        place = bisect_right(self._ordered, entries)
        self._ordered.insert(place, entries)
        ranks = self._ranks[:new_id]
        ranks += ranks >= place
        self._ranks[new_id] = place
        self._matrices.append(matrix)
        self._ids.setdefault(entries, new_id)
        return new_id

    def extend(self, matrices: Matrix) -> None:
        """Give the next ids to several rotations."""
        for matrix in matrices:
            self.append(matrix)

    def table(self) -> tuple[RotationTable, Ids | None]:
        """Return the ranked table of all rotations observed."""
        shape = (len(self._matrices), self._dimensions, self._dimensions)
        return rank_rotations(np.array(self._matrices, dtype=np.float64).reshape(shape))


def check_resumable(mapping: RotationTable, rotations: RotationTable | None) -> None:
    """Raise `InputError` if a result is of another rotation set than the analyzer that is to go on."""
    if rotations is not None and len(mapping) and mapping != rotations:
        raise InputError("resume: the result is of another rotation set; pass that one as rotations=")


def register_for(
    rotations: RotationTable | None, dimensions: int, mapping: RotationTable | None = None
) -> FixedRotations | ObservedRotations:
    """Return the register of a new state.

    Parameters
    ----------
    rotations : RotationTable or None
        The analyzer's rotation set.
    dimensions : int
        Number of axes, d.
    mapping : RotationTable, optional
        The table of a result to go on from; its ids stay valid in the register.
    """
    if rotations is not None:
        check_resumable(mapping or rotations, rotations)
        return FixedRotations(rotations)
    register = ObservedRotations(dimensions)
    if mapping is not None:
        register.extend(mapping.matrices)
    return register
