"""Planted truth in the plane: turned copies of a coin on photographs are found, where and as they lie."""

import numpy as np
import pytest
from skimage import data

from scorefold import match
from scorefold.rotations import angle_to_matrix
from scorefold.scoring.masks import template_mask
from scorefold.testing.planting import Recovery, plant, recovery, scattered

COIN = (slice(169, 218), slice(188, 237))


def search(background: str, size: int, copies: int, noise: float) -> tuple[Recovery, float]:
    """Return the recovery, and the variance of the coin over that of the noise."""
    rng = np.random.default_rng(1)
    coin = data.coins()[COIN].astype(float)
    photograph = getattr(data, background)().astype(float)
    image = np.pad(photograph, [(0, size - n) for n in photograph.shape], mode="symmetric")
    mask = template_mask("disk", coin.shape, radius=22.5, soft_edge=1.5)
    positions = scattered(rng, image.shape, copies, distance=56, margin=30)
    rotations = angle_to_matrix(rng.uniform(0, 360, copies))
    plant(image, coin, mask, positions, rotations)
    noisy = np.clip(np.rint(image + rng.normal(scale=noise, size=image.shape)), 0, 255).astype(np.uint8)

    found = match(noisy, coin, mask="disk", mask_radius=22, step=3, render=False)
    picks = found.picks
    recovered = recovery(positions, rotations, picks[["y", "x"]], found.pick_rotations, tolerance=3)
    return recovered, coin[mask > 0.5].var() / noise**2


def check(found: Recovery) -> None:
    assert found.recall >= 0.99
    assert found.precision >= 0.99
    assert np.median(found.position_errors) <= 0.3
    assert np.median(found.angle_errors) <= 1.5  # half a step


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("background", "noise"), [("gravel", 15), ("grass", 30)])
def test_coins_are_found_on_a_photograph(background, noise):
    found, _ = search(background, 512, copies=12, noise=noise)
    check(found)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("background", ["gravel", "grass"])
def test_two_hundred_coins_are_found_on_a_large_photograph(background):
    found, ratio = search(background, 2048, copies=200, noise=30)
    print(f"{background}: variance ratio {ratio:.2f}, {found}")
    assert ratio < 1.2
    check(found)
