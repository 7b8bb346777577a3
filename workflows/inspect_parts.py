"""Inspect a printed label that lies anywhere, at any angle: learn, compare, change the threshold, evaluate."""

import argparse
from pathlib import Path

import numpy as np

import scorefold
from scorefold.demo import label_scene


def main() -> None:
    """Run the workflow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for data and results; must be new")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--good", type=int, default=24, help="good images to learn from")
    parser.add_argument("--lot", type=int, default=4, help="images of each kind to inspect")
    arguments = parser.parse_args()

    # Good images in a folder, images to inspect in others, masks of their defects, and a picture of the part.
    scene = label_scene(
        arguments.out / "data", good=arguments.good, sound=arguments.lot, defective=arguments.lot
    )
    model = scorefold.train(
        scene.good,
        template=scene.template,
        gain_offset=True,
        factor=4.0,
        out=arguments.out / "model",
        workers=arguments.workers,
    )
    print(model.images[["name", "score"]].round(2).to_string(index=False))

    found = scorefold.inspect(scene.images, model, out=arguments.out / "run", workers=arguments.workers)
    columns = ["name", "score", "verdict", "defects", "y", "x", "angle"]
    print(found.images[columns].round(2).to_string(index=False))
    columns = ["name", "polarity", "peak", "area", "target_y", "target_x"]
    print(found.defects[columns].round(1).to_string(index=False))

    # Score maps and masks are Zarr arrays in the coordinates of the template: one is read where one is asked for.
    worst = found.images.loc[found.images["score"].idxmax(), "name"]
    peak, pixels = np.nanmax(np.abs(found.scores(worst))), found.mask(worst).sum()
    print(f"{worst}: scores up to {peak:.2f}, {pixels} anomalous pixels")

    # The highest score of a good image as threshold, and no small defects; no map is computed again.
    strict = found.remeasure(threshold="fp:0", min_area=5)
    print(f"threshold {found.threshold:.3g}, then {strict.threshold:.3g}")

    # What is truly wrong, as masks named like the images.
    known = strict.evaluate(masks=scene.masks)
    print(known.metrics)
    print("report:", known.report)


# Worker processes are spawned: a script that starts them needs this guard.
if __name__ == "__main__":
    main()
