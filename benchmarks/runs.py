"""Whole runs: what more workers bring, what driving a million units takes, and what merging states takes."""

import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.measuring import Row, Table
from benchmarks.no_work import with_blocks
from scorefold.cluster import MatchRun, Progress, create_run, drive
from scorefold.cluster.executor import SerialExecutor
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.kinds import open_match
from scorefold.cluster.local import local_cluster
from scorefold.planning.node import Node
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.testing.planting import chain_density

MEBIBYTE = 2**20

LEAVES_TOGETHER = 2
"""Leaves that are scored by a bare loop and by a cluster in turn."""


class Clock:
    """Tells what the stages of a run took: all of it on one worker; on more, what passed between the ends of pieces.

    Attributes
    ----------
    seconds : Counter of str
        By stage, each piece of work from when the one before had ended.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._before: float | None = None

    def __call__(self, progress: Progress) -> None:
        """Take the time, as a driver's `on_progress`, which it calls first when it begins."""
        now = time.perf_counter()
        if self._before is None:
            self._before = now
        elif progress.last is not None:
            self.seconds[progress.last.node.stage] += now - self._before
            self._before = now


def more_workers(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:  # noqa: ARG001
    """Compare a search of many images on one worker and on two with a bare loop over the same leaves."""
    count, shape, box, step = (6, (48, 64), 9, 60.0) if tiny else (500, (480, 640), 49, 3.0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        template = _make_targets(root / "images", count, shape, box)
        prepared = prepare_match(
            MatchRequest(
                targets=[str(root / "images")],
                template=template,
                mask="disk",
                step=step,
                engine="exact",
                workers=2,
                threshold=0.6,
            )
        )
        runs = {workers: create_run(str(root / f"run-{workers}"), prepared) for workers in (0, 1, 2)}
        seconds: dict[int, float] = {}
        clock = Clock()
        for workers in (1, 2):
            with local_cluster(workers) as client:
                client.run(_import_what_tasks_need)
                if workers == 1:
                    turns = _turns(runs[0], DaskExecutor(client))
                start = time.perf_counter()
                on_progress = clock if workers == 1 else None
                drive(runs[workers], DaskExecutor(client), render=False, on_progress=on_progress)
                seconds[workers] = time.perf_counter() - start
    bare, two, leaves = (
        statistics.median(getattr(turn, name) for turn in turns) for name in ("bare", "two", "dask")
    )
    rest = "with candidates, refinement, picks, tables and report, without pictures; the cluster is up"
    rows = [
        Row("bare loop over the leaves", bare, {"bare loop": 1.0}, "one process; nothing is stored"),
        Row("two at once", two, {"bare loop": two / bare}, "two processes; what the machine allows"),
        Row(
            "1 worker, leaves",
            leaves,
            {"bare loop": leaves / bare},
            "the same through Dask; score maps stored",
        ),
        Row("1 worker, whole run", seconds[1] / count, {"bare loop": seconds[1] / count / bare}, rest),
        Row("2 workers, whole run", seconds[2] / count, {"bare loop": seconds[2] / count / bare}, rest),
    ]
    overhead = 100 * (statistics.median(turn.dask / turn.bare for turn in turns) - 1)
    rates = {workers: f"{count / taken:.2f}" for workers, taken in seconds.items()}
    remarks = [
        f"2 workers: {rates[2]} images/s, {seconds[1] / seconds[2]:.2f} × the {rates[1]} of 1 worker.",
        f"Dask and store: {overhead:.1f} % over the bare loop (median of {len(turns)} turns).",
        f"Two bare loops at once: {bare / two:.2f} × the images/s of one.",
        f"Seconds of the run on 1 worker by stage: {listed(clock.seconds)}.",
    ]
    title = f"{count} images of {shape[1]}×{shape[0]}, template {box}×{box}, {round(360 / step)} angles"
    return [Table(title, "image", rows, remarks)]


def _make_targets(folder: Path, count: int, shape: tuple[int, int], box: int) -> np.ndarray:
    """Write images of noise, each with a copy of the template that is returned."""
    rng = np.random.default_rng(0)
    template = np.asarray(gaussian_filter(rng.normal(size=(box, box)), 1.5))
    template *= 40 / template.std()
    folder.mkdir()
    for number in range(count):
        image = 128 + gaussian_filter(rng.normal(size=shape), 1) * 60
        row, column = rng.integers(0, np.array(shape) - box)
        image[row : row + box, column : column + box] += template
        cv2.imwrite(str(folder / f"image-{number:04d}.png"), np.clip(image, 0, 255).astype(np.uint8))
    return template


@dataclass(frozen=True)
class _Turn:
    """Seconds an image of a few leaves: in a bare loop, in two at once, and on a cluster of one worker."""

    bare: float
    two: float
    dask: float


def _turns(run: MatchRun, executor: DaskExecutor) -> list[_Turn]:
    """Score all leaves a few at a time in every way in turn; the first few are not counted."""
    leaves = [node for node in run.missing(set(), render=False) if node.stage == "score_leaf"]
    turns = []
    # Processes without Dask, as somebody's own loop would run in.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:

        def bare_loops(count: int, some: list[Node]) -> float:
            loops = [pool.submit(_bare_loop, run.store.location, some) for _ in range(count)]
            return max(loop.result() for loop in loops)

        bare_loops(2, leaves[:LEAVES_TOGETHER])  # both processes import what they need
        for first in range(0, len(leaves), LEAVES_TOGETHER):
            some = leaves[first : first + LEAVES_TOGETHER]
            images = sum(len(run.plan.batch_tiles(leaf.batch)) for leaf in some)
            start = time.perf_counter()
            outcomes = list(executor.run(run.reference, some))
            dask = time.perf_counter() - start
            if any(outcome is not None and outcome.error for outcome in outcomes):
                raise RuntimeError(f"a leaf failed: {outcomes}")
            turns.append(_Turn(bare_loops(1, some) / images, bare_loops(2, some) / images / 2, dask / images))
    return turns[1:] or turns


_open = lru_cache(maxsize=1)(open_match)


def _bare_loop(location: str, leaves: list[Node]) -> float:
    """Return how long leaves take in a loop in this process; nothing is stored."""
    cv2.setNumThreads(1)
    run = _open(location)
    start = time.perf_counter()
    for leaf in leaves:
        _score(run, leaf)
    return time.perf_counter() - start


def _score(run: MatchRun, leaf: Node) -> None:
    """Do what a leaf does without Dask and without a store: read, score, and keep the best."""
    tiles = run.plan.batch_tiles(leaf.batch)
    analyzers = [run.analyzer(tile) for _, tile in tiles]
    pixels = [run.pixels(run.job.targets[target], tile) for target, tile in tiles]
    engine = run.engine(run.plan.group_of(leaf.batch).tiling.fft_shape)
    batch = engine.prepare([tile for _, tile in tiles], pixels, analyzers)
    states = [analyzer.init_state() for analyzer in analyzers]
    for rotation in range(*leaf.rotations):
        states = batch.fold(rotation, states)
    for analyzer, state in zip(analyzers, states, strict=True):
        analyzer.result(state)


def _import_what_tasks_need() -> None:
    """Import on a worker, so that the first tasks do not pay for it."""
    from scorefold.cluster.tasks import task_of  # noqa: PLC0415

    for stage in ("score_leaf", "write_result", "find_candidates", "refine", "call_picks", "report"):
        task_of("match", stage)


def a_million_units(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:  # noqa: ARG001
    """Drive a plan of a million pairs of a tile and a rotation whose work is to commit an empty record."""
    targets, angles, block = (4, 20, 5) if tiny else (1_000, 1_000, 10)
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "benchmarks.no_work", name, str(targets), str(angles), str(block)]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    pieces, leaves = told["pieces"], told["leaves"]
    rows = [
        Row("commit alone", told["commit"], {"commit": 1.0}, "an empty record, on disk"),
        Row(
            "piece of work without work",
            told["seconds"] / pieces,
            {"commit": told["seconds"] / pieces / told["commit"]},
            "planned, sent, committed and told; wall time",
        ),
        Row(
            "leaf, with its share of the rest",
            told["seconds"] / leaves,
            {"commit": told["seconds"] / leaves / told["commit"]},
            "merges and the stages of its target included",
        ),
    ]
    peak, idle = (f"{told[name] / MEBIBYTE:.0f} MiB" for name in ("peak", "idle"))
    remarks = [
        f"{told['units']:,} units in {leaves:,} leaves, {pieces:,} pieces of work in all, {told['seconds']:.0f} s.",
        f"At most {told['live']:,} tasks on the scheduler.",
        f"Largest resident set of driver, scheduler and dashboard, one process: {peak} ({idle} before the first task).",
    ]
    return [Table("Work without work, 2 workers", "piece", rows, remarks)]


def merging(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:  # noqa: ARG001
    """Search a volume, cut as it is planned for two workers, and tell what uniting the partials takes."""
    edge, box, step = (24, 8, 60.0) if tiny else (128, 32, 20.0)
    rng = np.random.default_rng(0)
    request = MatchRequest(
        targets=[rng.normal(size=(edge,) * 3).astype(np.float32)],
        template=chain_density(rng, box, blur=0.8),
        mask="sphere",
        step=step,
        engine="exact",
        workers=2,
        refine=False,
        top=5,
    )
    with tempfile.TemporaryDirectory() as name:
        prepared = prepare_match(request)
        if tiny:
            prepared = with_blocks(prepared, 3)
        run = create_run(f"{name}/run", prepared, keep_states=True)
        clock = Clock()
        drive(run, SerialExecutor(), render=False, on_progress=clock)
        written: Counter[str] = Counter()
        read: Counter[str] = Counter()
        for node in run.plan.search_nodes(0):
            written[node.stage] += _bytes_of(run, node.key)
            read[node.stage] += sum(_bytes_of(run, key) for key in node.inputs)
    leaves = run.plan.leaf_count
    leaf, merge = (clock.seconds[stage] / leaves for stage in ("score_leaf", "merge"))

    def per_leaf(size: int) -> str:
        return f"{size / leaves / MEBIBYTE:.2f} MiB"

    rows = [
        Row("leaf", leaf, {"leaf": 1.0}, f"{per_leaf(written['score_leaf'])} written"),
        Row(
            "merges, share of a leaf",
            merge,
            {"leaf": merge / leaf},
            f"{per_leaf(written['merge'])} written and {per_leaf(read['merge'])} read",
        ),
    ]
    block = run.plan.groups[0].rotation_block
    remarks = [
        f"{leaves} leaves of {block} of {run.plan.rotation_count:,} rotations and {run.plan.merge_count} merges.",
        f"Merging takes {100 * merge / leaf:.1f} % of a leaf's time; longer searches have leaves of 20 s.",
    ]
    return [Table(f"Merge tree, target {edge}³, template {box}³", "leaf", rows, remarks)]


def _bytes_of(run: MatchRun, key: str) -> int:
    """Return the bytes of a record and its arrays."""
    root = Path(run.store.location)
    arrays = sum(path.stat().st_size for path in (root / "states" / key).rglob("*") if path.is_file())
    return arrays + (root / "commits" / f"{key}.json").stat().st_size


def listed(seconds: Counter[str]) -> str:
    """Return seconds by stage as text, the longest first."""
    return ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.most_common())


BENCHMARKS: dict[str, Callable[..., Iterable[Table]]] = {
    "workers": more_workers,
    "units": a_million_units,
    "merges": merging,
}
"""Benchmarks by the name that users give."""
