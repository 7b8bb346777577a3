"""Our page in the Dask dashboard, and metrics: ``dask scheduler --preload scorefold.dashboard``.

On a cluster whose scheduler was started without it, the first run that connects brings the page along, if scorefold is
installed there.
"""

# mypy: allow-untyped-calls

from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from scorefold.dashboard.runs import Runs
from scorefold.events import TOPIC

if TYPE_CHECKING:
    from distributed import Scheduler

__all__ = ["LiveRuns", "Runs", "dask_setup"]


class LiveRuns(SchedulerPlugin):
    """Hears what runs tell, and shows it: as a page of the dashboard, and as metrics.

    Attributes
    ----------
    runs : Runs
        What is known of them.
    """

    name = "scorefold-live-runs"
    idempotent = True

    def __init__(self) -> None:
        self.runs = Runs()

    async def start(self, scheduler: "Scheduler") -> None:
        """Add the page and the metrics to a scheduler."""
        from scorefold.dashboard.metrics import add_metrics  # noqa: PLC0415 - imported where it is shown
        from scorefold.dashboard.page import add_page  # noqa: PLC0415

        add_page(self.runs, scheduler)
        add_metrics(self.runs)

    def log_event(self, topic: str, msg: Any) -> None:
        """Take in an event."""
        if topic == TOPIC and isinstance(msg, dict):
            self.runs.hear(msg)


def dask_setup(scheduler: "Scheduler") -> None:
    """Set a scheduler up that is started with this module as its preload."""
    scheduler.add_plugin(LiveRuns(), name=LiveRuns.name, idempotent=True)
