"""From plan to work done: tasks, the driver loop, and the clusters it runs on."""

from scorefold.cluster.context import RunContext, RunReference, unreadable_targets
from scorefold.cluster.driver import Progress, drive, missing_nodes, needed_keys, run_progress, stage_totals
from scorefold.cluster.executor import Executor
from scorefold.cluster.render_tasks import failures
from scorefold.cluster.runs import change_picks, create_run, retry_failed
from scorefold.cluster.session import executor

__all__ = [
    "Executor",
    "Progress",
    "RunContext",
    "RunReference",
    "change_picks",
    "create_run",
    "drive",
    "executor",
    "failures",
    "missing_nodes",
    "needed_keys",
    "retry_failed",
    "run_progress",
    "stage_totals",
    "unreadable_targets",
]
