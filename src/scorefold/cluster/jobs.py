"""The jobs of a cluster behind a batch system: submitted, and replaced when they end before the run does."""

import asyncio
import contextlib
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from distributed import Scheduler, Status
from distributed.diagnostics.plugin import SchedulerPlugin

from scorefold.cluster.run import one_line
from scorefold.errors import InputError, ScorefoldWarning, in_one_line

WATCH_SECONDS = 5.0
"""How often jobs are looked after."""

LOST_SECONDS = 60.0
"""After how long without its workers a job is replaced; a worker that has died is started again by its job before."""


class Jobs:
    """Keeps the number of a cluster's jobs.

    Dask's own adaptive scaling replaces neither jobs of several workers nor jobs that could not be submitted.

    Parameters
    ----------
    cluster : dask_jobqueue.JobQueueCluster
        The cluster, which has no jobs yet.
    kind : str
        What the cluster is called in messages.
    count : int
        Number of jobs.
    """

    def __init__(self, cluster: Any, kind: str, count: int) -> None:
        self._cluster = cluster
        self._kind = kind
        self._count = count
        self._names = 0
        self._arrivals = _Arrivals()
        self._seen: dict[str, float] = {}

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Submit the jobs, and replace those that are lost meanwhile.

        Raises
        ------
        InputError
            If the batch system refuses them.
        """
        self._cluster.scheduler.add_plugin(self._arrivals)
        try:
            self._cluster.sync(self._submit)
        except (OSError, RuntimeError, ValueError) as error:
            self._let_go(self._cluster.workers)
            raise refused(self._kind, error) from None
        watch = asyncio.run_coroutine_threadsafe(self._watch(), self._cluster.loop.asyncio_loop)
        try:
            yield
        finally:
            watch.cancel()
            self._let_go(self._cluster.workers)

    async def _submit(self) -> None:
        jobs = self._cluster.worker_spec
        while len(jobs) < self._count:
            # A job of a name that was taken before would be mistaken for the one that had it.
            jobs[f"scorefold-{self._names}"] = self._cluster.new_spec
            self._names += 1
        await self._cluster

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self._replace_lost()
            except Exception as error:  # noqa: BLE001 - a batch system that is out of order may be back soon
                warnings.warn(
                    f'cluster "{self._kind}": a job that ended is not replaced ({_reason(error)}). Tried again in '
                    f"{LOST_SECONDS:.0f} s; the run goes on with the jobs that there are.",
                    ScorefoldWarning,
                    stacklevel=2,
                )

    async def _replace_lost(self) -> None:
        now = time.monotonic()
        present = self._cluster.observed
        for name, job in self._cluster.workers.items():
            workers = {name + member for member in self._cluster.worker_spec[name].get("group", [""])}
            if workers & present:
                self._seen[name] = now
            elif job.job_id is None or workers & self._arrivals.names:
                # It was not submitted, or its workers came and went between two looks.
                self._seen.setdefault(name, now)
        lost = [name for name in self._cluster.workers if now - self._seen.get(name, now) > LOST_SECONDS]
        if lost:
            self._let_go(lost)
            await self._cluster.scale_down(lost)
            await self._submit()

    def _let_go(self, names: Iterable[str]) -> None:
        """Note that jobs are closed: Dask asserts it of all that somebody still holds, and dask-jobqueue forgets it."""
        for name in names:
            self._seen.pop(name, None)
            self._cluster.workers[name].status = Status.closed


class _Arrivals(SchedulerPlugin):
    """Remembers the names of all workers that ever came."""

    name = "scorefold-arrivals"

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self.names.add(str(scheduler.workers[worker].name))


def refused(kind: str, error: BaseException) -> InputError:
    """Return what to tell of a cluster that cannot be had as it is described."""
    return InputError(f'cluster "{kind}": {_reason(error)}. Correct its configuration.')


def _reason(error: BaseException) -> str:
    """Return what a command printed that failed, or else what the error says."""
    _, _, printed = str(error).rpartition("stderr:\n")
    return (in_one_line(printed, longest=300) or one_line(error)).removesuffix(".")
