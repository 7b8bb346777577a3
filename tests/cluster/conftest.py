"""Ways to disturb runs of all kinds: any order of tasks, a stop after every task, another number of workers."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from scorefold.cluster import Progress, drive, open_run, run_progress
from scorefold.cluster.executor import Outcome, SerialExecutor
from scorefold.cluster.run import Run, RunReference
from scorefold.planning.node import Node


class ShuffledExecutor(SerialExecutor):
    """Runs a wave in a random order, every node after its inputs.

    What comes last in the plan goes first, if it may, with a probability of `late`.
    """

    def __init__(self, seed: int, late: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.late = late

    def run(self, run: RunReference, wave: Sequence[Node]) -> Iterator[Outcome]:
        waiting, ordered, done = list(wave), [], set()
        due = {node.key for node in wave}
        while waiting:
            ready = [node for node in waiting if not (set(node.inputs) & due) - done]
            node = ready[-1] if self.random.random() < self.late else self.random.choice(ready)
            waiting.remove(node)
            done.add(node.key)
            ordered.append(node)
        yield from super().run(run, ordered)


@pytest.fixture
def shuffled() -> Callable[..., ShuffledExecutor]:
    """Make executors that take tasks in a random order: ``shuffled(seed, late=0.0)``."""
    return ShuffledExecutor


@pytest.fixture
def stop_after_every_task() -> Callable[[Run], int]:
    """Drive a run to its end, stopping the driver after every task; return how often it was stopped."""

    class StoppedError(BaseException):
        pass

    def stop(progress: Progress) -> None:
        if progress.last is not None:
            raise StoppedError

    def drive_on(run: Run) -> int:
        stops = 0
        while True:
            progress = run_progress(run, render=False)
            if sum(progress.done.values()) == sum(progress.total.values()):
                return stops
            with contextlib.suppress(StoppedError):
                drive(open_run(run.store.location), SerialExecutor(), render=False, on_progress=stop)
            stops += 1

    return drive_on


@pytest.fixture
def scale() -> Callable[[Any, int], None]:
    """Give an embedded cluster another number of workers: ``scale(client, workers)``."""

    def change(client: Any, workers: int) -> None:
        client.cluster.scale(workers)
        deadline = time.monotonic() + 60
        while len(client.nthreads()) != workers:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    return change
