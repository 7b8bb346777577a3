"""What runs on a worker: one function that does one piece of a run's work and returns its key."""

import gc
import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

from scorefold.cluster.inspect import (
    evaluate_tasks,
    measure_tasks,
    report_tasks,
    score_tasks,
    sheet_tasks,
    train_tasks,
)
from scorefold.cluster.kinds import run_of
from scorefold.cluster.match.bases import compress_cells
from scorefold.cluster.match.candidate_tasks import find_candidates
from scorefold.cluster.match.pick_tasks import call_picks
from scorefold.cluster.match.refine_tasks import refine
from scorefold.cluster.match.render_tasks import render_target, write_report
from scorefold.cluster.match.search_tasks import merge_states, score_leaf, write_result
from scorefold.cluster.run import Run, RunReference
from scorefold.errors import DamagedPartialError
from scorefold.planning.node import Node

COLLECT_SECONDS = 0.25
"""Work between two collections of cycles, each of which takes about a tenth of a second."""

_TASKS: dict[str, dict[str, Callable[[Any, Node], str]]] = {
    "match": {
        "compress": compress_cells,
        "score_leaf": score_leaf,
        "merge": merge_states,
        "write_result": write_result,
        "find_candidates": find_candidates,
        "refine": refine,
        "call_picks": call_picks,
        "render": render_target,
        "report": write_report,
    },
    "train": {
        "fold_images": train_tasks.fold_images,
        "merge_images": train_tasks.merge_images,
        "learn": train_tasks.learn,
        "calibrate": train_tasks.calibrate,
        "merge_calibrations": train_tasks.merge_calibrations,
        "report": train_tasks.write_report,
    },
    "inspect": {
        "score_images": score_tasks.score_images,
        "merge_scores": score_tasks.merge_scores,
        "evaluate": evaluate_tasks.evaluate,
        "merge_evaluations": evaluate_tasks.merge_evaluations,
        "set_threshold": measure_tasks.set_threshold,
        "measure": measure_tasks.measure,
        "render": sheet_tasks.render_sheet,
        "report": report_tasks.write_report,
    },
}
"""What does a piece of work, by kind of run and stage."""


class _Cycles:
    """Collects reference cycles now and then.

    Finished stores and futures leave cycles that keep whole states alive until Python collects them, which it does by
    their number, not by their size. What a worker process holds after its first task, modules above all, stays for
    good and is not searched again; most of the time of a collection would go there.
    """

    def __init__(self) -> None:
        self._collected = time.monotonic()
        self._frozen = multiprocessing.parent_process() is None  # somebody else's process is left as it is

    def collect(self) -> None:
        """Collect, unless tasks were too short since the last time to have left much."""
        if time.monotonic() - self._collected > COLLECT_SECONDS:
            gc.collect()
            if not self._frozen:
                gc.freeze()
                self._frozen = True
            self._collected = time.monotonic()


_cycles = _Cycles()
_one_at_a_time = threading.Lock()
"""Memory is planned, and transforms have buffers, for one task a process."""


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
            return _TASKS[opened.kind][node.stage](opened, node)
        finally:
            _cycles.collect()


def _is_committed(run: Run, node: Node) -> bool:
    """Tell whether the work was done before: a scheduler repeats the tasks of a worker that it lost."""
    try:
        return run.store.read_commit(node.key) is not None
    except DamagedPartialError:
        return False
