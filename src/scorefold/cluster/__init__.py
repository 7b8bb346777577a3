"""From plan to work done: runs and their tasks, the driver loop, and the clusters it runs on."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scorefold.cluster.driver import Progress, drive, run_progress
from scorefold.cluster.executor import Executor
from scorefold.cluster.inspect.creation import (
    change_measure,
    change_truth,
    create_inspection,
    create_training,
)
from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.train_run import TrainRun
from scorefold.cluster.kinds import open_kind, open_match, open_run
from scorefold.cluster.match.creation import change_picks, create_run
from scorefold.cluster.match.result_map import ResultMap
from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.pace import TimeLeft
from scorefold.cluster.profile import DASK_CONFIG
from scorefold.cluster.run import Run, RunReference, committed_file, repairable
from scorefold.cluster.session import Queue, executor
from scorefold.cluster.submission import PlannedRun, submit_run
from scorefold.cluster.tls import TlsFiles

if TYPE_CHECKING:
    from scorefold.cluster.driver_job import submit_driver
    from scorefold.cluster.queued import queued_cluster
else:
    _MODULE_OF = {"queued_cluster": "queued", "submit_driver": "driver_job"}

    def __getattr__(name: str) -> Any:
        """Import what needs Dask when it is asked for: serial runs do without."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"scorefold.cluster.{_MODULE_OF[name]}"), name)


__all__ = [
    "DASK_CONFIG",
    "Executor",
    "InspectRun",
    "MatchRun",
    "PlannedRun",
    "Progress",
    "Queue",
    "ResultMap",
    "Run",
    "RunReference",
    "TimeLeft",
    "TlsFiles",
    "TrainRun",
    "change_measure",
    "change_picks",
    "change_truth",
    "committed_file",
    "create_inspection",
    "create_run",
    "create_training",
    "drive",
    "executor",
    "open_kind",
    "open_match",
    "open_run",
    "queued_cluster",
    "repairable",
    "run_progress",
    "submit_driver",
    "submit_run",
]
