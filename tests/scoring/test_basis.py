"""Bases: orthonormal, as good as they say, as small as the tolerance allows."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scorefold.scoring.basis import Principal

# Rows of about unit elements, sums in single precision.
ROUNDING = 2e-5


def rows_of_rank(rank, count=12, length=90, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, rank)) @ rng.normal(size=(rank, length))


def decaying(count=12, length=90, seed=0):
    """Return rows whose singular values fall by a factor of two each."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(n, count)))[0] for n in (count, length))
    return 10 * (left * 0.5 ** np.arange(count)) @ right.T


@given(seed=st.integers(0, 50), tolerance=st.sampled_from([0.05, 0.1, 0.3, 0.9]))
def test_vectors_are_orthonormal_and_columns_of_coordinates_orthogonal(seed, tolerance):
    basis = Principal(decaying(seed=seed)).compressed(tolerance)
    # Eigenvalues of 4e-4 of the largest, of a matrix in single precision: 1e-7 / 4e-4 of orthogonality.
    np.testing.assert_allclose(basis.vectors @ basis.vectors.T, np.eye(basis.rank), atol=1e-3)
    gram = basis.coefficients.T @ basis.coefficients
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=ROUNDING * gram.max())


@given(seed=st.integers(0, 50), tolerance=st.sampled_from([0.02, 0.1, 0.3, 0.9]))
def test_residuals_are_those_of_the_sums_and_keep_the_tolerance(seed, tolerance):
    rows = decaying(seed=seed)
    basis = Principal(rows).compressed(tolerance)
    missing = rows - basis.coefficients.astype(float) @ basis.vectors.astype(float)
    norms = np.linalg.norm(rows, axis=1)
    # Squares lose what single precision rounds: a residual of 1e-3 is known to a tenth of itself.
    np.testing.assert_allclose(basis.residuals, np.linalg.norm(missing, axis=1) / norms, atol=1e-3)
    overall = np.sqrt((missing**2).sum() / (rows**2).sum())
    assert overall <= tolerance + ROUNDING


@given(seed=st.integers(0, 50), tolerance=st.floats(0.01, 0.95))
def test_the_rank_is_the_first_that_suffices(seed, tolerance):
    rows = decaying(seed=seed)
    left_vectors, values, _ = np.linalg.svd(rows, full_matrices=False)
    norms = np.linalg.norm(rows, axis=1)
    inside = np.sqrt(np.cumsum((left_vectors * values) ** 2, axis=1))
    # Of arrays as long as the rows, in the direction of their parts in the space: |g|² - 2 g·h + |h|².
    left = (2 * norms[:, np.newaxis] * (norms[:, np.newaxis] - inside)).sum(axis=0) / (norms**2).sum()
    assume(np.abs(left - tolerance**2).min() > 1e-5)  # single precision decides otherwise
    needed = 1 + int(np.argmax(left <= tolerance**2))
    assert Principal(rows).compressed(tolerance).rank == needed


@given(seed=st.integers(0, 50), tolerance=st.sampled_from([0.1, 0.3, 0.9]))
def test_sums_are_as_long_as_their_rows_and_point_to_their_part_in_the_space(seed, tolerance):
    rows = decaying(seed=seed)
    basis = Principal(rows).compressed(tolerance)
    sums = basis.coefficients.astype(float) @ basis.vectors.astype(float)
    np.testing.assert_allclose(np.linalg.norm(sums, axis=1), np.linalg.norm(rows, axis=1), rtol=1e-3)
    nearest = rows @ basis.vectors.T.astype(float) @ basis.vectors.astype(float)
    cosines = (
        np.einsum("rv,rv->r", sums, nearest) / np.linalg.norm(sums, axis=1) / np.linalg.norm(nearest, axis=1)
    )
    np.testing.assert_allclose(cosines, 1, atol=1e-3)


@pytest.mark.parametrize("rank", [1, 2, 7, 9])
def test_what_is_exactly_of_low_rank_needs_no_more(rank):
    rows = rows_of_rank(rank)
    basis = Principal(rows).compressed(1e-3)
    assert basis.rank == rank
    np.testing.assert_allclose(basis.coefficients @ basis.vectors, rows, atol=ROUNDING * np.abs(rows).max())


@pytest.mark.parametrize("count", [1, 3, 7, 11])
def test_without_tolerance_every_row_has_its_dimension(count):
    rows = np.random.default_rng(1).normal(size=(count, 60))
    basis = Principal(rows).compressed(0.0)
    assert basis.rank == count
    np.testing.assert_allclose(basis.coefficients @ basis.vectors, rows, atol=ROUNDING)


def test_a_single_row_is_its_own_basis():
    row = np.random.default_rng(2).normal(size=(1, 40))
    basis = Principal(row).compressed(0.3)
    assert basis.rank == 1
    assert basis.residuals[0] < 1e-3
    np.testing.assert_allclose(np.abs(basis.vectors), np.abs(row) / np.linalg.norm(row), atol=ROUNDING)


def test_a_row_of_zeros_has_no_residual_and_no_coordinates():
    rows = decaying()
    rows[4] = 0
    basis = Principal(rows).compressed(0.1)
    assert basis.residuals[4] == 0
    assert np.abs(basis.coefficients[4]).max() < ROUNDING


def test_rows_of_zeros_alone_stay_finite():
    basis = Principal(np.zeros((3, 20))).compressed(0.1)
    for array in (basis.vectors, basis.coefficients, basis.residuals):
        assert np.isfinite(array).all()


def test_the_same_rows_give_the_same_bytes():
    one, two = Principal(decaying()).compressed(0.1), Principal(decaying().copy()).compressed(0.1)
    assert one.vectors.tobytes() == two.vectors.tobytes()
    assert one.coefficients.tobytes() == two.coefficients.tobytes()


@given(seed=st.integers(0, 50), residual=st.sampled_from([0.1, 0.3, 0.6, 0.9]))
def test_leading_rows_leave_what_they_say_and_no_fewer_would_do(seed, residual):
    rows = decaying(seed=seed)
    basis = Principal(rows).compressed(0.05)
    leading = basis.leading(residual)
    np.testing.assert_array_equal(leading.vectors, basis.vectors[: leading.rank])
    norms = np.linalg.norm(rows, axis=1)
    sums = leading.coefficients.astype(float) @ leading.vectors.astype(float)
    np.testing.assert_allclose(np.linalg.norm(sums, axis=1), norms, rtol=1e-4)
    np.testing.assert_allclose(leading.residuals, np.linalg.norm(rows - sums, axis=1) / norms, atol=1e-3)
    typical = np.sqrt((leading.residuals.astype(float) ** 2).mean())
    assert typical <= residual + 1e-6 or leading.rank == basis.rank
    assert leading.rank <= basis.leading(typical * 0.999).rank
    assert basis.leading(typical * 1.001).rank <= leading.rank
    if leading.rank > 1:
        fewer = basis.coefficients[:, : leading.rank - 1].astype(float) @ basis.vectors[: leading.rank - 1]
        fewer *= (norms / np.linalg.norm(fewer, axis=1))[:, np.newaxis]
        left = np.linalg.norm(rows - fewer, axis=1) / norms
        assert np.sqrt((left**2).mean()) > residual - 1e-3


def test_a_basis_leads_itself_where_all_rows_are_needed():
    basis = Principal(decaying()).compressed(0.3)
    whole = basis.leading(0.01)
    assert whole.rank == basis.rank
    np.testing.assert_allclose(whole.coefficients, basis.coefficients, rtol=1e-6)
    np.testing.assert_allclose(whole.residuals, basis.residuals, rtol=1e-4)
