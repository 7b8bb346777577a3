"""The driver: compare the plan with the commits, run a wave of what is missing, repeat until nothing is."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from scorefold.cluster.executor import Executor, Outcome
from scorefold.cluster.failures import Failures, how_to_go_on
from scorefold.cluster.live import live_driver
from scorefold.cluster.pace import Pace, TimeLeft
from scorefold.cluster.run import Run, one_line
from scorefold.errors import RunCancelled, StoreError, resume_command, status_command
from scorefold.planning.node import Node
from scorefold.store import Lease, driver_lease, driver_of

WAVE = 20_000
"""Largest number of tasks that are given to a scheduler at a time."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes
    ----------
    done, total : mapping of str to int
        Pieces of work by stage.
    last : Outcome or None
        What ended just now.
    left : TimeLeft or None
        How long what is under way may take.
    """

    done: dict[str, int]
    total: dict[str, int]
    last: Outcome | None = None
    left: TimeLeft | None = None


def drive(
    run: Run,
    executor: Executor,
    *,
    render: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Run a job to its end, or on from where it stopped.

    Parameters
    ----------
    run : Run
        The run.
    executor : Executor
        Who works.
    render : bool
        Whether pictures and the report are made.
    on_progress : callable, optional
        Told after every piece of work.

    Raises
    ------
    StoreError
        If some work fails for good; what is committed stays, and the run can be resumed. If another driver is
        at work on the run.
    RunCancelled
        If somebody asked it to stop.
    """
    try:
        with driver_lease(run.store) as lease, live_driver(run, executor) as live:

            def notify(progress: Progress) -> None:
                lease.told = {} if progress.left is None else {"left": asdict(progress.left)}
                live.update(progress)
                if on_progress is not None:
                    on_progress(progress)

            _reconcile(run, executor, lease, notify, live.watched, render=render)
    except OSError as error:  # full, read-only or gone
        raise StoreError(f"{one_line(error)}. {how_to_go_on(run, error)}") from error


def _reconcile(
    run: Run,
    executor: Executor,
    lease: Lease,
    notify: Callable[[Progress], None],
    watched: Callable[[Iterator[Node]], Iterator[Node]],
    *,
    render: bool,
) -> None:
    total = run.totals(render=render)
    failures = Failures(run)
    pace = Pace()
    while True:
        wave, missing = _survey(watched(run.missing(run.store.committed(), render=render)))
        done = Counter(total) - missing
        notify(_progress(done, total))
        if not wave:
            return
        # Closed on the way out, so that work given to a cluster does not outlive its driver.
        with contextlib.closing(executor.run(run.reference, failures.next_wave(wave))) as outcomes:
            for outcome in outcomes:
                _check(lease, run)
                if outcome is None:
                    if not executor.has_workers:
                        pace.waits()
                    notify(_progress(done, total, None, pace.left(done, total)))
                    continue
                if outcome.error is None:
                    done[outcome.node.stage] += 1
                    pace.ended(outcome.node.stage)
                elif not outcome.collateral:
                    failures.add(outcome.node, outcome.error, killed=outcome.killed)
                notify(_progress(done, total, outcome, pace.left(done, total)))


def _check(lease: Lease, run: Run) -> None:
    """End a driver that is not to go on."""
    location = run.store.location
    if lease.lost.is_set():
        raise StoreError(
            f'run "{location}": another driver has taken over, since this one was out of reach. Watch it with: '
            f"{status_command(location)}"
        )
    if lease.cancelled.is_set():
        raise RunCancelled(f"cancelled; what is done is kept. Go on with: {resume_command(location)}")


def _survey(nodes: Iterator[Node]) -> tuple[list[Node], Counter[str]]:
    """Return the next wave of what is missing, and how much that is by stage."""
    wave: list[Node] = []
    missing: Counter[str] = Counter()
    for node in nodes:
        missing[node.stage] += 1
        if len(wave) < WAVE:
            wave.append(node)
    return wave, missing


def _progress(
    done: Counter[str], total: dict[str, int], last: Outcome | None = None, left: TimeLeft | None = None
) -> Progress:
    return Progress({stage: done[stage] for stage in total}, dict(total), last, left)


def run_progress(run: Run, *, render: bool) -> Progress:
    """Return where a run stands, from its commits, and what its driver tells of the time."""
    total = run.totals(render=render)
    _, missing = _survey(run.missing(run.store.committed(), render=render))
    driver = driver_of(run.store)
    left = None if driver is None else TimeLeft.from_json(driver.told.get("left"))
    return _progress(Counter(total) - missing, total, left=left)
