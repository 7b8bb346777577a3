"""Bases of cells in the store: made once for all tiles, read by every leaf that folds their cells."""

import math
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import DamagedPartialError
from scorefold.planning.memory import HELD_BASES, BasisSize, MemoryModel, margin_of, room_for_bases
from scorefold.planning.node import Node
from scorefold.planning.plan import Plan, TileGroup
from scorefold.scoring.basis import Basis, MaskBasis
from scorefold.scoring.cell_filters import CellFilters
from scorefold.scoring.climbing import looking_bytes
from scorefold.store import RunStore

if TYPE_CHECKING:
    from scorefold.cluster.match.run import MatchRun


def compress_cells(run: "MatchRun", node: Node) -> str:
    """Make the bases of a range of cells and commit them, end to end."""
    started = time.monotonic()
    tolerance = run.job.search.tolerance
    if tolerance is None:
        raise ValueError(f"{node.key}: a search without cells")
    filters = run.filters
    models = range(*node.rotations, filters.cells.turns)
    coarse, finer, masks = zip(*(filters.bases(cell, tolerance) for cell in models), strict=True)
    arrays = _packed(coarse) | _named("finer", _packed(finer))
    if filters.masks_turn:
        supports = np.concatenate([basis.supports for basis in masks])
        arrays |= _named("masks", _packed(masks) | {"supports": supports})
    summary = {
        "seconds": round(time.monotonic() - started, 3),
        "rotations": len(arrays["residuals"]) * filters.cells.turns,
        "largest_residual": float(arrays["residuals"].max()),
        "squared_residuals": float((arrays["residuals"].astype(np.float64) ** 2).sum()) * filters.cells.turns,
    }
    run.store.commit(node.key, arrays=arrays, summary=summary)
    return node.key


def _packed(bases: Sequence[Basis]) -> dict[str, NDArray[Any]]:
    return {
        "ranks": np.array([basis.rank for basis in bases], np.int32),
        "vectors": np.concatenate([basis.vectors for basis in bases]),
        "coefficients": np.concatenate([basis.coefficients.ravel() for basis in bases]),
        "residuals": np.concatenate([basis.residuals for basis in bases]),
    }


