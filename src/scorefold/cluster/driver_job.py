"""A driver that is a job of a batch system itself, so that nothing of a run is left on a login node."""

# mypy: allow-untyped-calls

import asyncio
import inspect
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scorefold.cluster.jobs import refused
from scorefold.cluster.queued import DRIVER, batch_system, settings
from scorefold.errors import InputError

DRIVER_MEMORY = "2GiB"


def submit_driver(kind: str, config: Mapping[str, Any], command: Sequence[str], log: Path) -> tuple[str, str]:
    """Submit a command as a job of one core.

    Parameters
    ----------
    kind : str
        The batch system; see `queued_cluster`.
    config : mapping of str to object
        Of the jobs of workers; what ``driver`` holds goes before the rest.
    command : sequence of str
        What the job does.
    log : Path
        Where it writes what it says.

    Returns
    -------
    str
        The id of the job.
    str
        The command that takes it back while it queues, such as ``scancel 42``; ``scorefold cancel`` needs a run.

    Raises
    ------
    InputError
        If dask-jobqueue or the batch system is not there, the configuration cannot be used, or the job is refused.
    """
    system = batch_system(kind)
    workers = {name: value for name, value in config.items() if name != DRIVER}
    own = config.get(DRIVER) or {}
    if not isinstance(own, Mapping):
        raise InputError(
            f'cluster "{kind}": {DRIVER} is {own!r}. Give a mapping, such as walltime: "2-00:00:00".'
        )
    given = settings(kind, system, {**workers, "memory": DRIVER_MEMORY, **own, "cores": 1, "processes": 1})
    known = {
        name for each in system.job_cls.__mro__[:-1] for name in inspect.signature(each.__init__).parameters
    }
    options = {name: value for name, value in given.items() if name in known}
    try:
        # It connects to no scheduler: the address is not used.
        job = system.job_cls(scheduler="tcp://127.0.0.1:0", name="scorefold-driver", **options)
        job._command_template = f"{shlex.join(command)} >> {shlex.quote(str(log))} 2>&1"  # noqa: SLF001
        with tempfile.NamedTemporaryFile("w", prefix="scorefold-", suffix=".sh") as script:
            script.write(job.job_script())
            script.flush()
            told = asyncio.run(job._submit_job(script.name))  # noqa: SLF001 - the public way starts a worker
        number = str(job._job_id_from_submit_output(told))  # noqa: SLF001
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise refused(kind, error) from None
    return number, f"{job.cancel_command} {number}"
