"""Waves of work as Dask graphs: the only file that touches Dask's graph interfaces."""

# mypy: allow-untyped-calls

import asyncio
import contextlib
import queue
import sys
import time
import uuid
from collections.abc import Awaitable, Generator, Iterator, Sequence
from typing import Any

from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.utils import key_split
from distributed import Client, Future
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from scorefold.cluster.executor import Outcome
from scorefold.cluster.run import RunReference
from scorefold.cluster.tasks import run_on_worker
from scorefold.errors import StoreError, resume_command
from scorefold.events import TOPIC
from scorefold.planning.node import PRIORITY, Node

try:
    from dask.task_spec import Task, TaskRef
except ImportError:  # before it was made public
    from dask._task_spec import Task, TaskRef

RETRIES = 2
"""How often Dask itself runs a task again that raised an error, before the driver hears of it."""

ALIVE_SECONDS = 1.0
"""How often a driver that hears nothing looks whether the scheduler is still there."""

WATCH_SECONDS = 10.0
"""How often it asks whether any worker is at work."""

CANCEL_SECONDS = 5.0
"""How long a scheduler may take to cancel work that is given up."""

IDLE_SECONDS = 600.0
"""After how long without a worker at work it gives up; workers that are lost are started again before."""


class DaskExecutor:
    """Runs waves on a Dask cluster; what travels is keys and small descriptions, never arrays.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster; it is not closed here.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._telling: Any = None

    @property
    def workers(self) -> int:
        """Number of workers that there are, or that jobs will bring, at least 1; a worker does one task at a time."""
        queued = _queued_cluster(self.client)
        return max(1, len(self.client.nthreads()), 0 if queued is None else len(queued.plan))

    @property
    def has_workers(self) -> bool:
        """Whether any of the jobs that bring workers has begun; of other clusters that is taken for granted."""
        queued = _queued_cluster(self.client)
        return queued is None or bool(queued.observed)

    def tell(self, message: dict[str, Any], *, last: bool = False) -> None:
        """Log an event with the scheduler; one that has not taken in the last one is spared the next."""
        busy = self._telling is not None and not self._telling.done()
        if self.client.status != "running" or (busy and not last):
            return
        client: Any = self.client
        said = client.scheduler.log_event(topic=TOPIC, msg=message)
        self._telling = asyncio.run_coroutine_threadsafe(_quietly(said), client.loop.asyncio_loop)
        if last:
            with contextlib.suppress(TimeoutError):  # a scheduler that hangs
                self._telling.result(CANCEL_SECONDS)

    def run(self, run: RunReference, wave: Sequence[Node]) -> Generator[Outcome | None]:
        """Submit the wave as one graph and yield outcomes as they come; see `Executor.run`.

        Raises
        ------
        StoreError
            If the scheduler is gone for good.
        """
        # Dask takes an equal key for equal work and hands out the old answer as long as anybody holds it.
        token = f"{run.fingerprint[:16]}-{uuid.uuid4().hex[:12]}"
        nodes = {_task_key(node.key, token): node for node in wave}
        graph = wave_graph(run, wave, token)
        try:
            futures = self.client.get(graph, list(nodes), sync=False)
        except ClosedClientError:
            raise _scheduler_gone(run) from None
        by_key = {nodes[str(future.key)].key: future for future in futures}
        try:
            for future in self._completed(run, futures):
                if future is None:
                    yield None
                    continue
                node = nodes[str(future.key)]
                if future.status == "finished":
                    # What is committed need not be done again when its worker is lost.
                    future.release()
                    yield Outcome(node)
                    continue
                # What a scheduler lost has no error of its own, and would be waited for; it is not to blame, either.
                error = future.exception() if future.status == "error" else None
                # Dask hands the error of a task on to all that need it.
                blamed = [by_key[key] for key in node.inputs if key in by_key]
                collateral = error is None or any(f.status == "error" for f in blamed)
                killed = isinstance(error, KilledWorker)
                if killed or error is None:
                    error = RuntimeError("its workers died" if killed else "the scheduler lost it")
                yield Outcome(node, error, collateral, killed=killed)
        finally:
            if self.client.status == "running":
                unfinished = [future for future in futures if not future.done()]
                with contextlib.suppress(TimeoutError):  # a scheduler that hangs
                    self.client.sync(
                        self.client._cancel,  # noqa: SLF001 - the public way has no time-out
                        unfinished,
                        force=True,
                        callback_timeout=CANCEL_SECONDS,
                    )
            for future in futures:
                future.release()  # cycles within Dask would keep it for a while

    def _completed(
        self, run: RunReference, futures: "Sequence[Future[None]]"
    ) -> "Iterator[Future[None] | None]":
        """Yield futures as they end, and None while none does; end when the scheduler is gone for good.

        What is handed to a client that has given up connecting, but is not closed yet, stays pending for ever.
        """
        completed: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        for future in futures:
            future.add_done_callback(completed.put)
        watch = _Watch(self.client)
        for _ in futures:
            while True:
                try:
                    yield completed.get(timeout=ALIVE_SECONDS)
                    watch.seen()
                    break
                except queue.Empty:
                    if self.client.status in ("closing", "closed"):
                        raise _scheduler_gone(run) from None
                    if watch.idle() > IDLE_SECONDS:
                        raise StoreError(
                            f"no worker has been at work for {IDLE_SECONDS / 60:.0f} minutes. What is done is kept; "
                            f"start workers and go on with: {resume_command(run.location)}"
                        ) from None
                    yield None


async def _quietly(said: Awaitable[object]) -> None:
    """Wait for what nobody misses."""
    with contextlib.suppress(Exception):
        await said


class _Watch:
    """Tells for how long no worker was at work on tasks of ours, from when it is made."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked = self._working = time.monotonic()

    def seen(self) -> None:
        """Note that a task has ended."""
        self._asked = self._working = time.monotonic()

    def idle(self) -> float:
        """Return for how many seconds nobody was seen at work."""
        now = time.monotonic()
        if now - self._asked > WATCH_SECONDS:
            self._asked = now
            # A connection that is lost is the client's concern, which tries again.
            with contextlib.suppress(OSError, TimeoutError):
                if self._client.status == "running" and self._is_processed():
                    self._working = now
        return now - self._working

    def _is_processed(self) -> bool:
        """Ask the scheduler, which may hang; who has no workers yet, since their jobs queue, is not idle.

        Work of other runs counts, which ours waits for; drivers, which are tasks as well, do not.
        """
        scheduler: Any = self._client.scheduler
        processed = self._client.sync(scheduler.processing, workers=None, callback_timeout=WATCH_SECONDS)
        if not processed:
            return _queued_cluster(self._client) is not None
        return any(key_split(key) in PRIORITY for keys in processed.values() for key in keys)


