"""The embedded cluster: worker processes on this machine, reachable from this machine only."""

# mypy: allow-untyped-calls

import contextlib
import multiprocessing
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import dask
from distributed import Client, LocalCluster, WorkerPlugin

from scorefold.errors import InputError, ScorefoldWarning

LOOPBACK = "127.0.0.1"
DASHBOARD_PORT = 8787

CONFIGURATION: dict[str, Any] = {
    # The planner decides the memory before the run; Dask holds keys only and has nothing to spill.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.worker.daemon": False,
    # Dask has workers return every freed page to the system at once: much of the time of an inspection would go into
    # getting them back. Freed memory up to 8 MiB, of arrays up to 1.5 MiB, stays with the process; large arrays do not.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 8 * 2**20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 3 * 2**19,
    # A task may be on a worker that is lost without being at fault.
    "distributed.scheduler.allowed-failures": 10,
    "distributed.scheduler.worker-ttl": "60s",
    "distributed.scheduler.no-workers-timeout": "10m",
    "distributed.deploy.lost-worker-timeout": "1h",
}
"""Our Dask configuration profile for clusters that scorefold starts itself."""


class OneThreadEach(WorkerPlugin):
    """Keeps the libraries that a task calls to one thread, since every core has a worker, and workers from Ctrl-C."""

    name = "scorefold-one-thread-each"

    def setup(self, worker: Any) -> None:  # noqa: ARG002
        """Set the thread count that the environment does not reach, and leave Ctrl-C to the driver."""
        use_one_thread()
        # A terminal sends Ctrl-C to workers, too; the driver, who stops them, says what has to be said.
        if (
            multiprocessing.parent_process() is not None
            and threading.current_thread() is threading.main_thread()
        ):
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def use_one_thread() -> None:
    """Limit OpenCV to one thread in this process; BLAS is limited by the environment that a nanny sets."""
    import cv2  # noqa: PLC0415 - only where tasks run

    cv2.setNumThreads(1)


def _dashboard_address() -> str:
    """Return the usual dashboard port if it is free, else any free one."""
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, DASHBOARD_PORT))
        except OSError:
            return f"{LOOPBACK}:0"
    return f"{LOOPBACK}:{DASHBOARD_PORT}"


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """Start worker processes with one thread each and connect to them.

    Parameters
    ----------
    workers : int
        Number of processes.

    Yields
    ------
    distributed.Client
        Closed together with the cluster at the end.
    """
    with (
        dask.config.set(CONFIGURATION),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            dashboard_address=_dashboard_address(),
            memory_limit=0,
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield prepare(client)


@contextlib.contextmanager
def connected(address: str, timeout: float = 10.0) -> Iterator[Client]:
    """Connect to a scheduler that somebody else runs.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.
    timeout : float
        Seconds to wait for it.

    Raises
    ------
    InputError
        If nobody answers there, or the address is malformed.
    """
    try:
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError, TimeoutError, TypeError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f'scheduler "{address}": no Dask scheduler answers there ({text}). '
            "Check the address, or leave --scheduler out to use this machine."
        ) from None
    with client:
        yield prepare(client)


def as_client(client: object) -> Client:
    """Return a client that a caller passed in, prepared for our tasks.

    Raises
    ------
    InputError
        If it is not a connected `distributed.Client`.
    """
    if not isinstance(client, Client) or client.status != "running":
        raise InputError(f"client {client!r}: not a connected distributed.Client.")
    return prepare(client)


def prepare(client: Client) -> Client:
    """Make the workers of a client ready for our tasks."""
    client.register_plugin(OneThreadEach())
    threads = max(client.nthreads().values(), default=1)
    if threads > 1:
        warnings.warn(
            f"Dask workers have up to {threads} threads, of which scorefold uses one, since memory is planned "
            "per task. Start workers with one thread each (threads_per_worker=1, --nthreads 1).",
            ScorefoldWarning,
            stacklevel=2,
        )
    return client
