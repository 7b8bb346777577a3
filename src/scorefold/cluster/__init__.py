"""From plan to work done: runs and their tasks, the driver loop, and the clusters it runs on."""

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
from scorefold.cluster.profile import DASK_CONFIG
from scorefold.cluster.run import Run, RunReference, committed_file, repairable
from scorefold.cluster.session import executor
from scorefold.cluster.tls import TlsFiles

if TYPE_CHECKING:
    from scorefold.cluster.queued import queued_cluster
else:

    def __getattr__(name: str) -> Any:
        """Import what needs Dask when it is asked for: serial runs do without."""
        if name != "queued_cluster":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from scorefold.cluster.queued import queued_cluster  # noqa: PLC0415

        return queued_cluster


__all__ = [
    "DASK_CONFIG",
    "Executor",
    "InspectRun",
    "MatchRun",
    "Progress",
    "ResultMap",
    "Run",
    "RunReference",
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
]
