"""Bases in the store: how many a worker keeps in memory, and what it gives back."""

import numpy as np
import pytest

from scorefold.cluster import create_run, drive
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.match import bases
from scorefold.cluster.match.exact_maps import ExactMaps
from scorefold.cluster.match.refine_tasks import refine
from scorefold.planning.memory import BASE_BYTES, HELD_BASES
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.scoring.climbing import looking_bytes


@pytest.fixture
def a_run(targets, tmp_path):
    """Return finished searches by the compressed engine, whose bases are several partials."""

    def made(mask):
        *images, template = targets
        options = {"mask": mask, "step": 3, "threshold": 0.6, "engine": "compressed", "cell_angle": 6}
        search = prepare_match(MatchRequest(targets=images[:1], template=template, fft="scipy", **options))
        run = create_run(str(tmp_path / "run"), search, keep_states=True)
        drive(run, SerialExecutor(), render=False)
        assert len(run.plan.compress_nodes()) >= 3
        return run

    return made


@pytest.fixture
def run(a_run):
    return a_run("disk")


def read_all(of):
    return [of.of_model(cell) for cell in range(of._plan.cell_count)]


def reads(monkeypatch):
    """Return a list that gets the key of every partial that is read."""
    keys = []
    read = bases.StoredBases._read
    monkeypatch.setattr(
        bases.StoredBases, "_read", lambda of, key, *cells: keys.append(key) or read(of, key, *cells)
    )
    return keys


def test_as_many_bases_are_kept_as_there_is_memory_for(run, monkeypatch):
    keys = reads(monkeypatch)
    nodes = [node.key for node in run.plan.compress_nodes()]
    monkeypatch.setattr(bases, "HELD_BASES", 0)
    of = run.bases
    with of.keeping(2**30):
        expected = read_all(of)
        assert keys == nodes
        again = read_all(of)
        assert keys == nodes, "all are kept"
    assert len(of._held) == 1, "and given back, but for those that were used last"
    assert all(a is b for a, b in zip(expected, again, strict=True))
    keys.clear()
    with of.keeping(1):
        once_more = read_all(of)
    assert sorted(keys) == sorted(nodes)
    for a, b in zip(expected, once_more, strict=True):
        np.testing.assert_array_equal(a.vectors, b.vectors)
        np.testing.assert_array_equal(a.coefficients, b.coefficients)


@pytest.mark.parametrize("mask", ["disk", "none"])
def test_a_run_keeps_all_kinds_of_bases_while_candidates_are_looked_at_and_drops_them_when_asked(
    a_run, monkeypatch, mask
):
    run = a_run(mask)
    kinds = [run.bases, run.finer_bases, *([run.mask_bases] if mask == "none" else [])]
    rooms = []
    monkeypatch.setattr(bases, "room_for_bases", lambda room, count: rooms.append((room, count)) or 2**27)
    with bases.keeping_bases(run, run.plan.groups[0]):
        for of in kinds:
            read_all(of)
            assert of._most == 2**27
        bases.drop_bases(run)
        assert not any(of._held for of in kinds)
    assert all(of._most == HELD_BASES for of in kinds)
    assert {count for _, count in rooms} == {len(kinds)}
    (room,) = {room for room, _ in rooms}
    assert run.memory_limit - BASE_BYTES - 2**28 < room < run.memory_limit - BASE_BYTES
    assert room < run.memory_limit - BASE_BYTES - looking_bytes(run.filters)


def test_a_tile_with_too_many_candidates_is_scored_without_bases_in_memory(a_run, monkeypatch):
    run = a_run("disk")
    held = []
    found = ExactMaps.found

    def looked_at(of, *args):
        held.append([bool(one._held) for one in (run.bases, run.finer_bases)])
        return found(of, *args)

    monkeypatch.setattr(ExactMaps, "products", 0)
    monkeypatch.setattr(ExactMaps, "found", looked_at)
    (node,) = (run.plan.refine_node(batch, run.job.picks.digest) for batch in range(run.plan.batch_count))
    refine(run, node)
    assert held == [[False, False]]
