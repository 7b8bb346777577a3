"""Images are tried before a run is made: one that works is enough, none that does is a refusal."""

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.planning.image_costs import TRIED, plan_images, try_images
from scorefold.planning.images import list_images


@pytest.fixture
def entries(tmp_path):
    for number in range(30):
        np.save(tmp_path / f"i{number:02d}.npy", np.full((4, 5), number, np.uint8))
    return list_images([tmp_path])


def refuse_below(limit, seen):
    def work(image):
        seen.append(int(image[0, 0]))
        if image[0, 0] < limit:
            raise InputError(f"it is {image[0, 0]}.")

    return work


def test_one_image_that_works_is_enough(entries):
    seen = []
    assert try_images(entries, refuse_below(29, seen), "image") > 0
    assert seen[0] == 0
    assert seen[-2:] == [29, 29]  # all over the data set; once cold, once warm


def test_images_of_which_none_works_are_refused_with_the_first_reason(entries):
    seen = []
    with pytest.raises(InputError, match=r'^image "i00": it is 0\. Of 30, 10 were tried\.$'):
        try_images(entries, refuse_below(99, seen), "image")
    assert len(seen) == len(set(seen)) == TRIED
    with pytest.raises(InputError, match=r'^map "i07": it is 7\.$'):
        try_images(entries[7:8], refuse_below(99, seen), "map")


def test_files_that_vanish_meanwhile_are_reasons_too(entries, tmp_path):
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(InputError, match='image "i00": no such file'):
        try_images(entries, lambda _: None, "image")


def planned(entries, shapes, **changes):
    options = {
        "memory_limit": 2**30,
        "workers": 2,
        "seconds": 0.01,
        "state_bytes": 0,
        "itemsize": 2,
        **changes,
    }
    return plan_images(shapes, entries, **options)


def test_every_image_is_in_one_leaf_of_images_of_its_shape(entries):
    shapes = [(4, 5)] * 13 + [(6, 5)] * 17
    plan = planned(entries, shapes)
    ids = [image_id for leaf in range(plan.leaf_count) for image_id in plan.images_of(leaf)]
    assert ids == list(range(30))
    for leaf in range(plan.leaf_count):
        assert {shapes[image_id] for image_id in plan.images_of(leaf)} == {plan.group_of(leaf).shape}


def test_slow_images_make_short_leaves(entries):
    assert planned(entries, [(512, 512)] * 30, seconds=60.0, itemsize=4).leaf_count > 1
    with pytest.raises(InputError, match="Raise --memory-limit"):
        planned(entries, [(4, 5)] * 30, memory_limit=2**20)
