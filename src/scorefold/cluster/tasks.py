"""What runs on a worker: one function that does one piece of a run's work and returns its key."""

import gc
import multiprocessing
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from scorefold.cluster.kinds import run_of
from scorefold.cluster.run import Run, RunReference
from scorefold.cluster.suspects import note_begin
from scorefold.errors import DamagedPartialError, ScorefoldError
from scorefold.io import at_most_pixels
from scorefold.object_stores import statuses_kept
from scorefold.planning.node import Node

Result = TypeVar("Result")

COLLECT_SECONDS = 0.25
"""Work between two collections of cycles, each of which takes about a tenth of a second."""

FRAMES = 20
"""Of a traceback that are told."""

_TASKS = {
    "match": {
        "compress": "match.bases.compress_cells",
        "score_leaf": "match.search_tasks.score_leaf",
        "merge": "match.search_tasks.merge_states",
        "write_result": "match.search_tasks.write_result",
        "find_candidates": "match.candidate_tasks.find_candidates",
        "refine": "match.refine_tasks.refine",
        "call_picks": "match.pick_tasks.call_picks",
        "render": "match.render_tasks.render_target",
        "report": "match.render_tasks.write_report",
    },
    "train": {
        "fold_images": "inspect.train_tasks.fold_images",
        "merge_images": "inspect.train_tasks.merge_images",
        "learn": "inspect.train_tasks.learn",
        "calibrate": "inspect.train_tasks.calibrate",
        "merge_calibrations": "inspect.train_tasks.merge_calibrations",
        "report": "inspect.train_tasks.write_report",
    },
    "inspect": {
        "score_images": "inspect.score_tasks.score_images",
        "merge_scores": "inspect.score_tasks.merge_scores",
        "evaluate": "inspect.evaluate_tasks.evaluate",
        "merge_evaluations": "inspect.evaluate_tasks.merge_evaluations",
        "set_threshold": "inspect.measure_tasks.set_threshold",
        "measure": "inspect.measure_tasks.measure",
        "render": "inspect.sheet_tasks.render_sheet",
        "report": "inspect.report_tasks.write_report",
    },
}
"""What does a piece of work, by kind of run and stage; imported when it is first needed, since that takes seconds."""


class _Cycles:
    """Collects reference cycles now and then.

    Finished stores and futures leave cycles that keep whole states alive until Python collects them, which it does by
    their number, not by their size. What a worker process holds after the first task of a stage, modules above all,
    stays for good and is not searched again; most of the time of a collection would go there.
    """

    def __init__(self) -> None:
        self._collected = time.monotonic()
        self._modules = 0

    def collect(self) -> None:
        """Collect, unless tasks were too short since the last time to have left much."""
        if time.monotonic() - self._collected > COLLECT_SECONDS:
            gc.collect()
            # Somebody else's process is left as it is. A worker imports this before it knows whose it is.
            own = multiprocessing.parent_process() is not None
            if own and len(sys.modules) > self._modules:
                gc.freeze()
                self._modules = len(sys.modules)
            self._collected = time.monotonic()


_cycles = _Cycles()
_one_at_a_time = threading.Lock()
"""Memory is planned, and transforms have buffers, for one task a process."""


@cache
def task_of(kind: str, stage: str) -> Callable[[Any, Node], str]:
    """Return what does the work of a stage of runs of a kind."""
    module, name = _TASKS[kind][stage].rsplit(".", 1)
    task: Callable[[Any, Node], str] = getattr(import_module(f"scorefold.cluster.{module}"), name)
    return task


def run_node(run: RunReference, node: Node, *inputs: str) -> str:  # noqa: ARG001
    """Do one piece of work of a run.

    Parameters
    ----------
    run : RunReference
        The run.
    node : Node
        The work.
    *inputs : str
        Keys of finished work it depends on; they order the graph and are read from the store.

    Returns
    -------
    str
        The key, committed.
    """
    with _one_at_a_time:
        try:
            opened = run_of(run)
            if _is_committed(opened, node):
                return node.key
            note_begin(opened.store, node)
            with at_most_pixels(opened.store.attributes["max_pixels"]), statuses_kept():
                return task_of(opened.kind, node.stage)(opened, node)
        finally:
            _cycles.collect()


def run_on_worker(run: RunReference, node: Node, *inputs: str) -> str:
    """Do one piece of work in a process whose errors travel; see `run_node`.

    Of an error that cannot be read where it arrives, Dask tells nobody, and the driver would wait for ever: errors of
    libraries are told of by name, and tracebacks travel as text.
    """
    return with_errors_that_travel(run_node, run, node, *inputs)


def with_errors_that_travel(work: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Do some work; its errors can be read wherever they arrive, with their tracebacks as text."""
    try:
        return work(*arguments, **options)
    except Exception as error:  # noqa: BLE001 - raised again, in another form
        told = _travelling(error)
    raise told  # out here, where it does not take along what it came from


def _travelling(error: Exception) -> Exception:
    known = isinstance(error, ScorefoldError) or type(error).__module__ == "builtins"
    new = error if known else RuntimeError(f"{type(error).__name__}: {error}")
    new.add_note("".join(traceback.format_exception(error, limit=-FRAMES)))
    new.__cause__ = new.__context__ = None
    return new.with_traceback(None)


def _is_committed(run: Run, node: Node) -> bool:
    """Tell whether the work was done before: a scheduler repeats the tasks of a worker that it lost."""
    try:
        return run.store.read_commit(node.key) is not None
    except DamagedPartialError:
        return False
