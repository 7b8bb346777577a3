"""Photographs of simulated scenes: what a camera adds to a picture, and files."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def photograph(rng: np.random.Generator, picture: NDArray[Any], noise: float) -> NDArray[np.uint8]:
    """Return a picture as a camera might see it: exposure, uneven light, focus and noise differ every time.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the randomness.
    picture : ndarray of float, shape (H, W)
        Grey levels from 0 to 255.
    noise : float
        Standard deviation of the noise in grey levels.
    """
    exposure, offset = rng.uniform(0.85, 1.1), rng.uniform(-8, 8)
    slopes = rng.uniform(-0.03, 0.03, 2)
    y, x = (np.linspace(-1, 1, n) for n in picture.shape)
    light = exposure * (1 + slopes[0] * y[:, None] + slopes[1] * x)
    focused = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.6), borderType=cv2.BORDER_REFLECT)
    seen = focused * light + offset + rng.normal(scale=noise, size=picture.shape)
    return _eight_bits(seen)


def write_png(path: Path, image: NDArray[Any]) -> None:
    """Write an image as 8-bit gray, in a folder that is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", _eight_bits(image))[1].tobytes())


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels
