"""The scores that scorefold brings: CC, LCC, NCC, CAM, FLC (arbitrary and rotation-invariant mask) and MCC.

Notation: f target, g template, m template mask, N = Σ m, CC(f, g)[n] = Σ_u f(n + u) g(u). Local scores after
Roseman (2003), Ultramicroscopy 94:225; masked normalised cross-correlation after Padfield (2012), IEEE TIP
21:2706.
"""

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scorefold.scoring.correlator import Correlator, Precision
from scorefold.scoring.fft import Filter
from scorefold.scoring.kernels import local_weights, masked_correlation
from scorefold.scoring.score import LinearScore, LocalScore, Score, TargetTile, register_score
from scorefold.scoring.template import RotatedTemplate, Template

Array = NDArray[Any]
Terms = tuple[Array, Array | None]

LOST_OF_VARIANCE = 2e-5
"""Part of a local variance that rounding may change in single precision: twice the part of a score."""

ROUNDING_SAFETY = 4.0
"""How much more may be rounded under a turned mask than under the mask as it is given."""

MINIMUM_OVERLAP = 0.3
"""MCC is 0 where less of the template mask overlaps the target mask (Padfield's overlap ratio)."""


class _PlainTile(NamedTuple):
    """A tile of which a correlation needs nothing but one spectrum, and what its pixels were before standardising."""

    spectrum: Array
    std: float = 1.0
    mean: float = 0.0


class _PlainRotation(NamedTuple):
    """A rotated template of which a correlation needs nothing but one spectrum."""

    spectrum: Filter
    total: float = 0.0


def _centred(rotated: RotatedTemplate) -> tuple[NDArray[np.float64], float]:
    """Return g - mean, and the standard deviation, with both taken under the mask."""
    values, weights = rotated.values.ravel(), rotated.weights.ravel()
    total = float(weights.sum())
    centred = rotated.values - float(np.einsum("v,v->", values, weights)) / total
    flat = centred.ravel()
    return centred, math.sqrt(max(float(np.einsum("v,v,v->", flat, flat, weights)) / total, 0.0))


def _standardised(rotated: RotatedTemplate) -> NDArray[np.float64]:
    """Return (g - mean)/std · m with both taken under the mask m; zero for a constant template."""
    centred, std = _centred(rotated)
    if std == 0:
        return np.zeros_like(centred)
    centred *= rotated.weights
    centred /= std
    return centred


@register_score("CC")
class CrossCorrelation(Score):
    """Raw cross-correlation CC(f, g·m), in units of target × template."""

    def prepare_tile(self, tile: TargetTile, template: Template, correlator: Correlator) -> _PlainTile:  # noqa: ARG002, D102
        return _PlainTile(correlator.target_spectrum(tile.values), tile.std, tile.mean)

    def prepare_rotation(self, rotated: RotatedTemplate, correlator: Correlator) -> _PlainRotation:  # noqa: D102
        masked = rotated.values * rotated.weights
        return _PlainRotation(correlator.template_spectrum(masked), float(masked.sum()))

    def terms(self, tile: _PlainTile, rotation: _PlainRotation, correlator: Correlator) -> Terms:  # noqa: D102
        correlation = correlator.correlate(tile.spectrum, rotation.spectrum)
        # The target was standardised as (f - mean)/std; undo it: CC(f, g) = std·CC(f', g) + mean·Σg.
        correlation *= correlator.dtype.type(tile.std)
        correlation += correlator.dtype.type(tile.mean * rotation.total)
        return correlation, None


