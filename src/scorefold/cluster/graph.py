"""Waves of work as Dask graphs: the only file that touches Dask's graph interfaces."""

# mypy: allow-untyped-calls

import contextlib
import queue
import time
import uuid
from collections.abc import Generator, Iterator, Sequence

from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from distributed import Client, Future
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from scorefold.cluster.executor import Outcome
from scorefold.cluster.run import RunReference
from scorefold.cluster.tasks import run_on_worker
from scorefold.errors import StoreError
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

    @property
    def workers(self) -> int:
        """Number of workers at the moment, at least 1; a worker does one task at a time."""
        return max(1, len(self.client.nthreads()))

    def run(self, run: RunReference, wave: Sequence[Node]) -> Generator[Outcome]:
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
                node = nodes[str(future.key)]
                if future.status == "finished":
                    yield Outcome(node)
                else:
                    # Dask hands the error of a task on to all that need it.
                    blamed = [by_key[key] for key in node.inputs if key in by_key]
                    # What a scheduler lost is not to blame for it, either.
                    collateral = future.status != "error" or any(f.status == "error" for f in blamed)
                    yield Outcome(node, _error_of(future), collateral, killed=_was_killed(future))
        finally:
            if self.client.status == "running":
                self.client.cancel([future for future in futures if not future.done()], force=True)
            for future in futures:
                future.release()  # cycles within Dask would keep it for a while

    def _completed(self, run: RunReference, futures: "Sequence[Future[None]]") -> "Iterator[Future[None]]":
        """Yield futures as they end; unlike Dask's own iterator, end when the scheduler is gone for good.

        What is handed to a client that has given up connecting, but is not closed yet, stays pending for ever.
        """
        completed: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        for future in futures:
            future.add_done_callback(completed.put)
        for _ in futures:
            watch = _Watch(self.client)
            while True:
                try:
                    yield completed.get(timeout=ALIVE_SECONDS)
                    break
                except queue.Empty:
                    if self.client.status in ("closing", "closed"):
                        raise _scheduler_gone(run) from None
                    if watch.idle() > IDLE_SECONDS:
                        raise StoreError(
                            f"no worker has been at work for {IDLE_SECONDS / 60:.0f} minutes. What is done is kept; "
                            f"start workers and go on with: scorefold resume {run.location}"
                        ) from None


class _Watch:
    """Tells for how long no worker was at work, from when it is made."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked = self._working = time.monotonic()

    def idle(self) -> float:
        """Return for how many seconds nobody was seen at work."""
        now = time.monotonic()
        if now - self._asked > WATCH_SECONDS:
            self._asked = now
            # A scheduler that does not answer is the client's concern, which tries to connect again.
            with contextlib.suppress(OSError, TimeoutError):
                if self._client.status == "running" and any(self._client.processing().values()):
                    self._working = now
        return now - self._working


def _error_of(future: "Future[None]") -> BaseException:
    """Return why a task failed; one that its scheduler forgot has no error of its own."""
    error = future.exception()
    if isinstance(error, KilledWorker):
        return RuntimeError("its workers died")
    return error or RuntimeError("the scheduler lost it")


def _was_killed(future: "Future[None]") -> bool:
    return isinstance(future.exception(), KilledWorker)


def _scheduler_gone(run: RunReference) -> StoreError:
    return StoreError(
        f"the Dask scheduler is gone. What is done is kept; go on with: scorefold resume {run.location}"
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
