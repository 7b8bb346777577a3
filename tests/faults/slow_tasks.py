"""A preload for Dask workers: every piece of work takes as long as one of a large search."""

import threading

from scorefold.cluster import tasks

SECONDS = 0.7


def dask_setup(worker):
    """Slow the work of this process down; nannies load this, too."""
    quick = getattr(tasks.task_of, "quick", tasks.task_of)

    def slow_task_of(kind, stage):
        task = quick(kind, stage)

        def work(run, node):
            threading.Event().wait(SECONDS)
            return task(run, node)

        return work

    slow_task_of.quick = quick
    tasks.task_of = slow_task_of
