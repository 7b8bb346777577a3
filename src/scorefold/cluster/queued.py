"""Clusters behind a batch system: workers come as jobs, to a scheduler in this process."""

# mypy: allow-untyped-calls

import contextlib
import inspect
import math
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_bytes
from distributed import Client, Security

from scorefold.cluster.jobs import Jobs, refused
from scorefold.cluster.local import LOOPBACK, PRELOAD, configuration, dashboard_address_here, prepare
from scorefold.cluster.profile import DASK_CONFIG
from scorefold.errors import InputError

SYSTEMS = {
    "htcondor": "HTCondorCluster",
    "lsf": "LSFCluster",
    "moab": "MoabCluster",
    "oar": "OARCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "slurm": "SLURMCluster",
}
"""Classes of dask-jobqueue, by the names that its configuration has for them."""

OURS = {"asynchronous", "config_name", "job_cls", "loop", "n_workers", "name", "protocol", "scheduler"}
OURS |= {"scheduler_cls", "security", "silence_logs"}
"""Keyword arguments of dask-jobqueue that are no part of a cluster's description."""

RETIRED = {"dashboard_address", "env_extra", "extra", "header_skip", "host", "job_extra"}
"""Keyword arguments that dask-jobqueue refuses, or has renamed."""

DRIVER = "driver"
"""Key of a configuration: what the job of a driver has that those of workers have not."""

STARTER_BYTES = 2**27
"""Memory for the process that starts the workers of a job (73 MiB were measured)."""


@contextlib.contextmanager
def queued_cluster(kind: str, workers: int, config: Mapping[str, Any], memory_limit: int) -> Iterator[Client]:
    """Have a batch system start workers, keep their number, and connect to them.

    The scheduler runs in this process. Connections are encrypted, and only who can read the files of this cluster, in
    a folder that only the user can read, may come in. Nobody waits for workers here: jobs may queue for hours.

    Parameters
    ----------
    kind : str
        The batch system: htcondor, lsf, moab, oar, pbs, sge or slurm.
    workers : int
        Number of worker processes, of one thread each; as many more as fill the last job.
    config : mapping of str to object
        Keyword arguments of dask-jobqueue's class for it, such as ``{"queue": "short", "walltime": "01:00:00"}``.
        Default: what Dask's configuration says, one core a job, and memory for `memory_limit`.
    memory_limit : int
        Bytes that a worker may use.

    Yields
    ------
    distributed.Client
        At the end, the jobs are cancelled, and client and scheduler are closed.

    Raises
    ------
    InputError
        If dask-jobqueue or the batch system is not there, the configuration cannot be used, or a job is refused.
    """
    if workers < 1:
        raise InputError(f"workers {workers}: give a number of processes, 1 or more.")
    system = batch_system(kind)
    given = settings(kind, system, {name: value for name, value in config.items() if name != DRIVER})
    folder = given.pop("shared_temp_directory", None)
    with dask.config.set(_configuration(given)), _credentials(kind, folder) as security:
        options = _options(kind, given, memory_limit)
        try:
            cluster = system(security=security, **options)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise refused(kind, error) from None
        with cluster, Client(cluster, set_as_default=False) as client:
            prepare(client)
            with Jobs(cluster, kind, math.ceil(workers / options["processes"])).kept():
                yield client


def batch_system(kind: str) -> Any:
    """Return dask-jobqueue's class for a batch system that is there."""
    if kind not in SYSTEMS:
        raise InputError(f'cluster "{kind}": unknown. Use {", ".join(SYSTEMS)}.')
    try:
        import cryptography  # noqa: F401, PLC0415 - for certificates
        import dask_jobqueue  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"cluster \"{kind}\": {error.name} is not installed. Install it with: pip install 'scorefold[slurm]'"
        ) from None
    system = getattr(dask_jobqueue, SYSTEMS[kind])
    command = system.job_cls.submit_command
    if shutil.which(command) is None:
        raise InputError(f'cluster "{kind}": no command {command}. Start this where jobs are submitted.')
    return system