def _named(kind: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{kind}_{name}": array for name, array in arrays.items()}


class StoredBases:
    """The committed bases of a run.

    Parameters
    ----------
    store : RunStore
        Where they are.
    plan : Plan
        Which partial holds which cells.
    filters : CellFilters
        The cells, and how their bases are turns of others.
    kind : {"", "finer"}
        Whether the finer bases are read, by which candidates are looked at.
    """

    def __init__(self, store: RunStore, plan: Plan, filters: CellFilters, kind: str = "") -> None:
        self._prefix = f"{kind}_" if kind else ""
        self._store = store
        self._plan = plan
        self._filters = filters
        self._most = HELD_BASES
        self._held: OrderedDict[str, list[Basis]] = OrderedDict()

    def of_cell(self, cell: int) -> Basis:
        """Return the basis of a cell.

        Raises
        ------
        DamagedPartialError
            If it is not there, or differs from its record.
        """
        return self._filters.of_model(self.of_model(cell), cell)

    def of_model(self, cell: int) -> Basis:
        """Return the basis of the cell that a cell is a turn of; see `of_cell`."""
        node = self._plan.compress_node(cell)
        if node.key not in self._held:
            self._held[node.key] = self._read(node.key, *node.rotations)
            self._drop()
        self._held.move_to_end(node.key)
        return self._held[node.key][(cell - node.rotations[0]) // self._filters.cells.turns]

    @contextmanager
    def keeping(self, most: int) -> Iterator[None]:
        """Keep more bytes of bases from cell to cell for a while."""
        self._most = max(most, HELD_BASES)
        try:
            yield
        finally:
            self._most = HELD_BASES
            self._drop()

    def drop(self) -> None:
        """Give back what is kept in memory."""
        self._held.clear()

    def _drop(self) -> None:
        while len(self._held) > 1 and sum(map(_bytes, self._held.values())) > self._most:
            self._held.popitem(last=False)

    def residuals(self) -> tuple[float, float]:
        """Return the root mean square of the residuals of all rotations, and the largest, from the records."""
        count, largest, squares = 0, 0.0, 0.0
        for node in self._plan.compress_nodes():
            record = self._store.require_commit(node.key)
            count += record.summary["rotations"]
            largest = max(largest, record.summary["largest_residual"])
            squares += record.summary["squared_residuals"]
        return math.sqrt(squares / count), largest

    def _read(self, key: str, first: int, stop: int) -> list[Basis]:
        arrays = self._arrays(key, "ranks", "vectors", "coefficients", "residuals")
        cells = self._filters.cells
        sizes = np.diff(cells.starts)[first : stop : cells.turns]
        ranks = arrays["ranks"]
        if len(ranks) != len(sizes) or len(arrays["vectors"]) != ranks.sum():
            raise DamagedPartialError(key, "it holds the bases of other cells")
        vectors = np.split(arrays["vectors"], np.cumsum(ranks)[:-1])
        coefficients = np.split(arrays["coefficients"], np.cumsum(ranks * sizes)[:-1])
        residuals = np.split(arrays["residuals"], np.cumsum(sizes)[:-1])
        return [
            # What a voxel has of all vectors lies together: so they are turned fast.
            Basis(np.asfortranarray(vector), coefficient.reshape(size, rank), residual)
            for vector, coefficient, residual, size, rank in zip(
                vectors, coefficients, residuals, sizes, ranks, strict=True
            )
        ]

    def _arrays(self, key: str, *names: str) -> dict[str, NDArray[Any]]:
        held, _ = self._store.read_partial(key, names=[f"{self._prefix}{name}" for name in names])
        return {name.removeprefix(self._prefix): array for name, array in held.items()}


class StoredMaskBases(StoredBases):
    """The committed bases of the masks of a run, where these turn with the template."""

    def __init__(self, store: RunStore, plan: Plan, filters: CellFilters) -> None:
        super().__init__(store, plan, filters, "masks")

    def of_cell(self, cell: int) -> MaskBasis:
        """Return the basis of the masks of a cell; see `StoredBases`."""
        basis = super().of_cell(cell)
        assert isinstance(basis, MaskBasis)  # as `_read` made it
        return basis

    def of_model(self, cell: int) -> MaskBasis:
        """Return that of the cell that a cell is a turn of."""
        basis = super().of_model(cell)
        assert isinstance(basis, MaskBasis)  # as `_read` made it
        return basis

    def _read(self, key: str, first: int, stop: int) -> list[Basis]:
        bases = super()._read(key, first, stop)
        supports = self._arrays(key, "supports")["supports"]
        ends = np.cumsum([len(basis.residuals) for basis in bases])
        return [
            MaskBasis(basis.vectors, basis.coefficients, basis.residuals, own)
            for basis, own in zip(bases, np.split(supports, ends[:-1]), strict=True)
        ]


def _bytes(bases: list[Basis]) -> int:
    return sum(basis.vectors.nbytes + basis.coefficients.nbytes for basis in bases)


@contextmanager
def keeping_bases(run: "MatchRun", group: TileGroup) -> Iterator[None]:
    """Keep as many bases in memory as there is room for while candidates in tiles of a group are looked at."""
    with ExitStack() as kept:
        if run.compressed:
            kinds, box, tiling = _kinds(run), run.plan.box, group.tiling
            size = BasisSize(
                0, places_bytes=run.filters.places_bytes, looking_bytes=looking_bytes(run.filters)
            )
            memory = MemoryModel(
                run.memory_limit,
                run.score,
                np.dtype(run.job.search.dtype).itemsize,
                box,
                margin_of(run.job.picks.min_distance, box),
                size,
            )
            room = memory.limit - memory.looking_bytes(tiling.fft_shape, tiling.target_shape)
            for bases in kinds:
                kept.enter_context(bases.keeping(room_for_bases(room, len(kinds))))
        yield


def drop_bases(run: "MatchRun") -> None:
    """Give back the memory of bases, for what needs it more."""
    for bases in _kinds(run):
        bases.drop()


def _kinds(run: "MatchRun") -> list[StoredBases]:
    return [run.bases, run.finer_bases, *([run.mask_bases] if run.filters.masks_turn else [])]
