"""Brightness: the gain and offset that bring an image to the reference, whatever is wrong in part of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError

KEPT_PART = 0.75
"""Part of the pixels that the fit rests on while it looks for those that disagree."""

MOST_STEPS = 20
"""Concentration steps, each of which lowers the sum of the smallest squared residuals."""

SAMPLE = 1 << 13
"""About so many pixels decide which line is near; all of them then decide the line."""

LARGEST_RESIDUAL = 3.0
"""Pixels further from the line than so many robust standard deviations do not count in the last fit."""

_MAD_TO_DEVIATION = 1.4826
_FLAT = 1e-6


class GainOffset(NamedTuple):
    """A change of brightness, c ↦ gain · c + offset."""

    gain: float
    offset: float

    def apply(self, image: ArrayLike) -> NDArray[np.float32]:
        """Return ``gain * image + offset`` as float32.

        Examples
        --------
        >>> GainOffset(2.0, -1.0).apply([3, 4])
        array([5., 7.], dtype=float32)
        """
        result = np.asarray(image, np.float32) * np.float32(self.gain)
        result += np.float32(self.offset)
        return result


def fit_gain_offset(
    image: ArrayLike, reference: ArrayLike, valid: NDArray[np.bool_] | None = None
) -> GainOffset:
    r"""Find the brightness change that takes an image to its reference, μ ≈ α c + β.

    The image's deviations from the reference are taken to be in the image, so the line c = a μ + b is fitted by
    least trimmed squares (concentration steps of Rousseeuw & Van Driessen (2006), Data Min. Knowl. Discov. 12:29,
    from two starts), refined by least squares over all pixels that agree with it, and inverted. Up to a quarter
    of the pixels may show anything.

    Parameters
    ----------
    image, reference : array_like, shape (H, W)
        Grey levels c and μ.
    valid : ndarray of bool, shape (H, W), optional
        Pixels that count, by default all. Pixels that are not finite in both never do.

    Returns
    -------
    GainOffset
        α > 0 and β. Where image or reference is constant, or one falls where the other rises, no gain can be
        told: α is 1 and β the median difference, or 0 without a pixel.

    Raises
    ------
    InputError
        If shapes differ.

    Examples
    --------
    >>> reference = np.arange(12.0).reshape(3, 4)
    >>> image = reference / 2 + 30
    >>> image[0, 0] = 255  # a defect
    >>> fit = fit_gain_offset(image, reference)
    >>> round(fit.gain, 6), round(fit.offset, 6)
    (2.0, -60.0)
    """
    c, mu = np.asarray(image, np.float64), np.asarray(reference, np.float64)
    if c.shape != mu.shape or (valid is not None and valid.shape != c.shape):
        raise InputError(f"image of shape {c.shape}: the reference has {mu.shape}. Align the image first.")
    usable = np.isfinite(c) & np.isfinite(mu)
    if valid is not None:
        usable &= valid
    c, mu = c[usable], mu[usable]
    if not c.size:
        return GainOffset(1.0, 0.0)
    stride = -(-c.size // SAMPLE)
    sample, sample_mu = c[::stride], mu[::stride]
    shift = GainOffset(1.0, float(np.median(mu - c)))
    if _is_flat(sample) or _is_flat(sample_mu):
        return shift
    line = _trimmed_line(sample_mu, sample)
    limit = LARGEST_RESIDUAL * _MAD_TO_DEVIATION * float(np.median(_residuals(sample_mu, sample, line)))
    # Images of whole grey levels may lie on a line up to rounding, with a median residual of 0.
    agreeing = _residuals(mu, c, line) <= limit + 1e-9 * float(np.abs(sample).max())
    slope, intercept = _least_squares(mu[agreeing], c[agreeing])
    if not slope > _FLAT:
        return shift
    return GainOffset(1.0 / slope, -intercept / slope)


def _is_flat(values: NDArray[np.float64]) -> bool:
    return bool(np.ptp(values) <= _FLAT * max(np.abs(values).max(), np.finfo(np.float64).tiny))


def _trimmed_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return the line with the least sum of the smallest squared residuals that two starts lead to."""
    kept = max(int(np.ceil(KEPT_PART * x.size)), min(2, x.size))
    best, least = (0.0, 0.0), np.inf
    for slope, intercept in (_least_squares(x, y), _robust_start(x, y)):
        line, objective = (slope, intercept), np.inf
        for _ in range(MOST_STEPS):
            squares = _residuals(x, y, line) ** 2
            nearest = np.argpartition(squares, kept - 1)[:kept]
            lower = float(squares[nearest].sum())
            if not lower < objective * (1 - 1e-3):
                break
            objective = lower
            if objective < least:
                best, least = line, objective
            line = _least_squares(x[nearest], y[nearest])
    return best


def _residuals(
    x: NDArray[np.float64], y: NDArray[np.float64], line: tuple[float, float]
) -> NDArray[np.float64]:
    return np.abs(y - line[0] * x - line[1])


def _least_squares(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    centre_x, centre_y = float(x.mean()), float(y.mean())
    deviation = x - centre_x
    square = float(deviation @ deviation)
    slope = float(deviation @ (y - centre_y)) / square if square > 0 else 0.0
    return slope, centre_y - slope * centre_x


def _robust_start(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return the rising line that matches medians and quartile distances."""
    (x_low, x_middle, x_high), (y_low, y_middle, y_high) = (np.quantile(v, (0.25, 0.5, 0.75)) for v in (x, y))
    slope = float((y_high - y_low) / (x_high - x_low)) if x_high > x_low else 0.0
    return slope, float(y_middle - slope * x_middle)
