"""Templates without fine detail: what passes, and which cutoff a template does not miss."""

import numpy as np
import pytest
from scipy import ndimage

from scorefold.scoring.lowpass import automatic_cutoff, low_passed

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(40, 60), (24, 30, 36)])
@pytest.mark.parametrize(("frequency", "gain"), [(0.0, 1.0), (0.4, 1.0), (0.5, 0.5), (0.6, 0.0), (0.9, 0.0)])
def test_waves_pass_by_their_frequency_along_every_axis(shape, frequency, gain):
    for axis, n in enumerate(shape):
        wave = np.cos(np.pi * np.round(frequency * n) / n * (np.arange(n) + 0.5))
        values = np.broadcast_to(wave.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape)
        np.testing.assert_allclose(low_passed(values, np.round(0.5 * n) / n), gain * values, atol=1e-12)


def test_frequencies_are_radial():
    y, x = np.mgrid[:64, :64] + 0.5
    diagonal = np.cos(np.pi * 0.4375 * y) * np.cos(np.pi * 0.4375 * x)  # 0.62 of Nyquist
    assert np.abs(low_passed(diagonal, 0.5)).max() < 1e-12
    np.testing.assert_allclose(low_passed(diagonal, 0.75), diagonal, atol=1e-12)


def test_a_slope_keeps_its_ends_as_a_mirror_continues_it():
    slope = np.tile(np.linspace(0, 10, 50), (50, 1))
    assert np.abs(low_passed(slope, 0.5) - slope)[:, 3:-3].max() < 0.05
    assert np.abs(low_passed(slope, 0.5) - slope).max() < 0.2


def test_the_input_is_left_alone():
    values = RNG.normal(size=(9, 11)).astype(np.float32)
    before = values.copy()
    low_passed(values, 0.3)
    np.testing.assert_array_equal(values, before)


def test_smoother_templates_have_lower_automatic_cutoffs():
    noise, mask = RNG.normal(size=(24, 24, 24)), np.ones((24, 24, 24))
    cutoffs = [
        automatic_cutoff(ndimage.gaussian_filter(noise, std, mode="mirror"), mask) for std in (1.0, 2.0, 4.0)
    ]
    assert cutoffs == sorted(cutoffs, reverse=True)
    assert cutoffs[0] > 1.5 * cutoffs[1] > 2.25 * cutoffs[2]
    assert automatic_cutoff(noise, mask) is None


def test_the_automatic_cutoff_keeps_a_correlation_of_99_percent_under_the_mask():
    values = ndimage.gaussian_filter(RNG.normal(size=(48, 48)), 1.5)
    mask = np.hypot(*(np.mgrid[:48, :48] - 23.5)) < 20
    cutoff = automatic_cutoff(values, mask)
    kept, lower = (
        np.corrcoef(values[mask], low_passed(values, c)[mask])[0, 1] for c in (cutoff, cutoff - 0.05)
    )
    assert kept >= 0.99 > lower


def test_a_constant_template_has_no_cutoff():
    assert automatic_cutoff(np.ones((8, 8)), np.ones((8, 8))) is None
