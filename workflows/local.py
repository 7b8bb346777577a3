"""Find a coin at any angle in four photographs, then change the threshold without searching again."""

import argparse
from pathlib import Path

import numpy as np

import scorefold
from scorefold.demo import coin_scene


def main() -> None:
    """Run the workflow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for data and results; must be new")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--step", type=float, default=3.0, help="angular step in degrees")
    arguments = parser.parse_args()

    scene = coin_scene(arguments.out / "data")
    found = scorefold.match(
        scene.targets,
        scene.template,
        out=arguments.out / "run",
        workers=arguments.workers,
        mask="disk",
        mask_radius=22,
        step=arguments.step,
        threshold=0.6,
    )
    print(found.picks[["target", "rank", "score", "y", "x", "angle"]].to_string(index=False))

    # Score maps are Zarr arrays: only what is sliced is read.
    scores = found.scores["gravel"]
    best = np.unravel_index(np.argmax(scores[:]), scores.shape)
    print("best position in gravel:", [int(i) for i in best], "score", float(scores[best]))

    stricter = found.repick(threshold=0.85)
    print(f"{len(found.picks)} picks above 0.6, {len(stricter.picks)} above 0.85; report: {found.report}")


# Worker processes are spawned: a script that starts them needs this guard.
if __name__ == "__main__":
    main()
