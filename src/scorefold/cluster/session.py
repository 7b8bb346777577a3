"""Where a run's work is done: here, on an embedded cluster, on a scheduler, in jobs, with a client."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scorefold.cluster.executor import Executor, SerialExecutor
from scorefold.cluster.tls import OPTIONS, TlsFiles
from scorefold.errors import InputError


@dataclass(frozen=True)
class Queue:
    """Workers that are jobs of a batch system.

    Attributes
    ----------
    kind : str
        Of the system: slurm, pbs, …
    workers : int
        Number of worker processes.
    config : mapping
        What dask-jobqueue is told of the system: queue, account, walltime, …
    memory_limit : int
        Bytes that the work of a worker may take.
    """

    kind: str
    workers: int
    config: Mapping[str, Any]
    memory_limit: int


@contextlib.contextmanager
def executor(
    *,
    scheduler: str | None = None,
    scheduler_file: str | None = None,
    queue: Queue | None = None,
    workers: int | None = None,
    client: object | None = None,
    tls: TlsFiles | None = None,
) -> Iterator[tuple[Executor, str | None]]:
    """Provide an executor for the time of a run.

    Parameters
    ----------
    scheduler : str, optional
        "serial", or the address of a Dask scheduler.
    scheduler_file : str, optional
        File in which a scheduler wrote its address.
    queue : Queue, optional
        Workers to be started as jobs of a batch system.
    workers : int, optional
        Number of processes of an embedded cluster; with none of these the work is done in this process.
    client : distributed.Client, optional
        A connected client; it stays open.
    tls : TlsFiles, optional
        What the ends of an embedded cluster, or we and a scheduler at a ``tls://`` address, show each other.

    Yields
    ------
    executor : Executor
        Ready to work.
    dashboard : str or None
        Address of the Dask dashboard.

    Raises
    ------
    InputError
        If more than one is given, the number of workers is not positive, or the cluster cannot be reached.
    """
    if sum(given is not None for given in (scheduler, scheduler_file, queue, workers, client)) > 1:
        raise InputError("scheduler, scheduler file, workers and client: give one of them.")
    if workers is not None and workers < 1:
        raise InputError(f"workers {workers}: give a number of processes, 1 or more.")
    if scheduler_file is not None:
        from scorefold.cluster.remote import address_in  # noqa: PLC0415 - serial runs do without Dask

        scheduler = address_in(scheduler_file)
    if tls is not None and scheduler is not None and not scheduler.startswith("tls://"):
        raise InputError(
            f'scheduler "{scheduler}": {OPTIONS} are for a tls:// address. Give one, or leave them out.'
        )
    if scheduler == "serial" or not any((scheduler, queue, workers, client)):
        yield SerialExecutor(), None
        return
    from scorefold.cluster import local  # noqa: PLC0415 - serial runs do without Dask
    from scorefold.cluster.graph import DaskExecutor  # noqa: PLC0415

    if client is not None:
        given = local.as_client(client)
        yield DaskExecutor(given), given.dashboard_link
        return
    if queue is not None:
        from scorefold.cluster.queued import queued_cluster  # noqa: PLC0415 - needs dask-jobqueue

        place = queued_cluster(queue.kind, queue.workers, queue.config, queue.memory_limit)
    elif workers is not None:
        place = local.local_cluster(workers, tls)
    else:
        place = local.connected(str(scheduler), tls=tls)
    with place as opened:
        yield DaskExecutor(opened), opened.dashboard_link
