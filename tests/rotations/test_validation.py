"""A rotation set is accepted unchanged, and anything else is refused with the row that is wrong."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rotations import check_rotations


def rotations(count=5):
    return Rotation.random(count, rng=np.random.default_rng(3)).as_matrix()


def test_a_rotation_set_passes_unchanged_and_contiguous():
    stored = np.asfortranarray(rotations())
    checked = check_rotations(stored, 3)
    np.testing.assert_array_equal(checked, stored)
    assert checked.flags.c_contiguous
    assert checked.dtype == np.float64


def test_single_precision_is_close_enough():
    np.testing.assert_array_equal(
        check_rotations(rotations().astype(np.float32)), rotations().astype(np.float32)
    )


def test_a_deviation_is_named_with_its_row_and_size():
    matrices = rotations()
    matrices[3] *= 1.001
    with pytest.raises(InputError, match=r"row 3 is not orthonormal, off by 0\.002"):
        check_rotations(matrices)


def test_the_tolerance_is_one_millionth():
    # Scaling by 1 + e changes R Rᵀ by 2e.
    check_rotations(rotations() * (1 + 0.4e-6))
    with pytest.raises(InputError, match="row 0 is not orthonormal"):
        check_rotations(rotations() * (1 + 0.6e-6))


def test_a_reflection_is_named_with_its_row():
    matrices = rotations()
    matrices[2, :, 0] *= -1
    with pytest.raises(InputError, match="row 2 has determinant -1"):
        check_rotations(matrices)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_with_its_row(value):
    matrices = rotations()
    matrices[4, 1, 1] = value
    with pytest.raises(InputError, match="row 4 is not finite"):
        check_rotations(matrices)


@pytest.mark.parametrize("shape", [(3, 3), (5, 2, 3), (5, 4, 4), (5, 3), ()])
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"pass matrices of shape \(n, 2, 2\) or \(n, 3, 3\)"):
        check_rotations(np.ones(shape))


def test_the_required_dimensions_are_enforced():
    with pytest.raises(InputError, match=r"pass matrices of shape \(n, 2, 2\)\."):
        check_rotations(rotations(), 2)
    with pytest.raises(InputError, match="dimensions 4"):
        check_rotations(rotations(), 4)


def test_an_empty_set_is_refused():
    with pytest.raises(InputError, match="empty"):
        check_rotations(np.zeros((0, 3, 3)))


@pytest.mark.parametrize("matrices", [[["a", "b"]], [[1], [1, 2]], np.eye(2)[None] + 0j, None])
def test_what_is_not_numeric_is_refused(matrices):
    with pytest.raises(InputError, match="rotations: "):
        check_rotations(matrices)
