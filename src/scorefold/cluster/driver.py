"""The driver: compare the plan with the commits, run a wave of what is missing, repeat until nothing is."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scorefold.cluster.context import RunContext
from scorefold.cluster.executor import Executor, Outcome
from scorefold.cluster.search_tasks import one_line
from scorefold.errors import DamagedPartialError, ScorefoldError, StoreError
from scorefold.planning.plan import STAGES, Node

WAVE = 20_000
"""Largest number of tasks that are given to a scheduler at a time."""

ATTEMPTS = 3
"""How often work is tried before the run stops."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes
    ----------
    done, total : mapping of str to int
        Pieces of work by stage.
    last : Outcome or None
        What ended just now.
    """

    done: dict[str, int]
    total: dict[str, int]
    last: Outcome | None = None


def drive(
    run: RunContext,
    executor: Executor,
    *,
    render: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Run a job to its end, or on from where it stopped.

    Parameters
    ----------
    run : RunContext
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
        If some work failed `ATTEMPTS` times; what is committed stays, and the run can be resumed.
    """
    notify = on_progress or (lambda _: None)
    total = stage_totals(run, render=render)
    failures: Counter[str] = Counter()
    while True:
        wave, missing = _survey(run, render=render)
        done = Counter(total) - missing
        notify(_progress(done, total))
        if not wave:
            return
        failed: set[str] = set()
        # Closed on the way out, so that work given to a cluster does not outlive its driver.
        with contextlib.closing(executor.run(run.reference, wave)) as outcomes:
            for outcome in outcomes:
                if outcome.error is None:
                    done[outcome.node.stage] += 1
                elif not outcome.collateral:
                    key = _blamed(outcome)
                    # Several tasks may stumble over one damaged partial; that is one failure of it.
                    if key not in failed:
                        failed.add(key)
                        failures[key] += 1
                        _put_up_again(run, key, outcome.error, failures[key])
                notify(_progress(done, total, outcome))


def _blamed(outcome: Outcome) -> str:
    """Return the key of the work to do again."""
    return outcome.error.key if isinstance(outcome.error, DamagedPartialError) else outcome.node.key


def _put_up_again(run: RunContext, key: str, error: BaseException, tries: int) -> None:
    """Make failed work due again; stop when it fails again and again, or an error says that it always will."""
    if isinstance(error, DamagedPartialError):
        run.store.discard(key, error.reason)
        for_good = False
    else:
        for_good = isinstance(error, ScorefoldError)
    if for_good or tries >= ATTEMPTS:
        raise StoreError(
            f"{key}: failed {tries} times ({one_line(error)}). What is done is kept; "
            f"go on with: scorefold resume {run.store.location}"
        ) from error


def _survey(run: RunContext, *, render: bool) -> tuple[list[Node], Counter[str]]:
    """Compare plan and commits: return the next wave, and how much is missing by stage."""
    wave: list[Node] = []
    missing: Counter[str] = Counter()
    for node in missing_nodes(run, run.store.committed(), render=render):
        missing[node.stage] += 1
        if len(wave) < WAVE:
            wave.append(node)
    return wave, missing


def _progress(done: Counter[str], total: dict[str, int], last: Outcome | None = None) -> Progress:
    return Progress({stage: done[stage] for stage in STAGES}, dict(total), last)


def stage_totals(run: RunContext, *, render: bool) -> dict[str, int]:
    """Return the number of pieces of work by stage."""
    targets = len(run.job.targets)
    return {
        "score_leaf": run.plan.leaf_count,
        "merge": run.plan.merge_count,
        "write_result": run.plan.batch_count,
        "call_picks": targets,
        "render": targets if render else 0,
        "report": 1,
    }


def missing_nodes(run: RunContext, committed: set[str], *, render: bool) -> Iterator[Node]:
    """Yield the work that is neither committed nor superseded, every piece after its inputs."""
    options = run.job.picks.digest
    next_batch = 0
    for target in run.plan.target_order():
        for batch in range(next_batch, run.plan.batches_of(target).stop):
            yield from _missing_of_batch(run, batch, committed)
        next_batch = max(next_batch, run.plan.batches_of(target).stop)
        nodes = [run.plan.pick_node(target, options)]
        if render:
            nodes.append(run.plan.render_node(target, options))
        yield from (node for node in nodes if node.key not in committed)
    report = run.plan.report_node(options, render=render)
    if report.key not in committed:
        yield report


def _missing_of_batch(run: RunContext, batch: int, committed: set[str]) -> Iterator[Node]:
    write = run.plan.write_node(batch)
    if write.key in committed:
        return
    nodes = {node.key: node for node in run.plan.search_nodes(batch)}
    wanted: set[str] = set()
    pending = list(write.inputs)
    while pending:
        key = pending.pop()
        if key not in committed:
            wanted.add(key)
            pending.extend(nodes[key].inputs)
    yield from (node for key, node in nodes.items() if key in wanted)
    yield write


def run_progress(run: RunContext, *, render: bool) -> Progress:
    """Return where a run stands, from its commits alone."""
    total = stage_totals(run, render=render)
    _, missing = _survey(run, render=render)
    return _progress(Counter(total) - missing, total)


def needed_keys(run: RunContext) -> set[str]:
    """Return the keys whose records, or checkpoints, a run still needs: what is not part of something later.

    Partials of a batch are superseded by the record of its result maps, and by the merge that united them.
    """
    committed = run.store.committed()
    started = committed | run.store.checkpoints()
    needed = {key for key in committed if not key.startswith(("score_leaf-", "merge_"))}
    for batch in range(run.plan.batch_count):
        if run.plan.write_node(batch).key in committed:
            continue
        superseded: set[str] = set()
        for node in reversed(run.plan.search_nodes(batch)):
            if node.key in committed or node.key in superseded:
                superseded.update(node.inputs)
            if node.key in started and node.key not in superseded:
                needed.add(node.key)
    return needed
