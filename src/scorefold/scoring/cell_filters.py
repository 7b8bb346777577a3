"""The filters of the rotations of a cell, the masks that turn with them, and the bases of both."""

import functools
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rotations import RotationCells, grid_orbits, grid_rotations, rotation_cells, turned_with_grid
from scorefold.scoring.basis import LARGEST_RANK, Basis, MaskBasis, Principal
from scorefold.scoring.masks import radial_distance
from scorefold.scoring.score import FilterScore, LocalScore, Score
from scorefold.scoring.template import NEGLIGIBLE_WEIGHT, Template

Array = NDArray[Any]
BasisType = TypeVar("BasisType", bound=Basis)

FINER = 6.0
"""How many times less the finer bases leave out, by which candidates are looked at."""

EQUAL_WEIGHT = 1e-6
"""Of the largest weight of a mask, what its turns may differ by to be the same."""

FINER_MASKS = 3.0
"""How many times less the bases of masks leave out than those of filters.

What they leave out, at the edges of the masks, is next to nothing of a local variance; but it may be where much is.
"""


def check_compressible(score: Score, template: Template) -> FilterScore:
    """Return the score, if score maps of it and the template can be made of those of bases.

    Raises
    ------
    InputError
        If the numerator of the score is not linear in the template, or its weight is one that rotations change and
        no sums under the mask tell.
    """
    if not isinstance(score, FilterScore) or score.margin:
        raise InputError(
            f"engine compressed: score {score.name} is not linear in the template. Use --engine exact, or --score "
            "FLC or FLCSphericalMask."
        )
    if not template.invariant and not isinstance(score, LocalScore):
        raise InputError(
            f"engine compressed: with score {score.name} the mask must not change when it is rotated. Use --score "
            "FLC, --mask disk (sphere for volumes), or --engine exact."
        )
    return score


def turns_with_grid(template: Template, score: Score, rotations: NDArray[np.float64]) -> bool:
    """Tell whether turns by the rotations of a grid take a rotation set, and the masks in it, into themselves.

    Templates that are turned so are the same array, its axes exchanged and reversed, and so are their bases.
    """
    box = template.box
    if len(set(box)) > 1 or grid_orbits(rotations) is None:
        return False
    if isinstance(score, LocalScore) and not template.invariant:  # every rotation has a mask of its own
        return True
    mask = template.fixed_mask
    turned = [turned_with_grid(mask, turn) for turn in grid_rotations(len(box))]
    return all(
        np.array_equal(one > 0, mask > 0) and np.abs(one - mask).max() <= NEGLIGIBLE_WEIGHT * mask.max()
        for one in turned
    )


def search_cells(
    template: Template, score: Score, rotations: NDArray[np.float64], angle: float
) -> RotationCells:
    """Cut a rotation set into cells for a template: turns of one another, where all allows it."""
    return rotation_cells(rotations, angle, turned=turns_with_grid(template, score, rotations))


class CellBases(NamedTuple):
    """The bases of one cell.

    Attributes
    ----------
    coarse, finer : Basis
        Of the filters. What the first finds in whole maps is looked at with the second, at the few positions where
        something was found. Residuals count what the masks' basis leaves out, too.
    masks : MaskBasis or None
        Of the masks that turn with the template; None where no rotation changes the mask.
    """

    coarse: Basis
    finer: Basis
    masks: MaskBasis | None


