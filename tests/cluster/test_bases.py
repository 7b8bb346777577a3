"""Bases in the store: how many a worker keeps in memory, and what it gives back."""

import numpy as np
import pytest

from scorefold.cluster import create_run, drive
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.match import bases
from scorefold.planning.memory import BASE_BYTES, HELD_BASES, REFINE_BYTES
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest


@pytest.fixture
def run(targets, tmp_path):
    """A search by the compressed engine whose bases are made, several partials of them."""
    *images, template = targets
    options = {"mask": "disk", "step": 3, "threshold": 0.6, "engine": "compressed", "cell_angle": 6}
    search = prepare_match(MatchRequest(targets=images[:1], template=template, fft="scipy", **options))
    run = create_run(str(tmp_path / "run"), search, keep_states=True)
    drive(run, SerialExecutor(), render=False)
    assert len(run.plan.compress_nodes()) >= 3
    return run


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


def test_a_run_keeps_all_kinds_of_bases_while_candidates_are_looked_at_and_drops_them_when_asked(run):
    assert run.memory_limit > BASE_BYTES + REFINE_BYTES + 8 * HELD_BASES
    with bases.keeping_bases(run):
        for of in (run.bases, run.finer_bases):
            read_all(of)
            assert of._most > HELD_BASES
        bases.drop_bases(run)
        assert not run.bases._held
        assert not run.finer_bases._held
    assert run.bases._most == run.finer_bases._most == HELD_BASES
