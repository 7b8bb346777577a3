"""Where a command's work is done, and driving a run to its end."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from scorefold.cli.console import ProgressDisplay, say, say_failures
from scorefold.cli.interrupts import resumable
from scorefold.cli.options import WORKPLACE_OPTIONS, with_options
from scorefold.errors import InputError, in_one_line
from scorefold.object_stores import is_url

if TYPE_CHECKING:
    from scorefold.cluster import Executor, PlannedRun, Run, TlsFiles

EXIT_SOME_FAILED = 1

SCHEDULER_VARIABLE = "DASK_SCHEDULER_ADDRESS"

_planned: ContextVar["list[PlannedRun] | None"] = ContextVar("planned", default=None)
"""Where runs that are ready go while they are planned only."""


@contextlib.contextmanager
def planning_only() -> "Iterator[list[PlannedRun]]":
    """Let commands make their runs ready, but leave the work to others, who find them in what this provides."""
    planned: list[PlannedRun] = []
    token = _planned.set(planned)
    try:
        yield planned
    finally:
        _planned.reset(token)


class Workplace:
    """Where work is done: a scheduler, which is called at once, or processes that start when there is work.

    So a scheduler that does not answer, or certificates that do not fit, are found out before anything is read or
    written, and a mistyped option does not wait for processes to start.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine, default: one per core; or in jobs of a batch system, default: one.
    scheduler : str, optional
        Address of a Dask scheduler, or "serial"; default: the environment's DASK_SCHEDULER_ADDRESS, unless another
        place is given.
    scheduler_file : str, optional
        File in which a scheduler wrote its address.
    cluster : str, optional
        The batch system whose jobs are the workers.
    cluster_config : str, optional
        File, or text, of YAML: what these jobs ask for.
    tls_ca, tls_cert, tls_key : str, optional
        Files for a scheduler at a ``tls://`` address, or else for the processes on this machine.

    Raises
    ------
    InputError
        If several places are given, the number is not positive, the scheduler does not answer, or a file cannot be
        used.
    """

    def __init__(
        self,
        workers: int | None = None,
        scheduler: str | None = None,
        *,
        scheduler_file: str | None = None,
        cluster: str | None = None,
        cluster_config: str | None = None,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        places = {"workers": workers, "scheduler": scheduler, "scheduler file": scheduler_file}
        if cluster is not None:
            places = {"cluster": cluster, **places}
            places.pop("workers")
        given = [name for name, value in places.items() if value is not None]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)}: give one of them.")
        if workers is not None and workers < 1:
            raise InputError(f"workers {workers}: give a number of processes, 1 or more.")
        if cluster_config is not None and cluster is None:
            raise InputError(
                "cluster config: it is for workers that are jobs. Give --cluster, such as slurm."
            )
        if not given:
            scheduler = os.environ.get(SCHEDULER_VARIABLE)
        self._scheduler = scheduler or None
        self._scheduler_file = scheduler_file
        self._queue = None if cluster is None else (cluster, read_cluster_config(cluster_config))
        self._tls = None if tls_ca is tls_cert is tls_key is None else _tls_files(tls_ca, tls_cert, tls_key)
        self._processes = workers or (1 if cluster else len(os.sched_getaffinity(0)))
        self._open = ExitStack()
        self._executor: Executor | None = None
        self._dashboard: str | None = None

    def __enter__(self) -> Self:
        if self._scheduler is not None or self._scheduler_file is not None:
            self.connect()
        elif self._tls is not None:
            self._tls.check_agreement()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def workers(self) -> int:
        """Number of workers to plan for."""
        return self._processes if self._executor is None else self._executor.workers

    def connect(self, run: "Run | None" = None) -> "Executor":
        """Call the scheduler, or start the processes that a run needs, unless that is done."""
        from scorefold.cluster import Queue, executor

        if self._executor is None:
            place: dict[str, Any] = {"scheduler": self._scheduler, "scheduler_file": self._scheduler_file}
            if self._queue is not None and run is not None:
                kind, config = self._queue
                place = {"queue": Queue(kind, self._processes, config, run.memory_limit)}
            elif not any(place.values()):
                place = {"workers": self._processes}
            opened = executor(**place, tls=self._tls)
            self._executor, self._dashboard = self._open.enter_context(opened)
        return self._executor

    def say_dashboard(self) -> None:
        """Print the address of the dashboard, once."""
        if self._dashboard:
            say(f"dashboard  {self._dashboard}")
            self._dashboard = None

    def work(
        self,
        run: "Run",
        *,
        render: bool,
        quiet: bool,
        summary: "Callable[[Run], None]" = lambda _: None,
    ) -> int:
        """Drive a run to its end, showing progress.

        Parameters
        ----------
        run : Run
            The run.
        render : bool
            Whether pictures and the report are made.
        quiet : bool
            Print failed targets only.
        summary : callable
            Prints what was found.

        Returns
        -------
        int
            Exit code: 0, or 1 if targets could not be searched.
        """
        from scorefold.cluster import PlannedRun, drive

        planned = _planned.get()
        if planned is not None:
            planned.append(PlannedRun(run.store.location, run.title, render=render))
            return 0
        with resumable(run.store.location):
            working = self.connect(run)
            if not quiet:
                self.say_dashboard()
            with ProgressDisplay(quiet=quiet) as progress:
                drive(run, working, render=render, on_progress=progress.update)
        if not quiet:
            summary(run)
        failed = run.failures()
        say_failures(failed)
        return EXIT_SOME_FAILED if failed else 0


def read_cluster_config(text: str | None) -> dict[str, Any]:
    """Return what jobs of a batch system ask for, from a file of YAML, or from YAML itself.

    Raises
    ------
    InputError
        If it cannot be read, or names no options.
    """
    if text is None:
        return {}
    import yaml

    try:
        read = yaml.safe_load(text if text.lstrip().startswith("{") else Path(text).read_text())
    except OSError as error:
        raise InputError(
            f'cluster config "{text}": {error.strerror or error}. Give a file of YAML.'
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f'cluster config "{text}": it is not YAML ({in_one_line(error)}).') from None
    if not isinstance(read, dict) or not all(isinstance(name, str) for name in read):
        raise InputError(f'cluster config "{text}": give names and values, such as queue: long.')
    return read


def _tls_files(ca: str | None, cert: str | None, key: str | None) -> "TlsFiles":
    from scorefold.cluster import TlsFiles

    return TlsFiles.given(ca, cert, key)


with_workplace = with_options(
    WORKPLACE_OPTIONS, dict.fromkeys(WORKPLACE_OPTIONS), keyword="place", made=Workplace
)
"""Adds the options of where work is done to a command, which receives a `Workplace` as ``place``."""


def check_output(location: str) -> None:
    """Refuse an output that is taken or cannot be written, before anything is read.

    Raises
    ------
    InputError
        If something is there already, or its folder is not one that can be written in.
    """
    if not location:
        raise InputError('output "": an empty name. Give a directory as --out.')
    if is_url(location):
        from scorefold.store.blobs import open_zarr_store

        open_zarr_store(location)
        return
    path = Path(location)
    if path.is_symlink() or path.exists():
        if not path.is_dir() or any(path.iterdir()):
            raise InputError(
                f'output "{location}": something is there already. Give a new --out, or go on with it: '
                "scorefold resume."
            )
        folder = path
    else:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise InputError(f'output "{location}": "{folder}" is not a directory. Give another --out.')
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f'output "{location}": "{folder}" cannot be written. Give another --out, or change its permissions.'
        )