def settings(kind: str, system: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is set in the configuration, or else in Dask's; both may write dashes in names."""
    from dask_jobqueue.core import Job, JobQueueCluster  # noqa: PLC0415

    known = {
        name
        for each in (JobQueueCluster, Job, system.job_cls)
        for name, parameter in inspect.signature(each).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    } - (OURS | RETIRED)
    given = {str(key).replace("-", "_"): value for key, value in config.items()}
    unknown = set(given) - known
    if unknown:
        raise InputError(
            f'cluster "{kind}": its configuration has an unknown key {min(unknown)}. Use {", ".join(sorted(known))}.'
        )
    configured = {key.replace("-", "_"): value for key, value in dask.config.get(f"jobqueue.{kind}").items()}
    for key, value in given.items():
        expected = type(configured.get(key))
        if value is not None and expected in (list, dict) and not isinstance(value, expected):
            form = "list" if expected is list else "mapping"
            raise InputError(f'cluster "{kind}": {key} is {value!r}. Give a {form}.')
    configured |= {key: value for key, value in given.items() if value is not None}
    return {key: value for key, value in configured.items() if key in known and value is not None}


def _configuration(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return Dask's configuration where workers may not come for hours, and the dashboard is on this machine alone."""
    found = configuration()
    changes = {"distributed.scheduler.no-workers-timeout": None}
    if "dashboard_address" not in given.get("scheduler_options", {}):
        link = dask.config.get("distributed.dashboard.link", config=found)
        changes["distributed.dashboard.link"] = link.replace("{host}", LOOPBACK)
    dask.config.set(changes, config=found)
    return found


def _options(kind: str, given: Mapping[str, Any], memory_limit: int) -> dict[str, Any]:
    """Return what the cluster is made with: a process a core, and all that is ours in scheduler and jobs."""
    cores = given.get("cores", 1)
    processes = given.get("processes", cores)
    if not isinstance(cores, int) or cores < 1 or processes != cores:
        raise InputError(
            f'cluster "{kind}": {processes!r} processes on {cores!r} cores a job; a worker uses one core. '
            "Give a number of cores, and leave processes out."
        )
    needed = processes * memory_limit
    memory = given.get("memory", needed + STARTER_BYTES)
    try:
        enough = parse_bytes(memory) >= needed
    except (TypeError, ValueError):
        raise InputError(f'cluster "{kind}": memory is {memory!r}. Give text such as 16GiB.') from None
    if not enough:
        raise InputError(
            f'cluster "{kind}": memory {memory} a job; its {processes} workers may use {memory_limit / 2**20:.0f} MiB '
            "each. Give more, or a smaller memory limit."
        )
    environment = dask.config.get("distributed.nanny.pre-spawn-environ")
    exports = [f"export {name}={shlex.quote(str(value))}" for name, value in environment.items()]
    return {
        **given,
        "cores": cores,
        "processes": processes,
        "memory": memory,
        # Workers' pages, and all of the dashboard, tell everybody who asks what goes on.
        "scheduler_options": {
            "preload": [PRELOAD],
            "dashboard_address": dashboard_address_here(),
            **given.get("scheduler_options", {}),
        },
        "worker_extra_args": [
            *given.get("worker_extra_args", []),
            "--dashboard-address=127.0.0.1:0",
            "--memory-limit=0",  # the plan keeps to a limit; this takes the place of dask-jobqueue's
        ],
        "job_script_prologue": [
            *given.get("job_script_prologue", []),
            f'[ -n "$DASK_CONFIG" ] || export DASK_CONFIG={shlex.quote(str(DASK_CONFIG))}',
            *exports,
        ],
        "silence_logs": "critical",
    }


@contextlib.contextmanager
def _credentials(kind: str, folder: str | None) -> Iterator[Security]:
    """Make what scheduler, workers and client show each other, in files that only this user can read."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scorefold"
    place = cache if folder is None else Path(os.path.expandvars(folder)).expanduser().absolute()
    made = Security.temporary()
    with contextlib.ExitStack() as stack:
        try:
            place.mkdir(parents=True, exist_ok=True)
            own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster-", dir=place)))
            (own / "cert.pem").write_text(made.tls_worker_cert)
            (own / "key.pem").write_text(made.tls_worker_key)
        except OSError as error:
            raise InputError(
                f'cluster "{kind}": folder "{place}" cannot be written ({error.strerror}). Give one that all machines '
                "see as shared_temp_directory."
            ) from None
        cert, key = str(own / "cert.pem"), str(own / "key.pem")
        ends = {
            f"tls_{end}_{part}": path
            for end in ("scheduler", "worker", "client")
            for part, path in (("cert", cert), ("key", key))
        }
        yield Security(require_encryption=True, tls_ca_file=cert, **ends)