@register_score("LCC")
class LaplaceCrossCorrelation(CrossCorrelation):
    """Cross-correlation of the Laplacians of target and template, blind to slow changes of brightness."""

    margin: ClassVar[int] = 1

    def template_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Laplacian of the template (mirrored at its edges)."""
        result: NDArray[np.float64] = ndimage.laplace(values)
        return result

    def prepare_tile(self, tile: TargetTile, template: Template, correlator: Correlator) -> _PlainTile:  # noqa: ARG002, D102
        inner = tuple(slice(self.margin, -self.margin) for _ in range(tile.values.ndim))
        return _PlainTile(correlator.target_spectrum(ndimage.laplace(tile.values)[inner]), tile.std)


@register_score("NCC")
class NormalisedCrossCorrelation(LinearScore):
    """Globally standardised target with the template standardised under its mask, scaled to unit variance.

    score = CC((f - mean f)/std f, g') / sqrt(Σ g'²), whose variance is 1 on white noise.
    """

    def prepare_tile(self, tile: TargetTile, template: Template, correlator: Correlator) -> _PlainTile:  # noqa: ARG002, D102
        return _PlainTile(correlator.target_spectrum(tile.values))

    def filter_of(self, rotated: RotatedTemplate) -> NDArray[np.float64]:  # noqa: D102
        values = _standardised(rotated)
        return values / (math.sqrt(float((values**2).sum())) or 1.0)

    def prepare_filter(self, values: Array, correlator: Correlator) -> _PlainRotation:  # noqa: D102
        return _PlainRotation(correlator.template_spectrum(values))

    def terms(self, tile: _PlainTile, rotation: _PlainRotation, correlator: Correlator) -> Terms:  # noqa: D102
        return correlator.correlate(tile.spectrum, rotation.spectrum), None


class _Weighted(NamedTuple):
    """A tile whose local standard deviation no rotation changes."""

    spectrum: Array
    weights: Array


@register_score("FLCSphericalMask")
class FastLocalCorrelationSphericalMask(LinearScore):
    """Fast local correlation with a rotation-invariant mask: one local standard deviation for all rotations.

    score = CC(f, g') / (N · sqrt(CC(f², m)/N - (CC(f, m)/N)²)), g' = (R g - mean)/std · m under the mask m.
    Windows without variance score 0.
    """

    bounded: ClassVar[bool] = True
    invariant_mask: ClassVar[bool] = True
    spectra: ClassVar[tuple[str, ...]] = ("working",)
    tile_weights: ClassVar[bool] = True

    def prepare_tile(self, tile: TargetTile, template: Template, correlator: Correlator) -> _Weighted:  # noqa: D102
        mask = template.fixed_mask
        spectrum = correlator.template_spectrum(mask, "double")
        first, second = correlator.correlate_both(
            correlator.target_spectrum(tile.values, "double"),
            correlator.target_spectrum(tile.values**2, "double"),
            spectrum,
            "double",
        )
        weights = np.empty(correlator.valid_shape, correlator.dtype)
        local_weights(first, second, float(mask.sum()), weights)
        return _Weighted(correlator.target_spectrum(tile.values), weights)

    def filter_of(self, rotated: RotatedTemplate) -> NDArray[np.float64]:  # noqa: D102
        return _standardised(rotated)

    def prepare_filter(self, values: Array, correlator: Correlator) -> Filter:  # noqa: D102
        return correlator.template_spectrum(values)

    def terms(self, tile: _Weighted, rotation: Filter, correlator: Correlator) -> Terms:  # noqa: D102
        return correlator.correlate(tile.spectrum, rotation), tile.weights


@register_score("CAM")
class CorrelationAfterMeanShift(FastLocalCorrelationSphericalMask):
    """FLC with a rotation-invariant mask after target and template were standardised as wholes.

    The target is standardised for every score; the template here. FLC does not change under either, so CAM
    equals FLCSphericalMask up to rounding; it is kept because users of other packages look for it.
    """

    def template_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the template with mean 0 and standard deviation 1 over its box."""
        result: NDArray[np.float64] = (values - values.mean()) / values.std()
        return result


class _LocalTile(NamedTuple):
    """A tile, and the spectra of f and f² - `shift` in the precision that their moments need."""

    spectrum: Array
    first: Array
    second: Array
    precision: Precision
    shift: float
    weights: Array


class _LocalMask:
    """A mask, or a sum of masks, that is transformed in the precisions that tiles ask for."""

    def __init__(self, weights: Array, correlator: Correlator) -> None:
        self.total = float(weights.sum(dtype=np.float64))
        self._weights = weights
        self._correlator = correlator
        self._spectra: dict[Precision, Filter] = {}

    def spectrum(self, precision: Precision) -> Filter:
        """Return the spectrum of the mask."""
        if precision not in self._spectra:
            self._spectra[precision] = self._correlator.template_spectrum(self._weights, precision)
        return self._spectra[precision]


class _LocalRotation(NamedTuple):
    """A rotated template and its mask."""

    template: Filter
    mask: _LocalMask


@register_score("FLC")
class FastLocalCorrelation(LocalScore):
    """Fast local correlation with any mask, which turns with the template.

    score = CC(f, g') / (N · sqrt(CC(f², m)/N - (CC(f, m)/N)²)), g' = (R g - mean)/std · m with mean and
    standard deviation under the rotated mask m. Windows without variance score 0. Without a mask and at the
    identity this is the normalised cross-correlation coefficient of `skimage.feature.match_template`.

    The moments CC(f, m) and CC(f², m), whose difference loses digits, are taken in double precision, but for tiles in
    which they lose none that count: see `_moments_may_be_single`.
    """

    bounded: ClassVar[bool] = True
    spectra: ClassVar[tuple[str, ...]] = ("working", "double", "double")
    tile_weights: ClassVar[bool] = True

    def prepare_tile(self, tile: TargetTile, template: Template, correlator: Correlator) -> _LocalTile:  # noqa: D102
        spectrum = correlator.target_spectrum(tile.values)
        weights = np.empty(correlator.valid_shape, correlator.dtype)
        powers = tile.values, tile.values**2
        # The target was standardised: its squares are 1 on average, and the less there is to sum, the less is rounded.
        squares = correlator.target_spectrum(powers[1] - 1.0)
        first, second = (correlator.target_spectrum(power, "double") for power in powers)
        if _moments_may_be_single((spectrum, squares), (first, second), powers, template, correlator):
            return _LocalTile(spectrum, spectrum, squares, "working", 1.0, weights)
        return _LocalTile(spectrum, first, second, "double", 0.0, weights)

    def filter_of(self, rotated: RotatedTemplate) -> NDArray[np.float64]:  # noqa: D102
        return _standardised(rotated)

    def prepare_filter(self, values: Array, correlator: Correlator) -> Filter:  # noqa: D102
        return correlator.template_spectrum(values)

    def prepare_mask(self, weights: Array, correlator: Correlator) -> _LocalMask:  # noqa: D102
        return _LocalMask(weights, correlator)

    def prepare_rotation(self, rotated: RotatedTemplate, correlator: Correlator) -> _LocalRotation:  # noqa: D102
        filter_ = self.prepare_filter(self.filter_of(rotated), correlator)
        return _LocalRotation(filter_, self.prepare_mask(rotated.weights, correlator))

    def numerator(self, tile: _LocalTile, prepared: Filter, correlator: Correlator) -> Array:  # noqa: D102
        return correlator.correlate(tile.spectrum, prepared)

    def local_sums(  # noqa: D102
        self, tile: _LocalTile, prepared: _LocalMask, correlator: Correlator
    ) -> tuple[Array, Array]:
        first, second = _sums(tile, prepared, correlator)
        if tile.shift != 1.0:
            second -= (1.0 - tile.shift) * prepared.total
        return first, second

    def terms(self, tile: _LocalTile, rotation: _LocalRotation, correlator: Correlator) -> Terms:  # noqa: D102
        first, second = _sums(tile, rotation.mask, correlator)
        total = rotation.mask.total
        local_weights(first, second, total, tile.weights, offset=tile.shift * total)
        return self.numerator(tile, rotation.template, correlator), tile.weights


def _sums(tile: _LocalTile, mask: _LocalMask, correlator: Correlator) -> tuple[Array, Array]:
    """Return CC(f, m) and CC(f² - shift, m)."""
    return correlator.correlate_both(tile.first, tile.second, mask.spectrum(tile.precision), tile.precision)


def _moments_may_be_single(
    single: tuple[Array, Array],
    double: tuple[Array, Array],
    powers: tuple[Array, Array],
    template: Template,
    correlator: Correlator,
) -> bool:
    """Tell whether the variances of a tile under the turned mask keep their digits in working precision.

    A ball b that the mask holds with weights of w and more at every rotation, wherever, bounds them from below:
    N·var_m ≥ w·N_b·var_b. How much is rounded is measured under the mask as it is given, against double precision.

    Parameters
    ----------
    single, double : tuple of ndarray
        Spectra of f and f² - 1 in working precision; of f and f² in double precision.
    powers : tuple of ndarray
        f and f².
    template : Template
        Its mask is turned.
    correlator : Correlator
        Of the tile.
    """
    from scipy.signal import fftconvolve  # noqa: PLC0415 - takes half a second, which other scores do without

    ball, weight = template.core
    size, total = float(ball.sum()), float(template.mask.sum())
    if size < 2:
        return False
    mean, square = (fftconvolve(power, ball, mode="valid") / size for power in powers)
    lowest = float((square - mean**2).min()) * weight * size / total
    mask = template.rotated(np.eye(ball.ndim)).weights
    first, second = correlator.correlate_both(*double, correlator.template_spectrum(mask, "double"), "double")
    inside = tuple(slice(0, n - b + 1) for n, b in zip(powers[0].shape, correlator.box, strict=True))
    first, second = first[inside] / total, (second[inside] - mask.sum()) / total
    rounded = [
        np.abs(part[inside] / total - exact).max()
        for part, exact in zip(
            correlator.correlate_both(*single, correlator.template_spectrum(mask)),
            (first, second),
            strict=True,
        )
    ]
    highest_mean = max(np.abs(first).max(), np.abs(mean).max())
    changed = float(rounded[1] + 2 * highest_mean * rounded[0])
    return ROUNDING_SAFETY * changed <= LOST_OF_VARIANCE * lowest


class _MaskedTile(NamedTuple):
    mask: Array
    values: Array
    squares: Array


class _MaskedRotation(NamedTuple):
    mask: Filter
    values: Filter
    squares: Filter
    total: float


@register_score("MCC")
class MaskedCrossCorrelation(Score):
    """Normalised cross-correlation under both the template mask and the target mask (Padfield 2012).

    Means and standard deviations are taken over the overlap of the two masks at each position, so positions
    at the border of the target are scored too. Where the overlap is less than 0.3 of the template mask the
    score is 0. Scores are clipped to [-1, 1].
    """

    bounded: ClassVar[bool] = True
    partial_overlap: ClassVar[bool] = True
    spectra: ClassVar[tuple[str, ...]] = ("double", "double", "double")

    def prepare_tile(self, tile: TargetTile, template: Template, correlator: Correlator) -> _MaskedTile:  # noqa: ARG002, D102
        weights = np.ones_like(tile.values) if tile.weights is None else tile.weights
        values = tile.values * weights
        return _MaskedTile(
            correlator.target_spectrum(weights, "double"),
            correlator.target_spectrum(values, "double"),
            correlator.target_spectrum(values * tile.values, "double"),
        )

    def prepare_rotation(self, rotated: RotatedTemplate, correlator: Correlator) -> _MaskedRotation:  # noqa: D102
        centred, std = _centred(rotated)
        centred /= std or 1.0
        values = centred * rotated.weights
        return _MaskedRotation(
            correlator.template_spectrum(rotated.weights, "double"),
            correlator.template_spectrum(values, "double"),
            correlator.template_spectrum(values * centred, "double"),
            float(rotated.weights.sum()),
        )

    def terms(self, tile: _MaskedTile, rotation: _MaskedRotation, correlator: Correlator) -> Terms:  # noqa: D102
        def correlate(first: Array, second: Filter) -> Array:
            return correlator.correlate(first, second, "double").copy()

        scores = np.empty(correlator.valid_shape, correlator.dtype)
        masked_correlation(
            correlate(tile.mask, rotation.mask),
            correlate(tile.values, rotation.mask),
            correlate(tile.squares, rotation.mask),
            correlate(tile.mask, rotation.values),
            correlate(tile.mask, rotation.squares),
            correlate(tile.values, rotation.values),
            MINIMUM_OVERLAP * rotation.total,
            scores,
        )
        return scores, None
