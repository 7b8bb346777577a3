"""Transforms: the same convention from every provider, and the same bits in every process."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
from scipy.signal import correlate

from scorefold.errors import InputError
from scorefold.scoring.fft import available_providers, provider

SHAPES = [((9, 10), (3, 4)), ((8, 15), (8, 2)), ((4, 6, 5), (2, 3, 1)), ((12, 32, 30), (5, 4, 7))]


@pytest.fixture(params=available_providers())
def name(request):
    return request.param


@pytest.mark.parametrize(("shape", "box"), SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_the_target_is_transformed_to_its_padded_half_spectrum(name, shape, box, dtype, tolerance):
    transform = provider(name).transform(shape, box, dtype)
    values = np.random.default_rng(0).normal(size=[n - 2 for n in shape])
    expected = scipy.fft.rfftn(np.pad(values, [(0, 2)] * len(shape))) / np.sqrt(np.prod(shape))
    blocks = transform.target(values)
    assert blocks.dtype == np.result_type(dtype, np.complex64)
    columns = np.moveaxis(blocks, 1, 0).reshape(shape[0], -1)
    count = expected[0].size
    np.testing.assert_allclose(columns[:, :count], expected.reshape(shape[0], -1), atol=tolerance)
    assert not columns[:, count:].any()


@pytest.mark.parametrize(("shape", "box"), SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-12)])
def test_correlation_is_the_sum_of_products_under_the_box(name, shape, box, dtype, tolerance):
    transform = provider(name).transform(shape, box, dtype)
    rng = np.random.default_rng(1)
    for _ in range(2):  # the buffers of the first must not show in the second
        target, template = rng.normal(size=shape), rng.normal(size=box)
        found = transform.correlate(transform.target(target), transform.filter(template))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, correlate(target, template, mode="valid"), atol=tolerance)


@pytest.mark.parametrize(("shape", "box"), SHAPES)
def test_two_targets_at_once_are_correlated_as_each_alone(name, shape, box):
    transform = provider(name).transform(shape, box, "float64")
    rng = np.random.default_rng(2)
    targets = [transform.target(rng.normal(size=shape)) for _ in range(2)]
    for _ in range(2):
        filter_ = transform.filter(rng.normal(size=box))
        alone = [transform.correlate(target, filter_).copy() for target in targets]
        for found, expected in zip(transform.correlate_both(*targets, filter_), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_spectra_outlive_the_transforms_that_follow(name):
    transform = provider(name).transform((8, 8), (3, 3), "float32")
    spectrum, filter_ = transform.target(np.eye(8)), transform.filter(np.eye(3))
    kept = spectrum.copy(), filter_.rows.copy()
    transform.correlate(spectrum, filter_)
    transform.correlate(transform.target(np.zeros((2, 2))), transform.filter(np.ones((3, 3))))
    np.testing.assert_array_equal(spectrum, kept[0])
    np.testing.assert_array_equal(filter_.rows, kept[1])


@pytest.mark.parametrize(("shape", "box"), SHAPES)
def test_a_filter_gives_the_same_bytes_however_often_it_is_used(name, shape, box):
    """Its columns are kept from the second time on."""
    transform = provider(name).transform(shape, box, "float32")
    rng = np.random.default_rng(3)
    targets, values = [transform.target(rng.normal(size=shape)) for _ in range(3)], rng.normal(size=box)
    alone = [transform.correlate(target, transform.filter(values)).copy() for target in targets]
    filter_ = transform.filter(values)
    for target, expected in zip(targets, alone, strict=True):
        np.testing.assert_array_equal(transform.correlate(target, filter_), expected)


@pytest.mark.parametrize("unknown", ["cuda", ""])
def test_an_unknown_provider_is_refused_by_name(unknown):
    with pytest.raises(InputError, match=f'"{unknown}": unknown. Use one of scipy, fftw'):
        provider(unknown)


DIGEST_OF_TRANSFORMS = """
import hashlib, sys
import numpy as np
from scorefold.scoring.fft import provider

def digest(transforms):
    hasher = hashlib.sha256()
    for dtype in ("float32", "float64"):
        for shape in ((90, 96), (18, 20, 15)):
            box = (7, 5, 6)[: len(shape)]
            transform = transforms.transform(shape, box, dtype)
            rng = np.random.default_rng(0)
            spectrum = transform.target(rng.normal(size=shape))
            scores = transform.correlate(spectrum, transform.filter(rng.normal(size=box)))
            hasher.update(np.ascontiguousarray(spectrum).data)
            hasher.update(np.ascontiguousarray(scores).data)
    return hasher.hexdigest()
"""


@pytest.mark.skipif("fftw" not in available_providers(), reason="pyFFTW is not installed")
def test_wisdom_gives_the_same_bits_in_another_process_and_after_other_wisdom():
    scope: dict = {}
    exec(DIGEST_OF_TRANSFORMS, scope)
    dtypes = ["float32", "float64"]
    learned = [
        provider("fftw").learn([shape], (7, 5, 6)[: len(shape)], dtypes) for shape in ((90, 96), (18, 20, 15))
    ]
    wisdom = ";".join(learned)
    here = scope["digest"](provider("fftw", wisdom))
    program = DIGEST_OF_TRANSFORMS + "print(digest(provider('fftw', sys.stdin.read())))"
    fresh = subprocess.run(
        [sys.executable, "-c", program], input=wisdom, capture_output=True, text=True, check=True
    )
    assert fresh.stdout.strip() == here

    # A worker that lives through several runs has planned these shapes otherwise before.
    provider("fftw").learn([(90, 96)], (9, 9), dtypes)
    scope["digest"](provider("fftw"))
    assert scope["digest"](provider("fftw", wisdom)) == here


@pytest.mark.skipif("fftw" not in available_providers(), reason="pyFFTW is not installed")
def test_wisdom_is_that_of_its_own_transforms_alone():
    much = provider("fftw").learn([(60, 64), (48, 50), (45, 54)], (5, 5), ["float32", "float64"])
    little = provider("fftw").learn([(8, 8)], (5, 5), ["float32"])
    assert len(little) < len(much) / 2
