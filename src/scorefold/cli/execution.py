"""Where a command's work is done, and driving a run to its end."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from scorefold.cli.console import ProgressDisplay, say, say_failures
from scorefold.cli.interrupts import resumable
from scorefold.cli.options import WORKPLACE_OPTIONS, with_options
from scorefold.errors import InputError

if TYPE_CHECKING:
    from scorefold.cluster import Executor, Run, TlsFiles

EXIT_SOME_FAILED = 1

SCHEDULER_VARIABLE = "DASK_SCHEDULER_ADDRESS"


class Workplace:
    """Where work is done: a scheduler, which is called at once, or processes that start when there is work.

    So a scheduler that does not answer, or certificates that do not fit, are found out before anything is read or
    written, and a mistyped option does not wait for processes to start.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine; default: one per core.
    scheduler : str, optional
        Address of a Dask scheduler, or "serial"; default: the environment's DASK_SCHEDULER_ADDRESS, unless `workers`
        is given.
    tls_ca, tls_cert, tls_key : str, optional
        Files for a scheduler at a ``tls://`` address, or else for the processes on this machine.

    Raises
    ------
    InputError
        If both places are given, the number is not positive, the scheduler does not answer, or a file cannot be used.
    """

    def __init__(
        self,
        workers: int | None = None,
        scheduler: str | None = None,
        *,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        if workers is not None and scheduler is not None:
            raise InputError("workers and scheduler: give one of them.")
        if workers is not None and workers < 1:
            raise InputError(f"workers {workers}: give a number of processes, 1 or more.")
        if workers is None and scheduler is None:
            scheduler = os.environ.get(SCHEDULER_VARIABLE)
        self._scheduler = scheduler or None
        self._tls = None if tls_ca is tls_cert is tls_key is None else _tls_files(tls_ca, tls_cert, tls_key)
        self._processes = workers or len(os.sched_getaffinity(0))
        self._open = ExitStack()
        self._executor: Executor | None = None
        self._dashboard: str | None = None

    def __enter__(self) -> Self:
        if self._scheduler is not None:
            self._connect()
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

    def _connect(self) -> "Executor":
        from scorefold.cluster import executor

        if self._executor is None:
            workers = None if self._scheduler else self._processes
            place = executor(scheduler=self._scheduler, workers=workers, tls=self._tls)
            self._executor, self._dashboard = self._open.enter_context(place)
        return self._executor

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
        from scorefold.cluster import drive

        with resumable(run.store.location):
            working = self._connect()
            if self._dashboard and not quiet:
                say(f"dashboard  {self._dashboard}")
                self._dashboard = None  # once is enough
            with ProgressDisplay(quiet=quiet) as progress:
                drive(run, working, render=render, on_progress=progress.update)
        if not quiet:
            summary(run)
        failed = run.failures()
        say_failures(failed)
        return EXIT_SOME_FAILED if failed else 0


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
    if "://" in location:
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
