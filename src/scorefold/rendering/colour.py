"""From values to colours: robust contrast for images, a perceptual map for scores, hatching for no data."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.rendering.picture import Colour, Picture

INK: Colour = (31, 35, 40)
FAINT_INK: Colour = (101, 109, 118)
ACCENT: Colour = (0, 92, 230)
CASING: Colour = (255, 255, 255)
LIGHT_ACCENT: Colour = (140, 210, 255)

SCORE_COLOUR_MAP = "inferno"
MAXIMUM_OPACITY = 0.92

GROUND_BRIGHTNESS = 0.5
"""An image under scores is darkened by this, so that the colours stand out."""

SCORE_GROUND: Colour = (64, 64, 64)
"""Mid-gray of a darkened image: the ground of the colour bar."""

_MAXIMUM_SAMPLES = 2_000_000


def contrast_limits(values: ArrayLike, low: float = 1.0, high: float = 99.0) -> tuple[float, float]:
    """Return the values to be drawn black and white.

    Percentiles of the finite values (of an evenly spaced sample beyond two million), so that a few hot
    pixels do not darken the picture; the extremes where the percentiles coincide.

    Parameters
    ----------
    values : array_like
        Any shape; NaN and infinities are ignored.
    low, high : float
        Percentiles, 0 to 100.

    Returns
    -------
    (float, float)
        Always increasing.

    Examples
    --------
    >>> contrast_limits(np.arange(101.0))
    (1.0, 99.0)
    """
    flat = np.ravel(np.asarray(values))
    sample = flat[:: flat.size // _MAXIMUM_SAMPLES + 1].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    black, white = np.percentile(sample, [low, high])
    if not black < white:
        black, white = sample.min(), sample.max()
    if not black < white:
        black, white = black - 0.5, white + 0.5
    return float(black), float(white)


def gray_picture(values: ArrayLike, limits: tuple[float, float]) -> Picture:
    """Return a 2D array in gray between `limits` (black, white); NaN is hatched."""
    array = np.asarray(values, dtype=np.float64)
    levels = 255 * _fraction(array, limits)
    picture = np.repeat(np.rint(levels).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    missing = np.isnan(array)
    if missing.any():
        picture[missing] = hatching(array.shape)[missing]
    return picture


def dimmed(picture: Picture) -> Picture:
    """Return a picture dark enough to be the ground of a score map."""
    return (GROUND_BRIGHTNESS * picture).astype(np.uint8)


def score_limits(scores: ArrayLike, threshold: float) -> tuple[float, float]:
    """Return the scores at the two ends of the colour bar; the threshold always lies between them."""
    array = np.asarray(scores)
    finite = array[np.isfinite(array)]
    if finite.size == 0:
        return min(0.0, threshold), max(1.0, threshold)
    low = min(float(np.percentile(finite, 1)), threshold)
    high = max(float(finite.max()), threshold)
    return (low, high) if low < high else (low, low + 1.0)


def score_picture(scores: ArrayLike, limits: tuple[float, float], ground: Picture | None = None) -> Picture:
    """Return scores in colour, over `ground` with an opacity that grows with the score.

    Parameters
    ----------
    scores : (H, W) array_like
        Scores; what is not finite takes the colour of the lowest score.
    limits : (float, float)
        Scores at the ends of the colour map.
    ground : (H, W, 3) uint8 array, optional
        Picture underneath, drawn as it is. Without it the colours are opaque.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    import matplotlib as mpl

    array = np.asarray(scores, dtype=np.float64)
    fraction = _fraction(np.where(np.isneginf(array), np.nan, array), limits)
    # Matplotlib's table has 256 rows; rows are looked up directly so that pictures need no Figure.
    table = mpl.colormaps[SCORE_COLOUR_MAP](np.arange(256))[:, :3] * 255
    colours: NDArray[np.float64] = table[np.rint(255 * fraction).astype(np.intp)]
    if ground is not None:
        # Noise well below the peaks stays a tint; the upper half of the range is nearly opaque.
        opacity = MAXIMUM_OPACITY * (1 - (1 - fraction) ** 2)[..., np.newaxis]
        colours = opacity * colours + (1 - opacity) * ground
    return np.rint(colours).astype(np.uint8)


def _fraction(values: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.float64]:
    """Return where values lie between the limits, 0 to 1; 0 for NaN."""
    low, high = limits
    return np.nan_to_num(np.clip((values - low) / (high - low), 0.0, 1.0), nan=0.0)


def hatching(shape: tuple[int, ...]) -> Picture:
    """Return diagonal stripes in two light grays, 4 pixels each: "there is no image here"."""
    rows, columns = np.indices(shape)
    stripe = (rows + columns) // 4 % 2
    return np.where(stripe[..., np.newaxis], np.uint8(226), np.uint8(198)).repeat(3, axis=2)
