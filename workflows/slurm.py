"""Search on a cluster behind SLURM: workers are its jobs; start this where jobs are submitted from."""

import argparse
from pathlib import Path

import yaml

import scorefold
from scorefold.cluster import queued_cluster
from scorefold.demo import coin_scene

MEMORY_LIMIT = 2 * 2**30
"""Bytes that a worker may use."""


def main() -> None:
    """Run the workflow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a directory that all nodes see; must be new")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--partition", help="partition of the jobs (default: as configured)")
    parser.add_argument(
        "--config", type=Path, default=Path(__file__).parent / "jobs" / "slurm.yaml", help="what a job is"
    )
    parser.add_argument("--step", type=float, default=3.0, help="angular step in degrees")
    arguments = parser.parse_args()

    config = yaml.safe_load(arguments.config.read_text())
    if arguments.partition is not None:
        config["queue"] = arguments.partition
    scene = coin_scene(arguments.out / "data")
    with queued_cluster("slurm", arguments.workers, config, MEMORY_LIMIT) as client:
        print("dashboard, on this machine:", client.dashboard_link)
        found = scorefold.match(
            scene.targets,
            scene.template,
            out=arguments.out / "run",
            client=client,
            memory_limit=MEMORY_LIMIT,
            mask="disk",
            mask_radius=22,
            step=arguments.step,
            threshold=0.6,
        )
    print(found.picks[["target", "rank", "score", "y", "x", "angle"]].to_string(index=False))
    print("report:", found.report)


if __name__ == "__main__":
    main()
