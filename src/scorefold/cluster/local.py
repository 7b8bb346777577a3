"""The embedded cluster: worker processes on this machine, reachable from this machine only."""

# mypy: allow-untyped-calls

import contextlib
import copy
import multiprocessing
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import dask
from distributed import Client, LocalCluster, Security, WorkerPlugin

from scorefold.cluster.profile import DASK_CONFIG
from scorefold.cluster.remote import check_scheduler, no_scheduler
from scorefold.cluster.tls import TlsFiles
from scorefold.cluster.versions import check_versions
from scorefold.dashboard import LiveRuns
from scorefold.errors import InputError, ScorefoldWarning

PRELOAD = "scorefold.dashboard"
"""What a scheduler imports to have our page."""

LOOPBACK = "127.0.0.1"
DASHBOARD_PORT = 8787

ALWAYS = (
    "distributed.worker.multiprocessing-method",
    "distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS",
    "distributed.nanny.pre-spawn-environ.MKL_NUM_THREADS",
    "distributed.nanny.pre-spawn-environ.OPENBLAS_NUM_THREADS",
)
"""What of our Dask configuration goes before the user's: threads make sums differ in their last bits."""


def configuration() -> dict[str, Any]:
    """Return the user's Dask configuration, with ours in place of what Dask sets by default."""
    ours = dask.config.collect([str(DASK_CONFIG)], env={})
    merged = copy.deepcopy(dask.config.config)
    defaults = dask.config.merge(*dask.config.defaults)
    dask.config.update(merged, ours, priority="new-defaults", defaults=defaults)
    dask.config.set({key: dask.config.get(key, config=ours) for key in ALWAYS}, config=merged)
    return merged


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


def dashboard_address_here() -> str:
    """Return the usual dashboard port if it is free, else any free one."""
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, DASHBOARD_PORT))
        except OSError:
            return f"{LOOPBACK}:0"
    return f"{LOOPBACK}:{DASHBOARD_PORT}"


def _security(tls: TlsFiles) -> Security:
    """Return what all ends of a cluster show each other."""
    key = None if tls.key is None else str(tls.key)
    ends = {
        f"tls_{end}_{kind}": path
        for end in ("scheduler", "worker", "client")
        for kind, path in (("cert", str(tls.cert)), ("key", key))
    }
    return Security(require_encryption=True, tls_ca_file=str(tls.ca), **ends)


@contextlib.contextmanager
def local_cluster(workers: int, tls: TlsFiles | None = None) -> Iterator[Client]:
    """Start worker processes with one thread each and connect to them.

    Parameters
    ----------
    workers : int
        Number of processes.
    tls : TlsFiles, optional
        Who may connect; default: every process of this machine.

    Yields
    ------
    distributed.Client
        Closed together with the cluster at the end.

    Raises
    ------
    InputError
        If the certificate is not one that the authority has signed, or has expired.
    """
    security = None
    if tls is not None:
        tls.check_agreement()
        security = _security(tls)
    with (
        dask.config.set(configuration()),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            dashboard_address=dashboard_address_here(),
            memory_limit=0,
            silence_logs=50,
            security=security,
            scheduler_kwargs={"preload": [PRELOAD]},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield prepare(client)


@contextlib.contextmanager
def connected(address: str, timeout: float = 10.0, tls: TlsFiles | None = None) -> Iterator[Client]:
    """Connect to a scheduler that somebody else runs.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786`` or ``tls://host:8786``.
    timeout : float
        Seconds to wait for it.
    tls : TlsFiles, optional
        What to show it, if it wants TLS; default: what Dask's configuration names.

    Raises
    ------
    InputError
        If nobody answers there, the address is malformed, or one end does not accept the other.
    """
    security = None if tls is None else _security(tls)
    check_scheduler(address, timeout, security)
    try:
        client = Client(address, timeout=timeout, set_as_default=False, security=security)
    except (OSError, ValueError, TypeError) as error:
        raise no_scheduler(address, error) from None
    with client:
        check_versions(client)
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
    check_versions(client)
    return prepare(client)


def prepare(client: Client) -> Client:
    """Make the workers of a client ready for our tasks."""
    client.register_plugin(OneThreadEach())
    # What shows runs is a convenience: a scheduler without scorefold, or without a dashboard, works as well.
    with contextlib.suppress(Exception):
        client.register_plugin(LiveRuns(), name=LiveRuns.name)
    threads = max(client.nthreads().values(), default=1)
    if threads > 1:
        warnings.warn(
            f"Dask workers have up to {threads} threads, of which scorefold uses one, since memory is planned "
            "per task. Start workers with one thread each (threads_per_worker=1, --nthreads 1).",
            ScorefoldWarning,
            stacklevel=2,
        )
    return client