class CellFilters:
    """The filters of the rotations of each cell, and their bases.

    Parameters
    ----------
    template : Template
        What is searched for; its values have been through ``score.template_values``.
    rotations : ndarray, shape (n, d, d)
        The rotation set.
    score : Score
        How template and target are compared.
    cells : RotationCells
        How the rotation set is cut.

    Attributes
    ----------
    inside : ndarray of bool
        Which voxels of the search box filters may have: those under the mask, at any rotation.

    Raises
    ------
    InputError
        If score or mask do not allow bases.
    """

    def __init__(
        self, template: Template, rotations: NDArray[np.float64], score: Score, cells: RotationCells
    ) -> None:
        self.score = check_compressible(score, template)
        self.template = template
        self.rotations = rotations
        self.cells = cells
        self.inside = (
            radial_distance(template.box) <= template.radius
            if isinstance(score, LocalScore)
            else template.fixed_mask > 0
        )

    @property
    def masks_turn(self) -> bool:
        """Whether every rotation has a mask of its own."""
        return isinstance(self.score, LocalScore)

    @functools.cached_property
    def same_masks(self) -> int:
        """How many cells that follow each other, beginning with a model, have the same basis of masks.

        In the plane turns follow each other so that masks which are the same after half a turn, or a quarter, are.
        """
        mask, turns = self.template.mask, self.cells.turns
        if mask.ndim != 2 or turns == 1 or not self.masks_turn:
            return 1
        same = 1
        for turned in (mask[::-1, ::-1], np.rot90(mask)):
            if turned.shape != mask.shape or np.abs(turned - mask).max() > EQUAL_WEIGHT * mask.max():
                break
            same *= 2
        return same

    @property
    def places_bytes(self) -> int:
        """Memory for where voxels come from when bases are turned with the grid, and turned back."""
        return 8 * self.cells.turns * int(self.inside.sum()) if self.cells.turns > 1 else 0

    def of_rotation(self, rotation_id: int) -> NDArray[np.float32]:
        """Return the filter of a rotation, shape (v,): its values where `inside` is true."""
        if self.masks_turn:
            return self.with_mask(rotation_id)[0]
        return self.score.filter_of(self.template.under_mask(self.rotations[rotation_id])).astype(np.float32)

    def with_mask(self, rotation_id: int) -> tuple[NDArray[np.float32], NDArray[np.float32], Array]:
        """Return the filter of a rotation, its mask, and the support of that; see `of_rotation`, `MaskBasis`."""
        rotated = self.template.rotated(self.rotations[rotation_id])
        values, weights = (
            one.reshape(-1)[self._inside_places] for one in (self.score.filter_of(rotated), rotated.weights)
        )
        return values.astype(np.float32), weights.astype(np.float32), np.array(rotated.support, np.int32)

    def bases(self, cell: int, tolerance: float) -> CellBases:
        """Return the bases of a cell: the root mean square residual of the coarse one is at most the tolerance.

        The finer one's residuals are `FINER` times smaller, or as small as ranks allow.
        """
        ids = self.cells.ids(cell)
        rows = np.empty((len(ids), int(self.inside.sum())), np.float32)
        if not self.masks_turn:
            for row, rotation_id in zip(rows, ids, strict=True):
                row[:] = self.of_rotation(int(rotation_id))
            return CellBases(*_coarse_and_finer(rows, tolerance), None)
        weights, supports = np.empty_like(rows), np.empty((len(ids), self.inside.ndim, 2), np.int32)
        for i, rotation_id in enumerate(ids):
            rows[i], weights[i], supports[i] = self.with_mask(int(rotation_id))
        of_masks = Principal(weights).compressed(tolerance / FINER_MASKS)
        masks = MaskBasis(of_masks.vectors, of_masks.coefficients, of_masks.residuals, supports)
        coarse, finer = (
            replace(basis, residuals=np.hypot(basis.residuals, masks.residuals))
            for basis in _coarse_and_finer(rows, tolerance)
        )
        return CellBases(coarse, finer, masks)

    def of_model(self, basis: BasisType, cell: int) -> BasisType:
        """Return the basis of a cell by that of its model."""
        turn = cell % self.cells.turns
        if isinstance(basis, MaskBasis):
            turn -= turn % self.same_masks
        return replace(self.rows_of_model(basis, cell), vectors=self.turned(basis.vectors, turn))

    def rows_of_model(self, basis: BasisType, cell: int) -> BasisType:
        """Return the basis of a cell by that of its model, but for its vectors, which are the model's."""
        turn = cell % self.cells.turns
        if not turn:
            return basis
        rows = self.cells.model_rows(cell)
        changes: dict[str, Array] = {
            "coefficients": basis.coefficients[rows],
            "residuals": basis.residuals[rows],
        }
        if isinstance(basis, MaskBasis):
            changes["supports"] = self._turned_supports(basis.supports[rows], turn)
        return replace(basis, **changes)

    def turned(self, vectors: Array, turn: int) -> Array:
        """Return vectors, shape (k, v), after a turn of the grid; fast if what a voxel has of all lies together."""
        return np.take(vectors.T, self._places[turn], axis=0).T if turn else vectors

    def turned_back(self, windows: Array, turn: int) -> Array:
        """Return what lies inside at voxels, shape (n, v), turned so that a model's vectors give a turn's products."""
        return np.take(windows, self._places_back[turn], axis=1) if turn else windows

    def _turned_supports(self, supports: Array, turn: int) -> Array:
        """Return supports after a rotation of the grid."""
        rotation, last = grid_rotations(self.inside.ndim)[turn], len(self.inside) - 1
        axes = np.abs(rotation).argmax(axis=1)
        turned = supports[:, axes]
        reversed_ = rotation.sum(axis=1) < 0
        turned[:, reversed_] = last - turned[:, reversed_, ::-1]
        return turned

    @functools.cached_property
    def _inside_places(self) -> NDArray[np.intp]:
        """What lies inside, as places in the flat box: taken faster than by a mask."""
        return np.flatnonzero(self.inside)

    @functools.cached_property
    def _places(self) -> list[NDArray[np.int32]]:
        """From where, of what lies inside, values come when they are turned by the rotations of a grid."""
        number = np.cumsum(self.inside).reshape(self.inside.shape) - 1
        turns = grid_rotations(self.inside.ndim)
        return [turned_with_grid(number, turn)[self.inside].astype(np.int32) for turn in turns]

    @functools.cached_property
    def _places_back(self) -> list[NDArray[np.int32]]:
        """The same for the turns back."""
        return [np.argsort(places).astype(np.int32) for places in self._places]

    def in_box(self, vector: Array) -> Array:
        """Return what lies inside as an array of the search box."""
        values = np.zeros(self.template.box, vector.dtype)
        values[self.inside] = vector
        return values


def _coarse_and_finer(rows: Array, tolerance: float) -> tuple[Basis, Basis]:
    principal = Principal(rows)
    basis = principal.compressed(tolerance)
    finer = min(principal.rank(tolerance / FINER), LARGEST_RANK)
    return basis, principal.basis(max(finer, basis.rank))
