"""The plan of an inspection: every image in one leaf, and numbering back and forth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorefold.planning.image_plan import ImageGroup, ImagePlan, merged

sizes = st.tuples(st.integers(1, 40), st.integers(1, 5), st.integers(1, 4))


@st.composite
def plans(draw):
    groups, first = [], 0
    for count, chunk_images, chunks in draw(st.lists(sizes, min_size=1, max_size=5)):
        groups.append(ImageGroup((3, 4), first, count, chunk_images, chunk_images * chunks))
        first += count
    return ImagePlan(tuple(groups), memory_limit=2**30)


@given(plans())
def test_every_image_is_in_one_leaf_of_its_group(plan):
    images = [image_id for leaf in range(plan.leaf_count) for image_id in plan.images_of(leaf)]
    assert images == list(range(plan.image_count))
    for leaf in range(plan.leaf_count):
        ids, group = plan.images_of(leaf), plan.group_of(leaf)
        assert group is plan.groups[plan.group_index(leaf)]
        assert group.first <= ids.start < ids.stop <= group.first + group.count
        assert (ids.start - group.first) % group.chunk_images == 0  # so that no two leaves write one chunk
        assert {plan.leaf_of(image_id) for image_id in ids} == {leaf}


@given(plans())
def test_a_plan_comes_back_from_json(plan):
    assert ImagePlan.from_json(plan.to_json()) == plan


@given(plans())
def test_leaves_have_keys_of_their_own_and_wait_for_their_images(plan):
    nodes = plan.leaves("measure-abc", after=("threshold",), each_after="score_images")
    assert len({node.key for node in nodes}) == len(nodes) == plan.leaf_count
    for leaf, node in enumerate(nodes):
        assert (node.stage, node.batch) == ("measure", leaf)
        assert node.inputs == ("threshold", f"score_images-{leaf:07d}")


@pytest.mark.parametrize("count", [1, 2, 8, 9, 70])
def test_all_leaves_are_merged_into_one(count):
    leaves = ImagePlan((ImageGroup((1, 1), 0, count, 1, 1),), 0).leaves("score")
    merges, root = merged("merge", leaves, "all")
    parts = {node.key: {node.key} for node in leaves}
    for node in merges:
        assert not node.inputs or all(key in parts for key in node.inputs)
        parts[node.key] = set().union(*(parts[key] for key in node.inputs))
    assert parts[root] == {node.key for node in leaves}
