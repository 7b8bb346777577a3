"""A process that drives a plan whose pieces of work only commit an empty record, and tells what that took."""

import json
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.measuring import THREADS
from scorefold.cluster import MatchRun, Progress, create_run, drive, tasks
from scorefold.cluster.graph import DaskExecutor
from scorefold.cluster.local import local_cluster
from scorefold.planning.node import Node
from scorefold.planning.prepare import PreparedMatch, prepare_match
from scorefold.planning.request import MatchRequest


def with_blocks(prepared: PreparedMatch, rotation_block: int) -> PreparedMatch:
    """Return a search cut into leaves of one tile and so many rotations."""
    groups = tuple(
        replace(group, batch_tiles=1, rotation_block=rotation_block) for group in prepared.plan.groups
    )
    return replace(prepared, plan=replace(prepared.plan, groups=groups))


def commit_nothing(run: MatchRun, node: Node) -> str:
    """Commit an empty record, in place of every task."""
    run.store.commit(node.key)
    return node.key


def only_commit() -> None:
    """Have this process, a worker, do nothing else from now on."""
    tasks.task_of = lambda _kind, _stage: commit_nothing  # type: ignore[assignment]


def main(folder: str, targets: int, angles: int, block: int) -> None:
    """Drive `targets` images times `angles` rotations in leaves of `block` rotations; print what it took as JSON."""
    root = Path(folder)
    (root / "images").mkdir()
    image = np.random.default_rng(0).integers(0, 255, (32, 32)).astype(np.uint8)
    for number in range(targets):
        cv2.imwrite(str(root / f"images/image-{number:04d}.png"), image)
    request = MatchRequest(
        targets=[str(root / "images")],
        template=image[8:17, 8:17].astype(float),
        mask="disk",
        step=360 / angles,
        engine="exact",
    )
    run = create_run(str(root / "run"), with_blocks(prepare_match(request), block))
    start = time.perf_counter()
    for number in range(200):
        run.store.commit(f"trial-{number}")
    commit = (time.perf_counter() - start) / 200
    run.store.forget(f"trial-{number}" for number in range(200))

    this = psutil.Process()
    with local_cluster(2) as client:
        client.run(only_commit)
        scheduler = client.cluster.scheduler
        idle = peak = this.memory_info().rss
        live = 0

        def look(_progress: Progress) -> None:
            nonlocal live
            live = max(live, len(scheduler.tasks))

        ended = threading.Event()

        def sample() -> None:
            nonlocal peak
            while not ended.wait(0.2):
                peak = max(peak, this.memory_info().rss)

        sampler = threading.Thread(target=sample)
        sampler.start()
        start = time.perf_counter()
        try:
            drive(run, DaskExecutor(client), on_progress=look)
        finally:
            ended.set()
            sampler.join()
        seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "units": sum(group.tile_count for group in run.plan.groups) * run.plan.rotation_count,
                "pieces": sum(run.totals(render=True).values()),
                "leaves": run.plan.leaf_count,
                "seconds": seconds,
                "live": live,
                "idle": idle,
                "peak": peak,
                "commit": commit,
            }
        )
    )


if __name__ == "__main__":
    os.environ.update(THREADS)
    main(sys.argv[1], *map(int, sys.argv[2:]))