def _queued_cluster(client: Client) -> Any:
    """Return the cluster of a client if its workers are jobs, which a batch system starts when it can, else None."""
    jobqueue = sys.modules.get("dask_jobqueue")
    is_queued = jobqueue is not None and isinstance(client.cluster, jobqueue.JobQueueCluster)
    return client.cluster if is_queued else None


def _scheduler_gone(run: RunReference) -> StoreError:
    return StoreError(
        f"the Dask scheduler is gone. What is done is kept; go on with: {resume_command(run.location)}"
    )


def wave_graph(run: RunReference, wave: Sequence[Node], token: str) -> HighLevelGraph:
    """Return one layer per stage, annotated with its retries and priority.

    Parameters
    ----------
    run : RunReference
        The run.
    wave : sequence of Node
        Work; inputs that are not part of the wave are committed already.
    token : str
        What no other wave on the cluster has, for the keys.
    """
    keys = {node.key for node in wave}
    stages: dict[str, dict[str, Task]] = {}
    depends: dict[str, set[str]] = {}
    stage_of = {node.key: node.stage for node in wave}
    for node in wave:
        inputs = [key for key in node.inputs if key in keys]
        task_key = _task_key(node.key, token)
        references = [TaskRef(_task_key(key, token)) for key in inputs]
        stages.setdefault(node.stage, {})[task_key] = Task(task_key, run_on_worker, run, node, *references)
        depends.setdefault(node.stage, set()).update(stage_of[key] for key in inputs)
    # A merge depends on other merges: one stage must not depend on itself between layers.
    layers = {
        stage: MaterializedLayer(tasks, annotations={"retries": RETRIES, "priority": PRIORITY[stage]})
        for stage, tasks in stages.items()
    }
    return HighLevelGraph(layers, {stage: depends[stage] - {stage} for stage in layers})


def _task_key(key: str, token: str) -> str:
    """Return the Dask key: the stage is its prefix, by which Dask's dashboard groups tasks."""
    stage, rest = key.split("-", 1)
    return f"{stage}-{token}-{rest}"
