"""A coin to be searched for in photographs: real pixels, coins laid into them, truth known."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from scorefold.demo.photographs import write_png
from scorefold.demo.scene import Scene
from scorefold.rotations import angle_to_matrix
from scorefold.scoring.masks import template_mask
from scorefold.testing.planting import plant, scattered

COIN = (slice(169, 218), slice(188, 237))
"""Where the coin that is searched for lies in ``skimage.data.coins()``."""

OTHER_COINS = ((slice(171, 220), slice(78, 127)), (slice(97, 146), slice(181, 230)))
"""Two other coins, which must not be mistaken for it."""

COIN_RADIUS = 22.5
COINS_PER_SCENE = 6
PHOTOGRAPH_ANGLE = 37.0


def coin_scene(folder: Path, seed: int = 7) -> Scene:
    """Write four photographs: one of coins, turned as a whole, and three surfaces with coins laid on them.

    All pixels come from photographs that scikit-image brings; the coins on the surfaces are cut out of the first
    photograph, turned by random angles and blended in. Noise of two grey levels is added.

    Parameters
    ----------
    folder : Path
        Where the files are written.
    seed : int
        Of the random positions and angles.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    photograph: NDArray[np.uint8] = data.coins()  # type: ignore[no-untyped-call]
    template = folder / "coin.png"
    write_png(template, photograph[COIN])
    truth = {}
    targets = []

    turned, centre, angle = _turned_photograph(photograph)
    targets.append(folder / "coins-turned.png")
    write_png(targets[-1], turned)
    truth["coins-turned"] = (centre[None], angle_to_matrix(np.array([angle])))

    mask = template_mask("disk", (49, 49), radius=COIN_RADIUS, soft_edge=1.5)
    for name in ("brick", "gravel", "grass"):
        image = getattr(data, name)().astype(np.float64)
        count = COINS_PER_SCENE + len(OTHER_COINS) * 2
        positions = scattered(rng, image.shape, count, distance=56, margin=30)
        rotations = angle_to_matrix(rng.uniform(0, 360, count))
        plant(image, photograph[COIN], mask, positions[:COINS_PER_SCENE], rotations[:COINS_PER_SCENE])
        for index, other in enumerate(OTHER_COINS * 2, start=COINS_PER_SCENE):
            plant(image, photograph[other], mask, positions[index : index + 1], rotations[index : index + 1])
        image += rng.normal(scale=2.0, size=image.shape)
        targets.append(folder / f"{name}.png")
        write_png(targets[-1], image)
        truth[name] = (positions[:COINS_PER_SCENE], rotations[:COINS_PER_SCENE])
    return Scene(targets, template, truth)


def _turned_photograph(photograph: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
    """Turn the photograph about its centre; return it with the position and angle of the coin in it."""
    height, width = photograph.shape
    centre = ((width - 1) / 2, (height - 1) / 2)
    # OpenCV takes (x, y) and positive angles counter-clockwise on screen.
    matrix = cv2.getRotationMatrix2D(centre, PHOTOGRAPH_ANGLE, 1.0)
    turned = cv2.warpAffine(
        photograph, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    middle = [(s.start + s.stop - 1) / 2 for s in COIN]
    x, y = matrix @ (middle[1], middle[0], 1.0)
    return np.asarray(turned, np.uint8), np.array([y, x]), PHOTOGRAPH_ANGLE
