"""The engine is decided once, by what it costs here; profiles name what a rotation consists of."""

import dataclasses

import numpy as np
import pytest

from scorefold.errors import InputError
from scorefold.planning import engines, planner
from scorefold.planning.calibration import Calibration
from scorefold.planning.job import SearchOptions
from scorefold.planning.memory import BasisSize
from scorefold.planning.planner import make_plan, resolve_engine, search_template
from scorefold.planning.profile import profile_search
from scorefold.rotations import plane_rotations
from scorefold.scoring.fft import provider
from scorefold.scoring.masks import template_mask

ROTATIONS = plane_rotations(3)
VALUES = np.random.default_rng(0).normal(size=(15, 15))
SEARCH = SearchOptions(score="FLCSphericalMask", engine="compressed", tolerance=0.3)
TEMPLATE = search_template(VALUES, template_mask("disk", VALUES.shape), ROTATIONS, SEARCH)


def resolved(**changes):
    search = dataclasses.replace(SEARCH, **changes)
    return resolve_engine(search, [(90, 100)], TEMPLATE, ROTATIONS, 2**30)


@pytest.fixture
def cheapest(monkeypatch):
    """Pretend that cells of one angle are the fastest."""

    def pretend(angle, seconds=1e-9):
        monkeypatch.setattr(
            engines, "seconds_per_rotation", lambda search, a, *_: seconds * (1 + abs(a - angle))
        )

    return pretend


def test_exact_searches_have_no_cells():
    assert resolved(engine="exact") == dataclasses.replace(SEARCH, engine="exact", tolerance=None)


@pytest.mark.parametrize("angle", [12.0, 24.0, 48.0])
def test_the_fastest_cells_are_taken(cheapest, angle):
    cheapest(angle)
    assert resolved() == dataclasses.replace(SEARCH, cell_angle=angle)


def test_a_cell_angle_that_was_given_stays(cheapest):
    cheapest(12.0)
    assert resolved(cell_angle=33.0).cell_angle == 33


@pytest.mark.parametrize(("seconds", "engine"), [(1e-9, "compressed"), (1e3, "exact")])
def test_auto_takes_the_faster_engine(cheapest, seconds, engine):
    cheapest(24.0, seconds)
    assert resolved(engine="auto").engine == engine


def test_auto_takes_the_exact_engine_where_memory_is_short_for_bases(cheapest, monkeypatch):
    """What compressing takes is known exactly only when the cells are chosen."""
    cheapest(24.0)
    assert resolved(engine="auto").engine == "compressed"
    monkeypatch.setattr(planner, "basis_size", lambda *_: BasisSize(4, looking_bytes=2**30))
    assert resolved(engine="auto") == resolved(engine="exact")
    monkeypatch.setattr(planner, "basis_size", lambda *_: BasisSize(4, cell_bytes=2**30))
    assert resolved(engine="auto") == resolved(engine="exact")
    with pytest.raises(InputError, match=r"basis of the largest cell needs 2449 MiB.* or use --engine exact"):
        make_plan([(90, 100)], TEMPLATE, ROTATIONS, resolved(), memory_limit=2**30)


def test_the_fastest_cells_are_taken_that_can_be_used(cheapest, monkeypatch):
    cheapest(48.0)
    sizes = {48.0: BasisSize(4, looking_bytes=2**30), 24.0: BasisSize(4, cell_bytes=2**30)}
    monkeypatch.setattr(planner, "basis_size", lambda search, *_: sizes.get(search.cell_angle, BasisSize(4)))
    assert resolved().cell_angle == resolved(engine="auto").cell_angle == 12.0
    with pytest.raises(InputError, match="smaller --cell-angle"):
        resolved(cell_angle=24.0)
    sizes |= {12.0: sizes[24.0], 90.0: sizes[24.0]}
    with pytest.raises(InputError, match="smaller --cell-angle"):
        resolved()
    assert resolved(engine="auto").engine == "exact"


def test_cells_with_too_many_basis_templates_are_passed_over(monkeypatch):
    """Noise has as many as there are lines around its edge."""
    monkeypatch.setattr(engines, "CELL_SIZES", {2: (8, 180)})
    noise = dataclasses.replace(SEARCH, tolerance=0.02)
    rotations, shape = plane_rotations(0.5), (161, 161)
    values = np.random.default_rng(0).normal(size=shape)
    template = search_template(values, template_mask("disk", shape), rotations, noise)

    def resolved(angle=None):
        search = dataclasses.replace(noise, cell_angle=angle)
        return resolve_engine(search, [(190, 200)], template, rotations, 2**31)

    with pytest.raises(InputError, match="would have rank"):
        resolved(90.0)
    assert resolved().cell_angle == 4.0


def test_small_images_are_searched_by_bases_in_little_memory():
    search = dataclasses.replace(SEARCH, cell_angle=24.0)
    cost = make_plan([(90, 100)], TEMPLATE, ROTATIONS, search, memory_limit=450 * 2**20)[1]
    assert cost.worker_bytes <= 450 * 2**20


def test_an_unknown_engine_is_refused():
    with pytest.raises(InputError, match='engine "gpu": unknown'):
        resolved(engine="gpu")


def test_a_plan_of_cells_counts_cells():
    search = dataclasses.replace(SEARCH, cell_angle=30.0)
    plan, cost = make_plan(
        [(90, 100)],
        TEMPLATE,
        ROTATIONS,
        search,
        memory_limit=2**30,
        calibration=lambda _: Calibration(0.5, 2.0),
    )
    assert (plan.cell_count, plan.step_count, plan.rotation_count) == (12, 12, 120)
    assert sum(stop - first for first, stop in (n.rotations for n in plan.compress_nodes())) == 12
    # Cells, not rotations, take the time that was measured; bases come on top.
    assert 12 * 2.5 <= cost.seconds < 12 * 2.5 + 5


def test_a_compressed_plan_reckons_with_basis_maps():
    search = dataclasses.replace(SEARCH, cell_angle=30.0)
    options = {"memory_limit": 2**30, "calibration": lambda _: Calibration(0.5, 2.0)}
    exact = dataclasses.replace(SEARCH, engine="exact", tolerance=None)
    plain = make_plan([(900, 1000)], TEMPLATE, ROTATIONS, exact, **options)[1]
    compressed = make_plan([(900, 1000)], TEMPLATE, ROTATIONS, search, **options)[1]
    assert compressed.worker_bytes > plain.worker_bytes


@pytest.mark.parametrize("engine", ["exact", "compressed"])
def test_a_profile_adds_up(engine):
    search = resolved(engine=engine, cell_angle=30.0)
    found = profile_search(search, TEMPLATE, ROTATIONS, provider("scipy"), (96, 108))
    assert len(found.parts) == 4
    assert all(seconds >= 0 for seconds in found.parts.values())
    assert found.total == pytest.approx(sum(found.parts.values()))
    assert found.floor > 0
    assert found.to_json()["fft_shape"] == [96, 108]
