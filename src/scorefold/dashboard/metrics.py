"""Metrics of runs for Prometheus, on the ``/metrics`` of a scheduler that has prometheus_client."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scorefold.dashboard.runs import Runs
from scorefold.events import FINISHED, STOPPED, WORKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_collector: "RunCollector | None" = None


class RunCollector:
    """Collects what is known of runs.

    Parameters
    ----------
    runs : Runs
        The runs.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

    def collect(self) -> "Iterator[Metric]":
        """Yield the metrics; label ``run`` is the location of the run."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - an extra

        now = self.runs.clock()
        views = self.runs.views()
        states = Counter(view.state(now) for view in views)
        by_state = GaugeMetricFamily(
            "scorefold_runs", "Runs that the scheduler has heard of.", labels=["state"]
        )
        for state in (WORKING, FINISHED, STOPPED):
            by_state.add_metric([state], states[state])
        yield by_state
        tasks = GaugeMetricFamily(
            "scorefold_run_tasks", "Pieces of work of a run.", labels=["run", "stage", "state"]
        )
        failures = GaugeMetricFamily(
            "scorefold_run_failures", "Inputs of a run that failed, at most 1,000.", labels=["run"]
        )
        best = GaugeMetricFamily("scorefold_run_best_score", "Best score so far.", labels=["run"])
        images = GaugeMetricFamily("scorefold_run_images", "Inspected images.", labels=["run", "verdict"])
        rotations = CounterMetricFamily(
            "scorefold_rotations", "Pairs of a target and a rotation that were scored.", labels=["run"]
        )
        seconds = CounterMetricFamily(
            "scorefold_leaf_seconds", "Time of workers in finished leaves.", labels=["run", "stage"]
        )
        for view in views:
            run = view.location
            for stage, total in view.driver.total.items():
                tasks.add_metric([run, stage, "done"], view.driver.done.get(stage, 0))
                tasks.add_metric([run, stage, "total"], total)
            failures.add_metric([run], len(view.failures))
            if not math.isnan(view.best):
                best.add_metric([run], view.best)
            for verdict, count in view.verdicts.items():
                images.add_metric([run, verdict], count)
            rotations.add_metric([run], view.rotations)
            for stage, spent in view.seconds.items():
                seconds.add_metric([run, stage], spent)
        yield from (tasks, failures, best, images, rotations, seconds)


def add_metrics(runs: Runs) -> None:
    """Have runs collected in this process; nothing happens without prometheus_client.

    Parameters
    ----------
    runs : Runs
        The runs; they take the place of those of an earlier scheduler of this process.
    """
    global _collector  # noqa: PLW0603 - the registry is one of the process, too
    try:
        from prometheus_client import REGISTRY  # noqa: PLC0415 - an extra
    except ImportError:
        return
    if _collector is None:
        _collector = RunCollector(runs)
        registry: Any = REGISTRY
        registry.register(_collector)
    _collector.runs = runs
