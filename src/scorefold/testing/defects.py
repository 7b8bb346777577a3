"""Planted defects: scratches, stains, worn texture and missing print in pictures, with the mask of each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special
from scipy.spatial import KDTree

from scorefold.errors import InputError

SOFTNESS = 1.0
"""How wide the edge of a patch is, in pixels."""

PAPER_REACH = 9
"""Print is told from paper by the brightest pixel within so many pixels across; strokes are thinner."""


def add_scratch(
    image: NDArray[Any],
    rng: np.random.Generator,
    *,
    length: float = 35.0,
    width: float = 1.0,
    contrast: float = 35.0,
) -> NDArray[np.bool_]:
    """Draw a slightly bent line with soft edges at a random place and angle, in place.

    Parameters
    ----------
    image : ndarray of float, shape (H, W)
        Changed in place.
    rng : numpy.random.Generator
        Source of the randomness.
    length : float
        Of the line in pixels.
    width : float
        Standard deviation of its cross-section in pixels.
    contrast : float
        Grey levels added in its middle; negative for a dark scratch.

    Returns
    -------
    ndarray of bool, shape (H, W)
        The defect's mask: where at least half of the contrast was added.

    Raises
    ------
    InputError
        If the image is not a floating-point image.

    Examples
    --------
    >>> image = np.full((64, 80), 120.0)
    >>> mask = add_scratch(image, np.random.default_rng(0), contrast=-30)
    >>> bool((image[mask] <= 105).all()), bool((image[~mask] > 105).all())
    (True, True)
    """
    _check(image)
    centre = _place(rng, image.shape)
    steps = np.linspace(-length / 2, length / 2, max(2, round(4 * length)))
    bend = rng.normal(scale=0.5 / max(length, 1.0))
    angles = rng.uniform(0, 2 * np.pi) + bend * steps
    points = np.cumsum(np.stack([np.sin(angles), np.cos(angles)], axis=1) * (steps[1] - steps[0]), axis=0)
    points += centre - points.mean(axis=0)
    pixels = np.indices(image.shape).reshape(2, -1).T
    distances, _ = KDTree(points).query(pixels, distance_upper_bound=6 * width)
    weights = np.exp(-0.5 * (distances / width) ** 2).reshape(image.shape)
    image += contrast * weights
    return np.asarray(weights >= 0.5)


def add_stain(
    image: NDArray[Any], rng: np.random.Generator, *, radius: float = 9.0, contrast: float = -25.0
) -> NDArray[np.bool_]:
    """Darken or brighten an irregular patch at a random place, in place; what is under it shows through.

    Parameters
    ----------
    image : ndarray of float, shape (H, W)
        Changed in place.
    rng : numpy.random.Generator
        Source of the randomness.
    radius : float
        Mean radius of the patch in pixels.
    contrast : float
        Grey levels added; negative for a dark stain.

    Returns
    -------
    ndarray of bool, shape (H, W)
        The defect's mask: where at least half of the contrast was added.

    Raises
    ------
    InputError
        If the image is not a floating-point image.
    """
    _check(image)
    weights = _patch(rng, image.shape, _place(rng, image.shape), radius)
    image += contrast * weights
    return np.asarray(weights >= 0.5)


def wear_off(
    image: NDArray[Any], rng: np.random.Generator, *, radius: float = 10.0, blur: float = 4.0
) -> NDArray[np.bool_]:
    """Rub the texture off an irregular patch at a random place, in place; the brightness stays about the same.

    Parameters
    ----------
    image : ndarray of float, shape (H, W)
        Changed in place.
    rng : numpy.random.Generator
        Source of the randomness.
    radius : float
        Mean radius of the patch in pixels.
    blur : float
        Standard deviation, in pixels, of the blur that is left of the texture.

    Returns
    -------
    ndarray of bool, shape (H, W)
        The defect's mask: where at least half of the texture is gone.

    Raises
    ------
    InputError
        If the image is not a floating-point image.
    """
    _check(image)
    weights = _patch(rng, image.shape, _place(rng, image.shape), radius)
    image += weights * (ndimage.gaussian_filter(image, blur) - image)
    return np.asarray(weights >= 0.5)


def lose_print(
    image: NDArray[Any], rng: np.random.Generator, *, radius: float = 7.0, contrast: float = 40.0
) -> NDArray[np.bool_]:
    """Take dark print off bright paper, in place, in an irregular patch around a random stroke.

    Parameters
    ----------
    image : ndarray of float, shape (H, W)
        Changed in place.
    rng : numpy.random.Generator
        Source of the randomness.
    radius : float
        Mean radius of the patch in pixels.
    contrast : float
        The patch lies around a pixel that is darker than the paper beside it by at least so many grey levels.

    Returns
    -------
    ndarray of bool, shape (H, W)
        The defect's mask: the strokes that are missing, where about half of the contrast or more is lost.

    Raises
    ------
    InputError
        If the image is not a floating-point image, or nothing in it is printed with that contrast.
    """
    _check(image)
    paper = ndimage.gaussian_filter(ndimage.grey_dilation(image, PAPER_REACH), PAPER_REACH / 2)
    printed = np.argwhere(paper - image >= contrast)
    if not len(printed):
        raise InputError(
            f"print: none is {contrast:g} grey levels darker than its paper. Lower the contrast."
        )
    weights = _patch(rng, image.shape, printed[rng.integers(len(printed))], radius)
    lost = weights * np.maximum(paper - image, 0.0)
    image += lost
    # Smoothed, so that neither noise nor the grain of the paper is part of the outline.
    return np.asarray(ndimage.gaussian_filter(lost, SOFTNESS) >= contrast / 2)


def _check(image: NDArray[Any]) -> None:
    if image.dtype.kind != "f" or image.ndim != 2:
        raise InputError(
            f"image of dtype {image.dtype} and shape {image.shape}: defects are planted in place and need a 2D "
            "image of a floating type."
        )


def _place(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a random position that is not near the border."""
    place: NDArray[np.float64] = rng.uniform(0.15, 0.85, 2) * (np.array(shape) - 1)
    return place


def _patch(
    rng: np.random.Generator, shape: tuple[int, ...], centre: NDArray[Any], radius: float
) -> NDArray[np.float64]:
    """Return weights that fall from 1 to 0 across an irregular outline."""
    y, x = np.indices(shape) - np.asarray(centre, np.float64)[:, None, None]
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    outline = np.full(shape, float(radius))
    for wave in range(1, 5):
        outline += radius * rng.normal(scale=0.2 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    weights: NDArray[np.float64] = special.expit((outline - distance) / SOFTNESS)
    return weights
