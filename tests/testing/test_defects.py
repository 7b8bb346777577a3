"""Planted defects: where the mask says, as strong as asked for, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data

from scorefold.errors import InputError
from scorefold.testing.defects import add_scratch, add_stain, lose_print, wear_off

SEEDS = st.integers(0, 2**32 - 1)
CONTRASTS = st.floats(5, 80).flatmap(lambda value: st.sampled_from([value, -value]))


def flat() -> np.ndarray:
    return np.full((90, 110), 120.0)


@pytest.mark.parametrize("plant", [add_scratch, add_stain])
@given(seed=SEEDS, contrast=CONTRASTS)
def test_the_mask_is_where_at_least_half_of_the_contrast_was_added(plant, seed, contrast):
    image = flat()
    mask = plant(image, np.random.default_rng(seed), contrast=contrast)
    added = (image - 120.0) / contrast
    assert mask.dtype == bool
    assert mask.any()
    np.testing.assert_array_equal(mask, added >= 0.5)
    # A soft edge: never more than the contrast, and no darker where it should be brighter.
    assert added.min() >= -1e-9
    assert added.max() <= 1 + 1e-9


@given(seed=SEEDS, length=st.floats(10, 40), width=st.floats(0.7, 2))
def test_a_scratch_is_as_long_and_as_wide_as_asked_for(seed, length, width):
    image = np.zeros((160, 170))
    mask = add_scratch(image, np.random.default_rng(seed), length=length, width=width, contrast=1.0)
    y, x = np.nonzero(mask)
    # At an end half of the contrast reaches as far out as at the sides; a bend shortens the chord a little.
    reach = 2.355 * width
    assert np.hypot(np.ptp(y), np.ptp(x)) == pytest.approx(length + reach / 2, abs=reach + 0.1 * length + 1)
    # A bar with round ends; pixels at its rim count wholly or not at all, which along the grid is a whole row.
    assert mask.sum() == pytest.approx(length * reach + np.pi * reach**2 / 4, abs=0.75 * length + 10)
    assert ndimage.label(mask, np.ones((3, 3)))[1] == 1


@pytest.mark.parametrize("width", [0.7, 1.3, 2.0])
def test_scratches_cover_on_average_what_their_length_and_width_say(width):
    rng, length, reach = np.random.default_rng(4), 30.0, 2.355 * width
    masks = (
        add_scratch(np.zeros((160, 170)), rng, length=length, width=width, contrast=1.0) for _ in range(60)
    )
    covered = np.mean([mask.sum() for mask in masks])
    assert covered == pytest.approx(length * reach + np.pi * reach**2 / 4, rel=0.05)


@given(seed=SEEDS, radius=st.floats(3, 12))
def test_a_stain_has_about_the_area_of_its_radius(seed, radius):
    mask = add_stain(np.zeros((120, 120)), np.random.default_rng(seed), radius=radius, contrast=1.0)
    # The outline deviates from a circle by a fifth of the radius and more; 4 standard deviations of that.
    assert 0.3 < mask.sum() / (np.pi * radius**2) < 3


@given(seed=SEEDS)
def test_wear_takes_the_texture_and_leaves_the_brightness(seed):
    texture = np.random.default_rng(1).normal(120, 20, (100, 100))
    image = texture.copy()
    mask = wear_off(image, np.random.default_rng(seed), radius=12.0)
    inside = ndimage.binary_erosion(mask, iterations=4)
    assert image[inside].std() < 0.3 * texture[inside].std()
    assert image[inside].mean() == pytest.approx(texture[inside].mean(), abs=5)
    far = ndimage.distance_transform_edt(~mask) > 14
    np.testing.assert_allclose(image[far], texture[far], atol=1e-3)


@given(seed=SEEDS)
def test_lost_print_turns_to_paper_and_nothing_gets_darker(seed):
    page = data.page()[6:134, 4:196].astype(np.float64)
    image = page.copy()
    mask = lose_print(image, np.random.default_rng(seed))
    change = image - page
    assert change.min() >= 0
    assert change.max() >= 20
    assert mask.any()
    assert np.median(change[mask]) >= 20
    assert change[~ndimage.binary_dilation(mask, iterations=20)].max() < 20


@pytest.mark.parametrize("plant", [add_scratch, add_stain, wear_off, lose_print])
def test_the_same_seed_plants_the_same_defect_and_integers_are_refused(plant):
    page = data.page().astype(np.float64)
    first, second = page.copy(), page.copy()
    masks = [plant(image, np.random.default_rng(4)) for image in (first, second)]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(*masks)
    for wrong in (data.page(), np.zeros((3, 4, 5))):
        with pytest.raises(InputError, match="floating"):
            plant(wrong, np.random.default_rng(0))


def test_an_empty_sheet_has_no_print_to_lose():
    with pytest.raises(InputError, match="Lower the contrast"):
        lose_print(flat(), np.random.default_rng(0))
