"""Transforms: the same convention from every provider, and the same bits in every process."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft

from scorefold.errors import InputError
from scorefold.scoring.fft import available_providers, provider

SHAPES = [(12,), (9, 10), (8, 15), (4, 6, 5)]


@pytest.fixture(params=available_providers())
def name(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_forward_is_the_padded_half_spectrum_over_the_root_of_the_size(name, shape, dtype, tolerance):
    transform = provider(name).transform(shape, dtype)
    values = np.random.default_rng(0).normal(size=[n - 2 for n in shape])
    expected = scipy.fft.rfftn(np.pad(values, [(0, 2)] * len(shape))) / np.sqrt(np.prod(shape))
    spectrum = transform.forward(values)
    assert spectrum.dtype == np.result_type(dtype, np.complex64)
    np.testing.assert_allclose(spectrum, expected, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-13)])
def test_inverse_of_product_is_the_circular_convolution(name, shape, dtype, tolerance):
    transform = provider(name).transform(shape, dtype)
    first, second = np.random.default_rng(1).normal(size=(2, *shape))
    expected = scipy.fft.ifftn(scipy.fft.fftn(first) * scipy.fft.fftn(second)).real
    found = transform.inverse_of_product(transform.forward(first), transform.forward(second))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_wanted_part_is_that_of_the_whole_bit_for_bit(name, shape, dtype):
    transform = provider(name).transform(shape, dtype)
    first, second = (transform.forward(a) for a in np.random.default_rng(2).normal(size=(2, *shape)))
    whole = transform.inverse_of_product(first, second).copy()
    wanted = tuple(n - 3 for n in shape)
    part = transform.inverse_of_product(first, second, wanted)
    np.testing.assert_array_equal(part, whole[tuple(slice(0, n) for n in wanted)])


def test_a_spectrum_outlives_the_transforms_that_follow(name):
    transform = provider(name).transform((8, 8), "float32")
    spectrum = transform.forward(np.eye(8))
    kept = spectrum.copy()
    transform.inverse_of_product(spectrum, transform.forward(np.ones((8, 8))))
    transform.forward(np.zeros((2, 2)))
    np.testing.assert_array_equal(spectrum, kept)


def test_padding_does_not_remember_what_was_there(name):
    transform = provider(name).transform((6, 6), "float64")
    transform.inverse_of_product(transform.forward(np.ones((6, 6))), transform.forward(np.ones((6, 6))))
    np.testing.assert_allclose(transform.forward(np.ones((1, 1))), np.full((6, 4), 1 / 6), atol=1e-15)


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
            transform = transforms.transform(shape, dtype)
            first, second = np.random.default_rng(0).normal(size=(2, *shape))
            spectrum = transform.forward(first)
            hasher.update(np.ascontiguousarray(spectrum).data)
            hasher.update(np.ascontiguousarray(transform.inverse_of_product(spectrum, transform.forward(second))).data)
    return hasher.hexdigest()
"""


@pytest.mark.skipif("fftw" not in available_providers(), reason="pyFFTW is not installed")
def test_wisdom_gives_the_same_bits_in_another_process_and_after_other_wisdom():
    scope: dict = {}
    exec(DIGEST_OF_TRANSFORMS, scope)
    shapes, dtypes = [(90, 96), (18, 20, 15)], ["float32", "float64"]
    wisdom = provider("fftw").learn(shapes, dtypes)
    here = scope["digest"](provider("fftw", wisdom))
    program = DIGEST_OF_TRANSFORMS + "print(digest(provider('fftw', sys.stdin.read())))"
    fresh = subprocess.run(
        [sys.executable, "-c", program], input=wisdom, capture_output=True, text=True, check=True
    )
    assert fresh.stdout.strip() == here

    # A worker that lives through several runs has planned these shapes otherwise before.
    provider("fftw").learn(shapes[:1], dtypes)
    scope["digest"](provider("fftw"))
    assert scope["digest"](provider("fftw", wisdom)) == here


@pytest.mark.skipif("fftw" not in available_providers(), reason="pyFFTW is not installed")
def test_wisdom_is_that_of_its_own_transforms_alone():
    much = provider("fftw").learn([(60, 64), (48, 50), (45, 54)], ["float32", "float64"])
    little = provider("fftw").learn([(8, 8)], ["float32"])
    assert len(little) < len(much) / 2
