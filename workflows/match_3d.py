"""Find a particle in a simulated volume with a near-uniform rotation set, then with an own list of rotations."""

import argparse
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

import scorefold
from scorefold.demo import particle_scene


def main() -> None:
    """Run the workflow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for data and results; must be new")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--step", type=float, default=20.0, help="angular step in degrees")
    arguments = parser.parse_args()

    scene = particle_scene(arguments.out / "data")
    coarse = scorefold.match(
        scene.targets,
        scene.template,
        out=arguments.out / "coarse",
        workers=arguments.workers,
        mask="sphere",
        step=arguments.step,
    )
    columns = ["rank", "score", "z", "y", "x", "rot", "tilt", "psi"]
    print(coarse.picks[columns].round(2).to_string(index=False))
    print("RELION particles:", arguments.out / "coarse" / "tables" / "picks.star")

    # Small turns about the rotations found: a list of matrices is a rotation set, too.
    turns = Rotation.from_rotvec(
        np.radians(arguments.step / 2) * np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    )
    picked = coarse.rotation_set[coarse.picks["rotation_id"].to_numpy()]
    nearby = np.concatenate([turns.as_matrix() @ matrix for matrix in picked])
    fine = scorefold.match(
        scene.targets,
        scene.template,
        out=arguments.out / "fine",
        workers=arguments.workers,
        mask="sphere",
        rotations=nearby,
        threshold=float(coarse.picks["score"].min()),
    )
    print(fine.picks[columns].round(2).to_string(index=False))


if __name__ == "__main__":
    main()
