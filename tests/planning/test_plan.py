"""The plan: leaves cover every tile and rotation once, trees are trees, and nothing large is ever listed."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.analyzer import Coverage
from scorefold.planning import plan as plan_module
from scorefold.planning.calibration import Calibration
from scorefold.planning.estimate import TARGET_SECONDS, estimate
from scorefold.planning.memory import MemoryModel
from scorefold.planning.node import FAN_IN, PRIORITY, STAGES
from scorefold.planning.plan import Plan, TileGroup
from scorefold.planning.tiling import Tiling
from scorefold.scoring.score import get_score


@st.composite
def plans(draw):
    """Draw plans of up to three groups of targets with up to 200 leaves per batch."""
    groups = []
    target_ids = draw(st.permutations(range(draw(st.integers(1, 7)))))
    cuts = {*draw(st.lists(st.integers(1, len(target_ids)), max_size=2)), len(target_ids)}
    rotation_count = draw(st.integers(1, 200))
    first = 0
    for index, stop in enumerate(sorted(cuts)):
        shape = (draw(st.integers(5, 20)), 10 + index)
        cell = tuple(draw(st.integers(3, n)) for n in shape)
        reach = draw(st.sampled_from([((0, 0), (0, 0)), ((1, 2), (2, 1))]))
        tiling = Tiling(shape, cell, reach, tuple(c + 2 for c in cell))
        ids = tuple(sorted(target_ids[first:stop]))
        groups.append(
            TileGroup(tiling, ids, draw(st.integers(1, 9)), draw(st.integers(1, max(1, rotation_count))))
        )
        first = stop
    cells = draw(st.none() | st.integers(1, rotation_count))
    wisdom, turns = draw(st.sampled_from(["", "wisdom"])), draw(st.sampled_from([1, 4]))
    return Plan((3, 3), rotation_count, tuple(groups), 2**30, wisdom, cells, turns, draw(st.booleans()))


@given(plan=plans())
@settings(deadline=None)
def test_leaves_cover_every_tile_and_rotation_exactly_once(plan):
    seen = set()
    for batch in range(plan.batch_count):
        tiles = plan.batch_tiles(batch)
        assert 1 <= len(tiles) <= plan.group_of(batch).batch_tiles
        leaves = [node for node in plan.search_nodes(batch) if node.stage == "score_leaf"]
        coverage = Coverage.empty("b")
        for leaf in leaves:
            assert leaf.batch == batch
            assert 0 < leaf.rotations[1] - leaf.rotations[0] <= plan.group_of(batch).rotation_block
            coverage = coverage.union(Coverage.of("b", *leaf.rotations))  # refuses an overlap
        assert coverage == Coverage.of("b", 0, plan.step_count)
        for target, tile in tiles:
            assert (target, tile) not in seen
            seen.add((target, tile))
    expected = {
        (target, tile) for group in plan.groups for target in group.targets for tile in group.tiling.tiles()
    }
    assert seen == expected


@given(plan=plans())
@settings(deadline=None)
def test_every_node_comes_after_its_inputs_and_is_used_once(plan):
    bases = {node.key for node in plan.compress_nodes()}
    for batch in range(plan.batch_count):
        nodes = plan.search_nodes(batch)
        done, used = set(), set()
        for node in nodes:
            assert node.key not in done, "keys are unique"
            partials = set(node.inputs) - bases
            assert partials <= done, "inputs come first"
            assert not used & partials, "a partial is merged once"
            assert len(partials) <= FAN_IN
            assert (node.stage == "merge") == (len(partials) > 0)
            if node.stage == "score_leaf" and bases:
                assert {plan.compress_node(cell).key for cell in range(*node.rotations)} == set(node.inputs)
            done.add(node.key)
            used |= partials
        assert done - used == {plan.root_key(batch)}, "one root"
        write = plan.write_node(batch)
        assert plan.is_direct(batch) == (plan.direct and len(nodes) == 1)
        if plan.is_direct(batch):
            assert write == nodes[0]
            assert set(write.inputs) == bases
        else:
            assert write.inputs[0] == plan.root_key(batch)
            assert set(write.inputs[1:]) == bases


@given(plan=plans())
@settings(deadline=None)
def test_counts_are_those_of_the_nodes(plan):
    nodes = [node for batch in range(plan.batch_count) for node in plan.search_nodes(batch)]
    assert plan.leaf_count == sum(node.stage == "score_leaf" for node in nodes)
    assert plan.merge_count == sum(node.stage == "merge" for node in nodes)
    assert plan.batch_count == sum(group.batch_count for group in plan.groups)
    assert plan.write_count == sum(not plan.is_direct(batch) for batch in range(plan.batch_count))


@given(plan=plans())
@settings(deadline=None)
def test_batches_of_a_target_are_those_that_hold_its_tiles(plan):
    batches = {}
    for batch in range(plan.batch_count):
        for target, _ in plan.batch_tiles(batch):
            batches.setdefault(target, set()).add(batch)
    for target, expected in batches.items():
        assert set(plan.batches_of(target)) == expected
    assert sorted(plan.target_order()) == sorted(batches)
    with pytest.raises(IndexError):
        plan.batches_of(len(batches))


@given(plan=plans(), render=st.booleans())
@settings(deadline=None)
def test_keys_are_unique_in_the_run_and_stages_in_order(plan, render):
    nodes = [node for batch in range(plan.batch_count) for node in plan.search_nodes(batch)]
    nodes += [plan.write_node(batch) for batch in range(plan.batch_count) if not plan.is_direct(batch)]
    nodes += plan.compress_nodes()
    targets = sorted(plan.target_order())
    for options in ("0a", "1b"):
        nodes += [plan.candidate_node(target, options) for target in targets]
        nodes += [plan.refine_node(batch, options) for batch in range(plan.batch_count)]
        nodes += [plan.pick_node(target, options) for target in targets]
        nodes += [plan.render_node(target, options) for target in targets]
        nodes.append(plan.report_node(options, render=render))
    by_key = {node.key: node for node in nodes}
    assert len(by_key) == len(nodes)
    for node in nodes:
        assert node.stage in STAGES["match"]
        for key in node.inputs:
            assert PRIORITY[by_key[key].stage] <= PRIORITY[node.stage]


@given(plan=plans())
def test_a_plan_survives_json(plan):
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_plan_of_a_million_leaves_is_arithmetic(monkeypatch):
    made = itertools.count()
    node = plan_module.Node

    def counted(*args, **kwargs):
        next(made)
        return node(*args, **kwargs)

    monkeypatch.setattr(plan_module, "Node", counted)
    tiling = Tiling((1000, 1000), (500, 500), ((0, 0), (0, 0)), (512, 512))
    plan = Plan((13, 13), 250_000, (TileGroup(tiling, tuple(range(1000)), 4, 250),), 2**31)
    assert plan.leaf_count == 1_000_000
    assert plan.batch_count == 1000
    assert len(json.dumps(plan.to_json())) < 20_000, "a plan's text grows with its targets, not its leaves"
    assert plan.batches_of(999) == range(999, 1000)
    assert [target for target, _ in plan.batch_tiles(500)] == [500] * 4
    assert next(made) == 0, "nothing was listed to count it"
    plan.search_nodes(500)
    assert next(made) <= 1000 + 125 + 16 + 2 + 1 + 2, "only the nodes of the batch asked for"


@given(plan=plans(), workers=st.integers(1, 20))
@settings(deadline=None)
def test_an_estimate_adds_up_what_the_plan_holds(plan, workers):
    memory = MemoryModel(plan.memory_limit, get_score("FLC"), 4, plan.box)
    calibrations = {group.tiling.fft_shape: Calibration(0.5, 0.25) for group in plan.groups}
    found = estimate(plan, memory, calibrations, workers)
    nodes = [node for batch in range(plan.batch_count) for node in plan.search_nodes(batch)]
    assert found.leaves == sum(node.stage == "score_leaf" for node in nodes)
    assert found.merges == sum(node.stage == "merge" for node in nodes)
    assert found.tiles == sum(len(plan.batch_tiles(batch)) for batch in range(plan.batch_count))
    assert found.targets == len(list(plan.target_order()))
    # Every node of the search writes the states of its batch, unless it writes maps: 8 bytes a position.
    written = sum(
        8 * tile.shape[0] * tile.shape[1]
        for node in nodes
        for _, tile in plan.batch_tiles(node.batch)
        if not plan.is_direct(node.batch)
    )
    assert found.partial_bytes == written
    work = sum(
        (node.rotations[1] - node.rotations[0]) * (0.5 + 0.25 * len(plan.batch_tiles(node.batch)))
        for node in nodes
    )
    assert found.seconds == pytest.approx((work + TARGET_SECONDS * found.targets) / workers)
    assert found.largest_rotation_block == max(group.rotation_block for group in plan.groups)
    assert json.loads(json.dumps(found.to_json()))["leaves"] == found.leaves
