"""Rotation ids are rows of a set, or ranks that do not depend on the order of observation."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorefold.analyzer import RotationTable
from scorefold.analyzer.rotation_table import (
    FixedRotations,
    ObservedRotations,
    rank_rotations,
    relabel,
    table_from_arrays,
    table_to_arrays,
    unite_tables,
)
from scorefold.errors import InputError
from scorefold.testing import rotation_stacks

TURN = np.array([[0.0, -1.0], [1.0, -0.0]])


def test_table_is_an_immutable_mapping_by_row():
    stack = np.stack([np.eye(2), TURN])
    table = RotationTable(stack)
    stack[:] = 7
    assert list(table) == [0, 1]
    np.testing.assert_array_equal(table[1], TURN)
    with pytest.raises(ValueError, match="read-only"):
        table[1][0, 0] = 3
    for missing in (-1, 2):
        with pytest.raises(KeyError):
            table[missing]


def test_negative_zeros_are_the_same_rotation():
    table = RotationTable([TURN])
    assert not np.signbit(table[0][1, 1])
    assert table.id_of(TURN) == table.id_of(TURN + 0.0) == 0
    assert table == RotationTable([TURN + 0.0])


def test_equality_is_by_content():
    assert RotationTable([TURN]) == pickle.loads(pickle.dumps(RotationTable([TURN])))
    assert hash(RotationTable([TURN])) == hash(RotationTable([TURN]))
    assert RotationTable([TURN]) != RotationTable([TURN, TURN])
    assert RotationTable.empty(2) != RotationTable.empty(3)


def test_a_repeated_rotation_has_its_lowest_id():
    assert RotationTable([np.eye(2), TURN, TURN]).id_of(TURN) == 1


@pytest.mark.parametrize("matrices", [np.eye(2), np.zeros((1, 2, 3)), np.zeros((2, 0, 0))])
def test_other_shapes_are_refused(matrices):
    with pytest.raises(InputError, match=r"expected \(n, d, d\)"):
        RotationTable(matrices)


def test_entries_that_are_not_finite_are_refused_with_their_row():
    with pytest.raises(InputError, match="rotation 1"):
        RotationTable([np.eye(2), np.full((2, 2), np.nan)])


def test_unknown_and_mismatched_rotations_are_refused():
    fixed = FixedRotations(RotationTable([np.eye(2), TURN]))
    assert fixed.identify(TURN) == fixed.identify(TURN, 1) == fixed.identify(TURN.astype(np.float32), 1) == 1
    with pytest.raises(InputError, match="not in the analyzer's set"):
        fixed.identify(2 * TURN)
    with pytest.raises(InputError, match="not that row"):
        fixed.identify(TURN, 0)
    with pytest.raises(InputError, match="rows 0 to 1"):
        fixed.identify(TURN, 2)
    with pytest.raises(InputError, match="shape"):
        fixed.identify(np.eye(3))


@given(stack=rotation_stacks(2), order=st.randoms(use_true_random=False))
def test_ranks_do_not_depend_on_order(stack, order):
    shuffled = list(stack)
    order.shuffle(shuffled)
    table, lookup = rank_rotations(stack + 0.0)
    assert table == rank_rotations(np.array(shuffled) + 0.0)[0]
    np.testing.assert_array_equal(table.matrices[lookup], stack + 0.0)
    rows = [tuple(matrix.ravel()) for matrix in table.matrices]
    assert rows == sorted(set(rows))


@given(stack=rotation_stacks(3))
def test_observed_rotations_rank_as_their_table_does(stack):
    observed = ObservedRotations(3)
    ids = [observed.identify(matrix) for matrix in stack]
    table, lookup = observed.table()
    np.testing.assert_array_equal(table.matrices[lookup[ids]], stack + 0.0)
    np.testing.assert_array_equal(np.argsort(np.argsort(lookup)), observed.ranks)


@given(a=rotation_stacks(2), b=rotation_stacks(2), c=rotation_stacks(2))
def test_union_of_ranked_tables_is_associative_and_keeps_matrices(a, b, c):
    tables = [rank_rotations(stack + 0.0)[0] for stack in (a, b, c)]
    united, lookups = unite_tables(tables)
    pair, _ = unite_tables(tables[:2])
    assert unite_tables([pair, tables[2]])[0] == united
    for table, lookup in zip(tables, lookups, strict=True):
        ids = relabel(np.arange(len(table), dtype=np.int32), lookup)
        np.testing.assert_array_equal(united.matrices[ids], table.matrices)


def test_equal_tables_keep_their_order_and_empty_ones_do_not_count():
    unsorted = RotationTable([np.eye(2), TURN])
    united, lookups = unite_tables([RotationTable.empty(2), unsorted, RotationTable(unsorted.matrices)])
    assert united == unsorted
    assert lookups == [None, None, None]


def test_tables_of_different_dimensions_are_not_united():
    with pytest.raises(InputError, match="2D and 3D"):
        unite_tables([RotationTable([np.eye(2)]), RotationTable([np.eye(3)])])


def test_stored_table_of_another_set_is_refused():
    own, other = RotationTable([TURN]), RotationTable([np.eye(2)])
    arrays = table_to_arrays(own, own)
    assert table_from_arrays(arrays, own) is own
    assert sum(array.nbytes for array in arrays.values()) == 32  # the set itself is stored once, elsewhere
    for rotations in (other, None):
        with pytest.raises(InputError, match="not the analyzer's"):
            table_from_arrays(arrays, rotations)
