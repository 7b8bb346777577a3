"""Symmetry groups: complete, closed, and oriented as documented."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.rotations import check_rotations, geodesic_angle, relion_to_matrix, symmetry_group

ORDERS = (
    {f"C{n}": n for n in (1, 2, 3, 4, 5, 7, 13, 99)}
    | {f"D{n}": 2 * n for n in (1, 2, 3, 4, 7, 20)}
    | {"T": 12, "O": 24, "I": 60, "I1": 60, "I2": 60}
)
# Degrees; the Frobenius distance of two nearly equal matrices carries a few 1e-16.
SAME = 1e-10
GOLDEN = (1 + np.sqrt(5)) / 2


def has_axis(name, xyz, fold):
    """Whether the group holds the turns by 360°/fold about the axis given in (x, y, z) order."""
    axis = np.array(xyz[::-1]) / np.linalg.norm(xyz)
    group = symmetry_group(name)
    about_axis = group[np.isclose(group @ axis, axis, atol=1e-9).all(axis=1)]
    return len(about_axis) == fold


@pytest.mark.parametrize("name", ORDERS)
def test_the_group_has_its_order_and_is_closed_under_product_and_inverse(name):
    group = check_rotations(symmetry_group(name), 3)
    assert len(group) == ORDERS[name]
    np.testing.assert_array_equal(group[0], np.eye(3))
    between = geodesic_angle(group[:, None], group)
    assert (between[~np.eye(len(group), dtype=bool)] > 1).all()
    for element in group:
        products = geodesic_angle((group @ element)[:, None], group)
        assert (products.min(axis=1) < SAME).all()
        assert geodesic_angle(element.T, group).min() < SAME


@pytest.mark.parametrize(
    ("name", "xyz", "fold"),
    [
        ("C7", (0, 0, 1), 7),
        ("D7", (0, 0, 1), 7),
        ("D7", (1, 0, 0), 2),
        ("D1", (1, 0, 0), 2),
        ("T", (0, 0, 1), 3),
        ("T", (0, np.sqrt(2 / 3), np.sqrt(1 / 3)), 2),
        ("O", (1, 0, 0), 4),
        ("O", (0, 1, 0), 4),
        ("O", (0, 0, 1), 4),
        ("O", (1, 1, 1), 3),
        ("I", (0, 1, GOLDEN), 5),
        ("I1", (0, 0, 1), 2),
        ("I1", (0, 1, GOLDEN), 5),
        ("I1", (1, 0, GOLDEN**2), 3),
        ("I2", (0, 0, 1), 2),
        ("I2", (1, 0, GOLDEN), 5),
        ("I2", (0, 1, GOLDEN**2), 3),
    ],
)
def test_axes_lie_where_relion_has_them(name, xyz, fold):
    assert has_axis(name, xyz, fold)


def test_the_principal_axis_is_array_axis_zero():
    for element in symmetry_group("C5"):
        np.testing.assert_allclose(element[0], [1, 0, 0], atol=1e-15)


def test_a_turn_about_the_axis_is_a_change_of_relions_rot():
    # The symmetry acts on the template side: R·g differs from R in rot alone.
    turned = relion_to_matrix([10, 40, 70]) @ symmetry_group("C4")
    expected = relion_to_matrix([[rot, 40, 70] for rot in (10, 100, 190, 280)])
    assert (geodesic_angle(turned[:, None], expected).min(axis=1) < SAME).all()


@pytest.mark.parametrize(("name", "proper"), [("c3", "C3"), (" d2 ", "D2"), ("o", "O"), ("i2", "I2")])
def test_case_and_surrounding_space_do_not_matter(name, proper):
    np.testing.assert_array_equal(symmetry_group(name), symmetry_group(proper))


@pytest.mark.parametrize("name", ["", "C", "C0", "D0", "C-1", "C100", "C1.5", "X", "I3", "Th", "C٣"])
def test_an_unknown_name_is_refused_with_those_allowed(name):
    with pytest.raises(InputError, match="Use C1 to C99, D1 to D99, T, O, I, I1 or I2"):
        symmetry_group(name)
