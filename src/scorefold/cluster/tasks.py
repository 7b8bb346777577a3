"""What runs on a worker: one function that does one piece of a run's work and returns its key."""

import gc
import threading
from collections.abc import Callable

from scorefold.cluster.context import RunContext, RunReference, context
from scorefold.cluster.pick_tasks import call_picks
from scorefold.cluster.render_tasks import render_target, write_report
from scorefold.cluster.search_tasks import merge_states, score_leaf, write_result
from scorefold.planning.plan import STAGES, Node

_TASKS: dict[str, Callable[[RunContext, Node], str]] = dict(
    zip(
        STAGES, (score_leaf, merge_states, write_result, call_picks, render_target, write_report), strict=True
    )
)


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
            return _TASKS[node.stage](context(run), node)
        finally:
            # Finished stores and futures leave reference cycles that keep whole states alive until Python collects
            # them, which it does by their number, not by their size.
            gc.collect()
