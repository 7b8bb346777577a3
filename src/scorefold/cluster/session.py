"""Where a run's work is done: in this process, on an embedded cluster, on somebody's scheduler, with a given client."""

import contextlib
from collections.abc import Iterator

from scorefold.cluster.executor import Executor, SerialExecutor
from scorefold.cluster.tls import OPTIONS, TlsFiles
from scorefold.errors import InputError


@contextlib.contextmanager
def executor(
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    client: object | None = None,
    tls: TlsFiles | None = None,
) -> Iterator[tuple[Executor, str | None]]:
    """Provide an executor for the time of a run.

    Parameters
    ----------
    scheduler : str, optional
        "serial", or the address of a Dask scheduler.
    workers : int, optional
        Number of processes of an embedded cluster; with none of the three the work is done in this process.
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
    if sum(given is not None for given in (scheduler, workers, client)) > 1:
        raise InputError("scheduler, workers and client: give one of them.")
    if workers is not None and workers < 1:
        raise InputError(f"workers {workers}: give a number of processes, 1 or more.")
    if tls is not None and scheduler is not None and not scheduler.startswith("tls://"):
        raise InputError(
            f'scheduler "{scheduler}": {OPTIONS} are for a tls:// address. Give one, or leave them out.'
        )
    if scheduler == "serial" or (scheduler is None and workers is None and client is None):
        yield SerialExecutor(), None
        return
    from scorefold.cluster import local  # noqa: PLC0415 - serial runs do without Dask
    from scorefold.cluster.graph import DaskExecutor  # noqa: PLC0415

    if client is not None:
        given = local.as_client(client)
        yield DaskExecutor(given), given.dashboard_link
        return
    place = local.connected(str(scheduler), tls=tls) if workers is None else local.local_cluster(workers, tls)
    with place as opened:
        yield DaskExecutor(opened), opened.dashboard_link
