"""What a demonstration of an inspection consists of, and how its images are laid out in folders."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.demo.photographs import write_png
from scorefold.testing.defects import add_scratch, add_stain

Array = NDArray[Any]
Planter = Callable[[Array, np.random.Generator], NDArray[np.bool_]]

GOOD = "good"


@dataclass(frozen=True)
class InspectionScene:
    """Files of a demonstration and what is wrong in them, in the layout of the MVTec data sets.

    Attributes
    ----------
    good : Path
        Folder of good images to learn from.
    images : list of Path
        Folders of images to inspect, one for each kind of defect and one of good images.
    masks : Path
        Folder of masks in folders of the same names.
    template : Path or None
        Picture of the part, if it has to be located.
    verdicts : dict of str to str
        By folder: the right verdict on its images.
    """

    good: Path
    images: list[Path]
    masks: Path
    template: Path | None
    verdicts: dict[str, str]


def scratched(size: float = 1.0, contrast: float = 35.0) -> Planter:
    """Return what draws scratches that are brighter or darker by `contrast`, by chance."""

    def plant(image: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
        length = size * rng.uniform(25, 45)
        return add_scratch(image, rng, length=length, contrast=_either(rng, contrast))

    return plant


def stained(radius: float, contrast: float, *, either: bool = False) -> Planter:
    """Return what adds stains; dark ones, or by chance."""

    def plant(image: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
        change = _either(rng, contrast) if either else -contrast
        return add_stain(image, rng, radius=rng.uniform(0.8, 1.2) * radius, contrast=change)

    return plant


def _either(rng: np.random.Generator, value: float) -> float:
    return float(rng.choice((-value, value)))


def write_image(folder: Path, kind: str, number: int, image: Array, mask: NDArray[np.bool_] | None) -> None:
    """Write an image to inspect and, if something is wrong with it, its mask."""
    name = f"{kind}-{number:03d}"
    write_png(folder / "test" / kind / f"{name}.png", image)
    if mask is not None and mask.any():
        write_png(folder / "ground_truth" / kind / f"{name}_mask.png", 255 * mask)


def written(folder: Path, verdicts: dict[str, str], template: Path | None = None) -> InspectionScene:
    """Return the scene that was written into a folder."""
    images = [folder / "test" / kind for kind in verdicts]
    return InspectionScene(folder / "train" / GOOD, images, folder / "ground_truth", template, verdicts)
