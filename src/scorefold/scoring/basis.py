"""Low-rank bases of turned templates: a few arrays of which every template of a cell is nearly a sum."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from threadpoolctl import ThreadpoolController

from scorefold.errors import InputError

Array = NDArray[Any]

LARGEST_RANK = 128
"""Of a basis: its maps are held in memory together."""


@dataclass(frozen=True)
class Basis:
    """Arrays g_r as sums of an orthonormal basis, g_r ≈ Σ_k a_rk b_k, of the norms of the arrays.

    The nearest sums would be shorter: those of noise would vary less than products with the arrays do, and what the
    basis lacks of a signal would be twice as much.

    Attributes
    ----------
    vectors : ndarray of float32, shape (k, v)
        The basis; its rows are orthonormal.
    coefficients : ndarray of float32, shape (n, k)
        Coordinates a_rk. Their columns are orthogonal.
    residuals : ndarray of float32, shape (n,)
        |g_r - Σ_k a_rk b_k| / |g_r|.
    """

    vectors: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    residuals: NDArray[np.float32]

    @property
    def rank(self) -> int:
        """Number of basis vectors."""
        return len(self.vectors)

    def typical(self, which: int = 0) -> int:
        """Return a row whose residual is near the root mean square of all: the nearest one, or another for `which`."""
        squares = self.residuals.astype(np.float64) ** 2
        nearest = np.argsort(np.abs(squares - squares.mean()), kind="stable")
        return int(nearest[which % max(1, len(nearest) // 4)])

    def leading(self, residual: float) -> "Basis":
        """Return a basis of the first rows alone: the fewest whose root mean square residual is no more than this."""
        squares = np.cumsum(self.coefficients.astype(np.float64) ** 2, axis=1)
        kept = np.sqrt(squares / np.where(squares[:, -1:] > 0, squares[:, -1:], 1.0))
        # Sums that are made longer point as the shorter ones do.
        left = 2.0 * np.maximum(
            1.0 - (1.0 - self.residuals.astype(np.float64)[:, np.newaxis] ** 2 / 2) * kept, 0.0
        )
        enough = left.mean(axis=0) <= residual**2
        rank = int(np.argmax(enough)) + 1 if enough.any() else self.rank
        longer = 1.0 / np.where(kept[:, rank - 1] > 0, kept[:, rank - 1], 1.0)
        return Basis(
            np.asfortranarray(self.vectors[:rank]),
            (self.coefficients[:, :rank] * longer[:, np.newaxis]).astype(np.float32),
            np.sqrt(left[:, rank - 1]).astype(np.float32),
        )


@dataclass(frozen=True)
class MaskBasis(Basis):
    """A basis of the masks of a cell.

    Attributes
    ----------
    supports : ndarray of int32, shape (n, d, 2)
        First and last index, per axis, of the search box under each mask.
    """

    supports: NDArray[np.int32]

    @property
    def totals(self) -> NDArray[np.float64]:
        """Sums of the masks, as the basis has them."""
        sums = self.vectors.sum(axis=1, dtype=np.float64)
        totals: NDArray[np.float64] = self.coefficients.astype(np.float64) @ sums
        return totals


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Keep products of matrices on one thread: how a library shares them out changes their last bits."""
    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limited


class Principal:
    """The principal axes of arrays, of which bases of every rank consist.

    They are the eigenvectors of the Gram matrix of the arrays: no other basis of the same rank betters those with the
    largest eigenvalues in the sum of squared distances to the nearest sums (Eckart & Young (1936), Psychometrika
    1:211), and hardly any in that to sums of the arrays' norms.

    Parameters
    ----------
    arrays : ndarray, shape (n, v)
        One array a row.

    Examples
    --------
    >>> waves = np.cos(np.linspace(0, 1, 8)[:, np.newaxis] + np.linspace(0, 20, 500))
    >>> basis = Principal(waves).compressed(1e-3)
    >>> basis.rank, bool(basis.residuals.max() < 1e-3)
    (2, True)
    """

    def __init__(self, arrays: Array) -> None:
        self._rows = np.ascontiguousarray(arrays, np.float32)
        self._norms = np.einsum("rv,rv->r", self._rows, self._rows, dtype=np.float64)
        with one_thread():
            values, vectors = linalg.eigh((self._rows @ self._rows.T).astype(np.float64))
        self._values, self._axes = np.maximum(values[::-1], 0.0), vectors[:, ::-1]

    def rank(self, tolerance: float) -> int:
        """Return the smallest rank whose basis leaves no more than a tolerance."""
        # Of the squares of the arrays, what lies in the spaces of rank 1, 2, ...
        inside = np.cumsum(self._axes**2 * self._values, axis=1)
        left = _squared_distance(self._norms[:, np.newaxis], inside).sum(axis=0)
        enough = left <= tolerance**2 * self._norms.sum()
        return int(np.argmax(enough)) + 1 if enough.any() else len(self._values)

    def compressed(self, tolerance: float) -> Basis:
        """Return the smallest basis that represents the arrays up to a tolerance.

        Parameters
        ----------
        tolerance : float
            Largest root mean square of the residuals, relative to that of the arrays.

        Returns
        -------
        Basis
            Of the smallest rank that suffices.

        Raises
        ------
        InputError
            If that is more than `LARGEST_RANK`.
        """
        needed = self.rank(tolerance)
        if needed > LARGEST_RANK:
            raise InputError(
                f"tolerance {tolerance:g}: the basis of a cell of {len(self._rows)} rotations would have rank "
                f"{needed}, more than {LARGEST_RANK}. Use a larger --tolerance or a smaller --cell-angle."
            )
        return self.basis(needed)

    def basis(self, rank: int) -> Basis:
        """Return the basis of a rank, or of the number of arrays if that is smaller."""
        kept = min(rank, len(self._values))
        scale = np.sqrt(np.maximum(self._values[:kept], self._values[0] * 1e-12 or 1.0))
        nearest = self._axes[:, :kept] * scale
        inside = (nearest**2).sum(axis=1)
        longer = np.sqrt(self._norms / np.where(inside > 0, inside, 1.0))
        with one_thread():
            coefficients = nearest * longer[:, np.newaxis]
            # Columns that were orthogonal are no more: other axes of the same space are chosen.
            turn = linalg.eigh(coefficients.T @ coefficients)[1][:, ::-1]
            basis = (self._axes[:, :kept] / scale @ turn).T.astype(np.float32) @ self._rows
            coefficients = coefficients @ turn
        left = _squared_distance(self._norms, inside) / np.where(self._norms > 0, self._norms, 1.0)
        return Basis(basis, coefficients.astype(np.float32), np.sqrt(left).astype(np.float32))


def _squared_distance(norms: Array, inside: Array) -> Array:
    """Return |g - h|², where h is as long as g, but points to its part in a space, from |g|² and the part's square."""
    distance: Array = 2.0 * np.maximum(norms - np.sqrt(norms * np.maximum(inside, 0.0)), 0.0)
    return distance
