"""Metrics: named as Prometheus wants them, with the values of the runs."""

import re
from pathlib import Path

import pytest

from scorefold.dashboard.metrics import RunCollector, add_metrics
from scorefold.dashboard.runs import SILENT_SECONDS, Runs
from scorefold.events import FINISHED, DriverEvent, LeafEvent, Preview

prometheus_client = pytest.importorskip("prometheus_client")


def preview(best):
    return Preview("a", best, (1, 1), (0, 0), (1, 1), b"\0\0\0\0")


@pytest.fixture
def runs():
    """A search that is silent, one that is at work, and an inspection that has ended."""
    seconds = [0.0]
    found = Runs(lambda: seconds[0])
    found.hear(DriverEvent('odd "name"\\\n', "one", "match").message())
    seconds[0] = SILENT_SECONDS + 1
    for event in (
        DriverEvent(
            "/search",
            "two",
            "match",
            done={"score_leaf": 3, "report": 0},
            total={"score_leaf": 5, "report": 1},
        ),
        LeafEvent("/search", "score_leaf", 1.5, 8, [preview(0.5)], failures={"b": "unreadable"}),
        LeafEvent("/search", "score_leaf", 2.0, 8, [preview(0.75)]),
        DriverEvent("/parts", "three", "inspect", state=FINISHED),
        LeafEvent("/parts", "score_images", 3.0),
        LeafEvent("/parts", "measure", 0.25, verdicts={"OK": 5, "NG": 2}),
        LeafEvent("/parts", "measure", 0.25, verdicts={"OK": 1}),
    ):
        found.hear(event.message())
    return found


@pytest.fixture
def families(runs):
    """The metrics as Prometheus reads them."""
    from prometheus_client.parser import text_string_to_metric_families

    registry = prometheus_client.CollectorRegistry()
    registry.register(RunCollector(runs))
    return list(text_string_to_metric_families(prometheus_client.generate_latest(registry).decode()))


def values(families):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_names_are_by_convention(families):
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    for family in families:
        assert re.fullmatch(r"scorefold_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith("."), family.name
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
            assert all(re.fullmatch("[a-z]+", label) for label in sample.labels)


def test_no_sample_is_there_twice(families):
    samples = [(s.name, tuple(sorted(s.labels.items()))) for family in families for s in family.samples]
    assert len(set(samples)) == len(samples) > 10


def test_values_are_those_of_the_runs(families):
    odd = 'odd "name"\\\n'
    assert values(families) == {
        ("scorefold_runs", "working"): 1,
        ("scorefold_runs", "finished"): 1,
        ("scorefold_runs", "stopped"): 1,
        ("scorefold_run_tasks", "/search", "score_leaf", "done"): 3,
        ("scorefold_run_tasks", "/search", "score_leaf", "total"): 5,
        ("scorefold_run_tasks", "/search", "report", "done"): 0,
        ("scorefold_run_tasks", "/search", "report", "total"): 1,
        ("scorefold_run_failures", "/search"): 1,
        ("scorefold_run_failures", "/parts"): 0,
        ("scorefold_run_failures", odd): 0,
        ("scorefold_run_best_score", "/search"): 0.75,
        ("scorefold_run_images", "/parts", "OK"): 6,
        ("scorefold_run_images", "/parts", "NG"): 2,
        ("scorefold_rotations_total", "/search"): 16,
        ("scorefold_rotations_total", "/parts"): 0,
        ("scorefold_rotations_total", odd): 0,
        ("scorefold_leaf_seconds_total", "/search", "score_leaf"): 3.5,
        ("scorefold_leaf_seconds_total", "/parts", "score_images"): 3,
        ("scorefold_leaf_seconds_total", "/parts", "measure"): 0.5,
    }


def test_the_runs_of_a_later_scheduler_of_the_process_take_the_place_of_those_before(runs):
    from prometheus_client import REGISTRY

    add_metrics(runs)
    assert REGISTRY.get_sample_value("scorefold_run_best_score", {"run": "/search"}) == 0.75
    add_metrics(Runs())
    assert REGISTRY.get_sample_value("scorefold_run_best_score", {"run": "/search"}) is None
    assert REGISTRY.get_sample_value("scorefold_runs", {"state": "working"}) == 0


def test_the_documentation_lists_them_all(runs):
    page = (Path(__file__).parents[2] / "docs/dashboard.md").read_text()
    found = re.findall(r"^\| `(scorefold_\w+)` \| (\w+) \| ([\w, ]+) \| (.*) \|$", page, re.MULTILINE)
    metrics = list(RunCollector(runs).collect())
    ending = {"counter": "_total", "gauge": ""}
    assert found == [
        (f"{m.name}{ending[m.type]}", m.type, ", ".join(m._labelnames), m.documentation) for m in metrics
    ]
