"""Coverage is a set of ids: checked against Python's sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorefold.analyzer import Coverage
from scorefold.errors import InputError

intervals = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted)


def ids_of(coverage):
    return {number for start, stop in coverage.ids for number in range(start, stop)}


@st.composite
def disjoint(draw, parts=3):
    """Draw coverages of one region without common ids."""
    owners = draw(st.lists(st.integers(-1, parts - 1), max_size=30))
    coverages = [Coverage.empty("tile")] * parts
    for number, owner in enumerate(owners):
        if owner >= 0:
            coverages[owner] = coverages[owner].union(Coverage.of("tile", number, number + 1))
    return coverages


@given(parts=disjoint())
def test_union_is_the_union_of_sets_in_any_grouping(parts):
    a, b, c = parts
    united = a.union(b).union(c)
    assert united == a.union(b.union(c)) == c.union(b).union(a)
    assert ids_of(united) == ids_of(a) | ids_of(b) | ids_of(c)
    assert united.count == a.count + b.count + c.count == len(ids_of(united))
    assert united.union(Coverage.empty("tile")) == united


@given(parts=disjoint())
def test_form_is_normal(parts):
    for coverage in parts:
        flat = [edge for interval in coverage.ids for edge in interval]
        assert flat == sorted(set(flat))


@given(parts=disjoint(), window=intervals)
def test_missing_is_the_difference(parts, window):
    start, stop = window
    gaps = parts[0].missing(start, stop)
    assert {n for low, high in gaps for n in range(low, high)} == set(range(start, stop)) - ids_of(parts[0])
    assert all(low < high for low, high in gaps)
    assert gaps == sorted(gaps)


@given(parts=disjoint())
def test_covers_is_the_subset_relation(parts):
    a, b, _ = parts
    assert a.covers(b) == (ids_of(b) <= ids_of(a))
    assert a.union(b).covers(b)


@given(parts=disjoint())
def test_json_round_trip(parts):
    for coverage in parts:
        assert Coverage.from_json(coverage.to_json()) == coverage


@given(one=intervals, other=intervals)
def test_overlap_is_refused_and_named(one, other):
    a, b = Coverage.of("tile", *one), Coverage.of("tile", *other)
    if ids_of(a) & ids_of(b):
        with pytest.raises(InputError, match="overlap at") as caught:
            a.union(b)
        assert str(a) in str(caught.value)
        assert str(b) in str(caught.value)
    else:
        a.union(b)


def test_regions_do_not_mix():
    a, b = Coverage.of("tile-0", 0, 1), Coverage.of("tile-1", 1, 2)
    with pytest.raises(InputError, match=r"tile-0.*tile-1"):
        a.union(b)
    with pytest.raises(InputError, match="different regions"):
        a.covers(b)


@pytest.mark.parametrize("ids", [((2, 1),), ((0, 0),), ((-1, 2),), ((0, 2), (2, 3)), ((3, 4), (0, 1))])
def test_other_forms_are_refused(ids):
    with pytest.raises(InputError, match=r"not sorted, disjoint and merged"):
        Coverage("tile", ids)


def test_impossible_intervals_are_refused():
    with pytest.raises(InputError, match="not an interval"):
        Coverage.of("tile", 3, 2)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"region": "a", "ids": [[1]]}', '{"region": "a", "ids": [[3, 2]]}']
)
def test_damaged_json_is_refused(text):
    with pytest.raises(InputError):
        Coverage.from_json(text)
