"""The kernel of local scores beside the same sums in double precision, and what it believes of variances."""

import numpy as np
import pytest

from scorefold.scoring.basis import Basis, MaskBasis
from scorefold.scoring.local_synthesis import (
    BLOCK,
    LEAST_PART,
    LocalMaps,
    fold_local_cell,
    scattered,
    variance_floor,
)


class Cell:
    """A cell of random coordinates and maps, windows that differ, and the scores that follow."""

    def __init__(self, shape, rotations, ranks, dtype="float32"):
        rng = np.random.default_rng(7)
        k, m = ranks

        def coordinates(rank):
            return rng.normal(size=(rotations, rank)).astype(np.float32)

        nothing = np.zeros(rotations, np.float32)
        self.basis = Basis(np.zeros((k, 5), np.float32), coordinates(k), nothing)
        vectors = rng.uniform(0.5, 1.0, size=(m, 5)).astype(np.float32)
        supports = np.zeros((rotations, len(shape), 2), np.int32)
        self.masks = MaskBasis(vectors, np.abs(coordinates(m)), nothing, supports)
        maps = [rng.normal(size=(n, *shape)).astype(dtype) for n in (k, m, m)]
        maps[2] = np.abs(maps[2]) + np.dtype(dtype).type(1)
        floor = rng.uniform(0.05, 0.3, shape).astype(dtype)
        floor[(slice(0, 2),) * len(shape)] = np.inf
        self.maps = LocalMaps(*maps, floor)
        first = rng.integers(0, 3, size=(rotations, len(shape)))
        self.windows = np.stack([first, np.subtract(shape, first)], axis=2)
        self.ids = np.sort(rng.choice(1000, rotations, replace=False)).astype(np.int32)

    def scores(self):
        """Return the scores of all rotations in double precision; -inf where a rotation scores none."""
        totals = self.masks.totals.astype(float)
        found = []
        for row, window in enumerate(self.windows):

            def summed(basis, maps, row=row):
                weights = basis.coefficients[row].astype(float) / totals[row]
                return np.tensordot(weights, maps.astype(float), 1)

            mean = summed(self.masks, self.maps.first)
            variance = summed(self.masks, self.maps.second) - mean**2
            score = summed(self.basis, self.maps.numerators) / np.sqrt(np.maximum(variance, self.maps.floor))
            inside = np.zeros(score.shape, bool)
            inside[tuple(slice(*ends) for ends in window)] = True
            found.append(np.where(inside, np.clip(score, -1, 1), -np.inf))
        return np.array(found)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.system)])
@pytest.mark.parametrize(
    ("shape", "rotations", "ranks"),
    [
        ((9, BLOCK + 30), 7, (3, 2)),
        ((6, 7, 20), 4, (5, 9)),
        ((8, 11), 1, (1, 1)),
        ((12, 2 * BLOCK), 2, (8, 4)),
    ],
)
def test_the_best_score_and_its_rotation_are_kept(shape, rotations, ranks, dtype):
    cell = Cell(shape, rotations, ranks, dtype)
    best, held = np.full(shape, -np.inf, dtype), np.full(shape, -1, np.int32)
    count, total, squares = fold_local_cell(
        cell.basis, cell.masks, cell.maps, cell.windows, cell.ids, best, held
    )
    expected = cell.scores()
    scored = np.isfinite(expected)
    anywhere = scored.any(axis=0)
    np.testing.assert_allclose(best[anywhere], expected.max(axis=0)[anywhere], atol=1e-4)
    np.testing.assert_array_equal(held[~anywhere], -1)
    flat = np.isinf(cell.maps.floor) & anywhere
    np.testing.assert_array_equal(best[flat], 0)
    ordered = np.sort(np.where(scored, expected, -9.0), axis=0)
    clear = scored.all(axis=0)
    if rotations > 1:
        clear[clear] = (ordered[-1] - ordered[-2])[clear] > 1e-3
    np.testing.assert_array_equal(held[clear], cell.ids[expected.argmax(axis=0)[clear]])
    assert count == scored.sum()
    assert total == pytest.approx(expected[scored].sum(), abs=1e-4 * count)
    assert squares == pytest.approx((expected[scored] ** 2).sum(), rel=1e-4)


def test_rotations_folded_one_by_one_are_those_folded_together():
    cell = Cell((10, 40), 5, (4, 3))
    given = cell.basis, cell.masks, cell.maps, cell.windows, cell.ids
    together = np.full((10, 40), -np.inf, np.float32), np.zeros((10, 40), np.int32)
    alone = np.full((10, 40), -np.inf, np.float32), np.zeros((10, 40), np.int32)
    fold_local_cell(*given, *together)
    for row in reversed(range(5)):
        fold_local_cell(*given, *alone, only=row)
    np.testing.assert_array_equal(alone[0], together[0])
    np.testing.assert_array_equal(alone[1], together[1])


def test_variances_are_no_less_than_what_every_turn_of_a_mask_holds():
    values = np.random.default_rng(0).normal(3.0, 0.5, 400)
    ball, everything = np.zeros(400), np.ones(400)
    ball[:100] = 1
    held, most = (
        scattered(np.array([mask @ values]), np.array([mask @ (values**2 - 1)]), mask.sum())
        for mask in (ball, everything)
    )
    assert held == pytest.approx(100 * values[:100].var())
    assert most == pytest.approx(400 * values.var())
    assert variance_floor(held, most, 200.0) == pytest.approx(held / 200)
    assert variance_floor(np.zeros(1), most, 200.0) == pytest.approx(LEAST_PART * most / 200)
    assert variance_floor(np.zeros(1), np.zeros(1), 200.0) == np.inf
