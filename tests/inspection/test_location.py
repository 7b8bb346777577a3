"""Location: planted parts are found to a fraction of pixel and degree, and what is not there is not found."""

import numpy as np
import pytest
from skimage import data

from scorefold.errors import InputError
from scorefold.inspection.location import Locator
from scorefold.inspection.pose import Pose
from scorefold.rotations import angle_to_matrix
from scorefold.scoring.masks import template_mask
from scorefold.testing.planting import plant

CAMERA = data.camera()[::2, ::2].astype(float)
COINS = data.coins()[20:260, 20:340].astype(float)
PAGE = data.page().astype(float)
PARTS = {
    "camera": (CAMERA[30:90, 90:170], None),
    "thin": (PAGE[60:84, 20:160], None),
    "disk": (COINS[15:96, 15:96], template_mask("disk", (81, 81)).astype(float)),
}
SHAPE = (240, 320)


def scene(rng, part, mask, centre, angle, noise=8.0):
    """Put a part on a picture that does not contain it, add noise, round to bytes."""
    padded = np.pad(CAMERA, ((0, 0), (0, 64)), mode="reflect")
    image = COINS.copy() if mask is None else padded[: SHAPE[0], : SHAPE[1]].copy()
    plant(image, part, np.ones(part.shape) if mask is None else mask, [centre], [angle_to_matrix(angle)])
    return np.clip(image + rng.normal(0, noise, SHAPE), 0, 255).round().astype(np.uint8)


def errors(pose, centre, angle):
    return np.hypot(*np.subtract(pose.centre, centre)), abs((pose.angle - angle + 180) % 360 - 180)


@pytest.mark.parametrize("name", PARTS)
def test_planted_parts_are_found_within_a_fifth_of_a_pixel_and_degree(name):
    part, mask = PARTS[name]
    rng = np.random.default_rng(4)
    locator = Locator(part, mask)
    for _ in range(4):
        centre, angle = rng.uniform((80, 80), (160, 240)), rng.uniform(0, 360)
        pose = locator.locate(scene(rng, part, mask, centre, angle))
        shift, turn = errors(pose, centre, angle)
        assert shift < 0.2
        assert turn < 0.2
        assert pose.score > 0.8


@pytest.mark.parametrize(
    "kind", ["another image", "noise", "constant", "nothing finite", "too small", "one pixel"]
)
def test_images_without_the_part_are_rejected(kind):
    rng = np.random.default_rng(5)
    image = {
        "another image": PAGE,
        "noise": rng.normal(100, 20, SHAPE),
        "constant": np.full(SHAPE, 7, np.uint8),
        "nothing finite": np.full(SHAPE, np.nan),
        "too small": PARTS["camera"][0][:30, :40],
        "one pixel": np.ones((1, 1)),
    }[kind]
    assert Locator(PARTS["camera"][0]).locate(image) is None


def test_the_minimum_score_decides_between_found_and_not_found():
    part = PARTS["camera"][0]
    image = scene(np.random.default_rng(6), part, None, (110.4, 150.2), 40.0, noise=60.0)
    pose = Locator(part, min_score=0.1).locate(image)
    assert errors(pose, (110.4, 150.2), 40.0)[0] < 1
    assert Locator(part, min_score=pose.score).locate(image) == pose
    assert Locator(part, min_score=pose.score + 1e-6).locate(image) is None


def test_a_defect_does_not_pull_at_the_pose():
    part = PARTS["camera"][0]
    rng = np.random.default_rng(7)
    damaged = part.copy()
    damaged[5:19, 8:24] = 255  # pulls by 0.4 pixels when all pixels count
    centre, angle = (118.3, 161.6), 251.0
    shift, turn = errors(Locator(part).locate(scene(rng, damaged, None, centre, angle)), centre, angle)
    assert shift < 0.2
    assert turn < 0.2


def test_other_light_does_not_matter():
    part = PARTS["camera"][0]
    image = scene(np.random.default_rng(8), part, None, (100.2, 140.7), 77.0).astype(float)
    darker = Locator(part).locate(0.4 * image + 1000)
    shift, turn = errors(darker, (100.2, 140.7), 77.0)
    assert shift < 0.2
    assert turn < 0.2


def test_a_part_that_is_nearly_symmetric_is_not_taken_for_its_half_turn():
    part = np.full((60, 80), 60.0)
    part[5:-5, 5:-5] = 180
    part[20:40, 30:50] = 60
    part[12:18, 12:18] = 60  # the only difference
    rng = np.random.default_rng(9)
    locator = Locator(part)
    for angle in (20.0, 200.0):
        pose = locator.locate(scene(rng, part, None, (120.0, 160.0), angle))
        assert errors(pose, (120.0, 160.0), angle)[1] < 0.2


def test_angles_stay_in_their_range():
    part = PARTS["camera"][0]
    rng = np.random.default_rng(10)
    image = scene(rng, part, None, (120.3, 160.6), 356.0)
    shift, turn = errors(Locator(part, angle_range=(-10, 10)).locate(image), (120.3, 160.6), 356.0)
    assert shift < 0.2
    assert turn < 0.2
    assert Locator(part, angle_range=(-2, 10), min_score=0.1).locate(image).angle == pytest.approx(358)
    upright = scene(rng, part, None, (120.3, 160.6), 0.0)
    fixed = Locator(part, angle_range=(0, 0)).locate(upright)
    assert fixed.angle == 0
    assert errors(fixed, (120.3, 160.6), 0.0)[0] < 0.2


def test_a_part_at_the_border_is_found_as_far_as_the_overlap_allows():
    part = PARTS["camera"][0]
    image = COINS.copy()
    plant(image, part, np.ones(part.shape), [(27.6, 120.0)], [np.eye(2)])  # four rows outside
    assert errors(Locator(part).locate(image), (27.6, 120.0), 0.0)[0] < 0.2
    assert Locator(part, min_overlap=0.99).locate(image) is None
    pose = Locator(part).locate(part)  # the image is the part
    assert errors(pose, (29.5, 39.5), 0.0) == pytest.approx((0, 0), abs=0.02)


def test_pixels_that_are_not_finite_are_left_out():
    part = PARTS["camera"][0]
    image = scene(np.random.default_rng(11), part, None, (120.0, 160.0), 5.0).astype(np.float32)
    image[115:120, 150:158] = np.nan
    assert errors(Locator(part).locate(image), (120.0, 160.0), 5.0)[0] < 0.2


def test_the_same_image_gives_the_same_pose_whatever_came_before():
    part = PARTS["camera"][0]
    image = scene(np.random.default_rng(12), part, None, (120.0, 160.0), 5.0)
    locator = Locator(part)
    first = locator.locate(image)
    locator.locate(image[:200, :250])
    assert locator.locate(image) == first == Locator(part).locate(image)
    assert isinstance(first, Pose)


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        (np.ones((20, 20)), {}, "constant"),
        (np.full((20, 20), np.nan), {}, "NaN"),
        (np.eye(20), {"mask": np.ones((3, 3))}, "template mask"),
        (np.eye(20), {"min_score": 0}, "minimum score 0"),
        (np.eye(20), {"min_overlap": 2}, "minimum overlap 2"),
        (np.eye(20), {"angle_step": -1}, "step"),
        (np.ones((2, 2, 2)), {}, "axes"),
    ],
)
def test_templates_and_parameters_that_cannot_be_used(template, options, message):
    with pytest.raises(InputError, match=message):
        Locator(template, **options)
