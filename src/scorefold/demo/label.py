"""A printed label to be located and inspected: at any angle and position, on real surfaces, truth known."""

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
from scorefold.rotations import angle_to_matrix
from scorefold.testing.defects import lose_print
from scorefold.testing.planting import plant

LABEL = (slice(6, 134), slice(4, 196))
"""What of ``skimage.data.page()`` is the label."""

OTHER_LABEL = (slice(60, 188), slice(180, 372))
"""Another part of that page, which must not be mistaken for it."""

SCENE = (288, 336)
"""Height and width of the images."""

GROUNDS = ("grass", "gravel", "brick")
"""Photographs on which the label lies."""

NOISE = 2.5

DEFECTS: Mapping[str, Planter] = {
    "scratch": scratched(size=0.9, contrast=30),
    "stain": stained(radius=9, contrast=20),
    "particle": stained(radius=3, contrast=40, either=True),
    "missing-print": lose_print,
}


def label_scene(
    folder: Path, seed: int = 3, *, good: int = 24, sound: int = 16, defective: int = 4
) -> InspectionScene:
    """Write photographs of a label that lies anywhere, turned by any angle: good ones, defective ones, none at all.

    The label is part of a photograph of a printed page that scikit-image brings, the ground is part of one of three
    others. Two more kinds of images do not show the label: the bare ground, and another label.

    Parameters
    ----------
    folder : Path
        Where the files are written.
    seed : int
        Of all that is random.
    good, sound, defective : int
        Number of good images to learn from, of good ones to inspect, and of images of each other kind.
    """
    rng = np.random.default_rng(seed)
    page = data.page().astype(np.float64)  # type: ignore[no-untyped-call]
    label, other = page[LABEL], page[OTHER_LABEL]
    template = folder / "label.png"
    write_png(template, photograph(rng, label, NOISE))
    for number in range(good):
        write_png(folder / "train" / GOOD / f"good-{number:03d}.png", _scene(rng, label)[0])
    for number in range(sound):
        write_image(folder, GOOD, number, *_scene(rng, label))
    for kind, spoil in DEFECTS.items():
        for number in range(defective):
            changed = label.copy()
            mask = spoil(changed, rng)
            write_image(folder, kind, number, *_scene(rng, changed, mask))
    for kind, part in (("other-label", other), ("no-label", None)):
        for number in range(defective):
            write_image(folder, kind, number, *_scene(rng, part))
    verdicts = {
        GOOD: "OK",
        **dict.fromkeys(DEFECTS, "NG"),
        "other-label": "NOT_FOUND",
        "no-label": "NOT_FOUND",
    }
    return written(folder, verdicts, template)


def _scene(
    rng: np.random.Generator, part: NDArray[Any] | None, mask: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a photograph of a part on some ground, and the mask as it lies there."""
    ground = getattr(data, GROUNDS[rng.integers(len(GROUNDS))])()
    top, left = (rng.integers(n - m) for n, m in zip(ground.shape, SCENE, strict=True))
    picture = ground[top : top + SCENE[0], left : left + SCENE[1]].astype(np.float64)
    seen = np.zeros(SCENE)
    if part is not None:
        rotation = angle_to_matrix(rng.uniform(0, 360))
        # Half of the extent of the turned label: it lies wholly in the image.
        reach = np.abs(rotation) @ np.array(part.shape) / 2 + 2
        position = rng.uniform(reach, np.array(SCENE) - 1 - reach)
        paper = np.pad(np.ones(np.array(part.shape) - 4), 2)
        plant(picture, part, cv2.GaussianBlur(paper, (0, 0), 0.7), [position], [rotation])
        if mask is not None:
            plant(seen, mask, np.ones(part.shape), [position], [rotation])
    return photograph(rng, picture, NOISE), np.asarray(seen >= 0.5)
