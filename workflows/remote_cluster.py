"""Search on a Dask cluster that somebody else runs, through its client; without --scheduler, start one to try it."""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from distributed import Client, LocalCluster

import scorefold
from scorefold.demo import coin_scene


@contextlib.contextmanager
def some_client(address: str | None) -> Iterator[Client]:
    """Connect to a scheduler, or start a cluster of two workers on this machine."""
    if address is not None:
        with Client(address) as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def main() -> None:
    """Run the workflow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="a directory that all workers see; must be new"
    )
    parser.add_argument("--scheduler", help="address of the scheduler")
    parser.add_argument("--step", type=float, default=3.0, help="angular step in degrees")
    arguments = parser.parse_args()

    scene = coin_scene(arguments.out / "data")
    with some_client(arguments.scheduler) as client:
        print("dashboard:", client.dashboard_link)
        found = scorefold.match(
            scene.targets,
            scene.template,
            out=arguments.out / "run",
            client=client,
            mask="disk",
            mask_radius=22,
            step=arguments.step,
            threshold=0.6,
        )
    print(found.picks[["target", "rank", "score", "y", "x", "angle"]].to_string(index=False))
    print("report:", found.report)


if __name__ == "__main__":
    main()
