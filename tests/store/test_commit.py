"""Commit records: whole or refused, and what they say about arrays."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scorefold.analyzer import Coverage
from scorefold.errors import StoreError
from scorefold.store.commit import INLINE_BYTES, ArrayRecord, Commit, digest

RECORD = Commit(
    key="score_leaf-b0000001-r0000000",
    fingerprint="f" * 64,
    attempt="a" * 32,
    arrays={"scores": ArrayRecord("1" * 64, "<f4", (300, 400)), "count": ArrayRecord.of(np.array([7]))},
    coverage=Coverage("batch-1", ((0, 10), (20, 30))),
    summary={"seconds": 1.5, "failures": {"3": "gone"}, "best": -1e-300},
)

arrays = hnp.arrays(
    st.one_of(hnp.floating_dtypes(sizes=(32, 64)), hnp.integer_dtypes(), hnp.boolean_dtypes()),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)


def test_a_record_survives_its_bytes():
    assert Commit.from_bytes(RECORD.to_bytes()) == RECORD


def test_equal_records_have_equal_bytes():
    shuffled = Commit(
        **{
            **vars(RECORD),
            "arrays": dict(reversed(RECORD.arrays.items())),
            "summary": dict(reversed(RECORD.summary.items())),
        }
    )
    assert shuffled.to_bytes() == RECORD.to_bytes()


def test_no_flipped_bit_goes_unnoticed():
    """A flip is refused, or it did not change what the record says (a space, the case of a digit)."""
    data = RECORD.to_bytes()
    refused = 0
    for bit in range(0, 8 * len(data), 3):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        try:
            assert Commit.from_bytes(bytes(damaged)) == RECORD
        except StoreError:
            refused += 1
    assert refused > 0.95 * len(range(0, 8 * len(data), 3))


@given(length=st.integers(0, len(RECORD.to_bytes()) - 1))
def test_a_truncated_record_is_refused(length):
    with pytest.raises(StoreError):
        Commit.from_bytes(RECORD.to_bytes()[:length])


@given(data=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_anything_else_is_refused(data):
    with pytest.raises(StoreError, match="commit record: "):
        Commit.from_bytes(data)


@pytest.mark.parametrize(
    "data", [b"null", b"[]", b"{}", b"3", b'{"body": 3, "sha256": "x"}', b'"\xff"', b"[" * 10_000]
)
def test_other_json_is_refused(data):
    with pytest.raises(StoreError, match="commit record: "):
        Commit.from_bytes(data)


def test_another_format_is_named():
    body = json.loads(RECORD.to_bytes())["body"]
    body["format"] = 99
    import hashlib

    text = json.dumps(body, sort_keys=True)
    data = json.dumps({"body": body, "sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()
    with pytest.raises(StoreError, match="format 99, this version reads 2"):
        Commit.from_bytes(data)


@given(array=arrays)
def test_an_array_agrees_with_its_record_and_comes_back_from_it(array):
    record = ArrayRecord.of(array)
    assert record.disagreement(array) is None
    inline = record.inline_array()
    assert inline is not None
    assert (inline.dtype, inline.shape, inline.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert inline.flags.writeable


@given(array=arrays, data=st.data())
def test_another_array_disagrees(array, data):
    record = ArrayRecord.of(array)
    if array.size:
        changed = array.copy()
        raw = changed.reshape(-1).view(np.uint8)
        raw[data.draw(st.integers(0, raw.size - 1))] ^= 1
        assert "digest" in record.disagreement(changed)
    assert "committed was" in record.disagreement(array[np.newaxis])
    other = np.zeros(array.shape, np.complex64)
    assert "committed was" in record.disagreement(other)


def test_only_small_arrays_are_kept_in_the_record():
    small, large = np.zeros(INLINE_BYTES, np.uint8), np.zeros(INLINE_BYTES + 1, np.uint8)
    assert ArrayRecord.of(small).inline is not None
    assert ArrayRecord.of(large).inline is None
    assert ArrayRecord.of(large).inline_array() is None


def test_a_digest_is_of_bytes_in_c_order():
    array = np.arange(12.0).reshape(3, 4)
    assert digest(np.asfortranarray(array)) == digest(array)
    assert digest(array[:, ::2]) == digest(array[:, ::2].copy())
    assert digest(array) != digest(array.T)
    assert digest(np.zeros((0, 3))) == digest(np.zeros(0))
