"""From plan to work done: runs and their tasks, the driver loop, and the clusters it runs on."""

from scorefold.cluster.driver import Progress, drive, run_progress
from scorefold.cluster.executor import Executor
from scorefold.cluster.kinds import open_match, open_run
from scorefold.cluster.match.creation import change_picks, create_run
from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.run import Run, RunReference
from scorefold.cluster.session import executor

__all__ = [
    "Executor",
    "MatchRun",
    "Progress",
    "Run",
    "RunReference",
    "change_picks",
    "create_run",
    "drive",
    "executor",
    "open_match",
    "open_run",
    "run_progress",
]
