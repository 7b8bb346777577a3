"""A printed surface to be inspected: one photograph as the print, every image another shot of it, truth known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from scorefold.demo.inspection import (
    GOOD,
    InspectionScene,
    Planter,
    scratched,
    stained,
    write_image,
    written,
)
from scorefold.demo.photographs import photograph, write_png
from scorefold.testing.defects import wear_off

SURFACE = (slice(100, 356), slice(100, 356))
"""What of ``skimage.data.gravel()`` is the print."""

MARGIN = 8
"""Pixels around it that a shot may see instead."""

SHIFT = 1.0
"""Largest shift of a shot along each axis, in pixels."""

NOISE = 3.0

DEFECTS: Mapping[str, Planter] = {
    "scratch": scratched(),
    "stain": stained(radius=10, contrast=25),
    "particle": stained(radius=3.5, contrast=40, either=True),
    "worn": lambda image, rng: wear_off(image, rng, radius=rng.uniform(9, 13)),
}


def surface_scene(
    folder: Path, seed: int = 5, *, good: int = 60, sound: int = 24, defective: int = 6
) -> InspectionScene:
    """Write shots of a printed surface: good ones to learn from, and good and defective ones to inspect.

    The print is part of a photograph of gravel that scikit-image brings. Every shot shows a sheet of its own,
    shifted by fractions of a pixel, in its own light, focus and noise; the defects are in the sheets.

    Parameters
    ----------
    folder : Path
        Where the files are written.
    seed : int
        Of all that is random.
    good, sound, defective : int
        Number of good images to learn from, of good ones to inspect, and of images with each kind of defect.
    """
    rng = np.random.default_rng(seed)
    rows, columns = (slice(s.start - MARGIN, s.stop + MARGIN) for s in SURFACE)
    sheet = data.gravel()[rows, columns].astype(np.float64)  # type: ignore[no-untyped-call]
    nothing = np.zeros(sheet.shape, bool)
    for number in range(good):
        write_png(folder / "train" / GOOD / f"good-{number:03d}.png", _shot(rng, sheet, nothing)[0])
    for number in range(sound):
        write_image(folder, GOOD, number, *_shot(rng, sheet, nothing))
    for kind, plant in DEFECTS.items():
        for number in range(defective):
            changed = sheet.copy()
            mask = plant(changed, rng)
            write_image(folder, kind, number, *_shot(rng, changed, mask))
    return written(folder, {GOOD: "OK", **dict.fromkeys(DEFECTS, "NG")})


def _shot(
    rng: np.random.Generator, sheet: NDArray[Any], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a photograph of a sheet, and the mask as it is seen there."""
    shift = rng.uniform(-SHIFT, SHIFT, 2) + MARGIN
    size = tuple(n - 2 * MARGIN for n in reversed(sheet.shape))
    # Pixel (x, y) of the shot is the sheet at (x, y) + shift; OpenCV counts x first.
    matrix = np.array([[1.0, 0.0, shift[1]], [0.0, 1.0, shift[0]]])
    seen, seen_mask = (
        cv2.warpAffine(values, matrix, size, flags=flag | cv2.WARP_INVERSE_MAP)
        for values, flag in ((sheet, cv2.INTER_CUBIC), (mask.astype(np.float64), cv2.INTER_LINEAR))
    )
    return photograph(rng, seen, NOISE), np.asarray(seen_mask >= 0.5)
