"""`scorefold demo`: searches of which the truth is known, on data that needs no download."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorefold.cli.console import say
from scorefold.cli.execution import Workplace, check_output
from scorefold.cli.options import Scheduler, Workers
from scorefold.cli.results import show_results
from scorefold.errors import InputError

if TYPE_CHECKING:
    from scorefold.demo import Scene

application = typer.Typer(help="Run a search of which the truth is known.", no_args_is_help=True)

SHOWN = 8

TOLERANCE = 3.0
"""Voxels between a pick and the truth up to which it counts as found."""


@application.callback()
def _group() -> None:
    """Run a search of which the truth is known."""


@application.command("match")
def match(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory for data and runs; must be new.")
    ] = Path("demo-match"),
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> int:
    """Find a turned coin in photographs, then a particle in a simulated volume."""
    from scorefold.demo import coin_scene, particle_scene

    check_output(str(out))
    with Workplace(workers, scheduler) as place:
        try:
            coins = coin_scene(out / "coins")
            particles = particle_scene(out / "particles")
        except OSError as error:
            raise InputError(f'output "{out}": cannot be written ({error.strerror or error}).') from None
        code = _search(
            "A coin at any angle, in four photographs",
            coins,
            out / "run-coins",
            place,
            {"mask": "disk", "mask_radius": 22.0, "step": 3.0, "threshold": 0.6},
        )
        code |= _search(
            "A particle at any rotation, in a simulated noisy volume",
            particles,
            out / "run-particles",
            place,
            {"mask": "sphere", "step": 20.0, "threshold": "auto"},
        )
    return code


def _search(title: str, scene: "Scene", run: Path, place: Workplace, options: dict[str, Any]) -> int:
    from scorefold.cluster import create_run
    from scorefold.planning.prepare import prepare_match
    from scorefold.planning.request import MatchRequest

    say(f"── {title}")
    request = MatchRequest(
        targets=[str(path) for path in scene.targets],
        template=str(scene.template),
        workers=place.workers,
        **options,
    )
    created = create_run(str(run), prepare_match(request))
    summary = partial(show_results, most=SHOWN, render=True)
    code = place.work(created, render=True, quiet=False, summary=summary)
    _compare(scene, run)
    return code


def _compare(scene: "Scene", run: Path) -> None:
    import numpy as np

    from scorefold.api import Match
    from scorefold.testing.planting import recovery

    found = Match(run)
    planted = picked = matched = 0
    distances, angles = [], []
    for name, (positions, rotations) in scene.truth.items():
        picks = found.picks[found.picks["target"] == name]
        columns = [axis for axis in "zyx" if axis in picks.columns]
        result = recovery(
            positions,
            rotations,
            picks[columns].to_numpy(),
            found.rotation_set[picks["rotation_id"].to_numpy()],
            TOLERANCE,
        )
        planted, picked, matched = planted + result.planted, picked + result.picked, matched + result.matched
        distances.append(result.position_errors)
        angles.append(result.angle_errors)
    text = f"truth  {planted} planted, {matched} found, {picked - matched} false"
    if matched:
        text += (
            f"; median error {np.median(np.concatenate(distances)):.2f} voxels, "
            f"{np.median(np.concatenate(angles)):.1f} degrees"
        )
    say(text)
