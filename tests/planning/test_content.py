"""One pass over the pixels: the same digest for any slab size, NumPy's mean and deviation, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scorefold.errors import InputError
from scorefold.planning import content
from scorefold.planning.content import examine


def examined(array, slab_bytes=content.SLAB_BYTES):
    regions = []

    def read(region):
        regions.append(region)
        return array[region]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "SLAB_BYTES", slab_bytes)
        return examine(read, array.shape, "t"), regions


arrays = st.one_of(
    *(
        hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9))
        for dtype in (np.uint8, np.int16, np.bool_)
    ),
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9),
        elements=st.floats(-1e4, 1e4, width=32),
    ),
)


@given(array=arrays, slab_bytes=st.integers(1, 2000))
def test_any_slab_size_gives_one_digest_and_numpys_statistics(array, slab_bytes):
    if np.ptp(array.astype(float)) <= 1e-6 * np.abs(array.astype(float)).max():
        return
    found, regions = examined(array, slab_bytes)
    whole, _ = examined(array)
    assert found.digest == whole.digest
    exact = array.astype(float)
    assert found.mean == pytest.approx(exact.mean(), rel=1e-12, abs=1e-12 * exact.std())
    assert found.std == pytest.approx(exact.std(), rel=1e-9)
    # Every pixel is read once.
    count = np.zeros(array.shape, int)
    for region in regions:
        count[region] += 1
    assert (count == 1).all()


def test_slabs_are_no_larger_than_allowed():
    array = np.arange(10_000.0).reshape(100, 100)
    _, regions = examined(array, slab_bytes=8 * 100 * 7)
    assert {region[0].stop - region[0].start for region in regions} == {7, 2}


def test_the_digest_is_of_values_not_of_memory():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    digest = examined(array)[0].digest
    assert examined(np.asfortranarray(array))[0].digest == digest
    assert examined(array.astype(">f4"))[0].digest == digest
    assert examined(np.repeat(array, 2, axis=1)[:, ::2])[0].digest == digest
    others = [
        array.astype(np.float64),
        array.reshape(6, 4),
        array.reshape(2, 2, 6),
        array[::-1],
        array.astype(np.int32),
    ]
    digests = {examined(other)[0].digest for other in others}
    assert len(digests | {digest}) == 6


def test_the_mean_of_large_offsets_keeps_its_digits():
    array = 1e9 + np.random.default_rng(0).normal(size=(64, 64))
    found, _ = examined(array, slab_bytes=8 * 64)
    assert found.std == pytest.approx(array.std(), rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_counted_and_refused(bad):
    array = np.random.default_rng(0).normal(size=(20, 5))
    array[3, 1] = array[17, 2] = bad
    with pytest.raises(InputError, match='target "t": 2 pixels are NaN or infinite'):
        examined(array, slab_bytes=8 * 5)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_constant_targets_are_refused(value):
    with pytest.raises(InputError, match='target "t": all pixels are equal'):
        examined(np.full((8, 8), value, np.uint8))


def test_values_too_large_for_statistics_are_refused():
    array = np.zeros((4, 4))
    array[0, 0] = 1e300
    with pytest.raises(InputError, match=r'target "t": .*too large'):
        examined(array)
