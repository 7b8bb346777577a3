"""`scorefold demo`: searches of which the truth is known, on data that needs no download."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.rule import Rule

from scorefold.api import Match
from scorefold.cli.console import console
from scorefold.cli.execution import default_workers, show_dashboard, starting, work_on
from scorefold.cli.options import Scheduler, Workers
from scorefold.cluster import Executor, create_run, executor
from scorefold.demo import Scene, coin_scene, particle_scene
from scorefold.errors import InputError
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.testing.planting import recovery

application = typer.Typer(help="Run a search of which the truth is known.", no_args_is_help=True)


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
    if out.exists():
        raise InputError(f'output "{out}": something is there already. Give a new --out, or remove it.')
    processes = default_workers(workers, scheduler)
    try:
        coins = coin_scene(out / "coins")
        particles = particle_scene(out / "particles")
    except OSError as error:
        raise InputError(f'output "{out}": cannot be written ({error.strerror or error}).') from None
    with executor(scheduler=scheduler, workers=processes) as (working, dashboard):
        show_dashboard(dashboard, quiet=False)
        code = _search(
            "A coin at any angle, in four photographs",
            coins,
            out / "run-coins",
            working,
            {"mask": "disk", "mask_radius": 22.0, "step": 3.0, "threshold": 0.6},
        )
        code |= _search(
            "A particle at any rotation, in a simulated noisy volume",
            particles,
            out / "run-particles",
            working,
            {"mask": "sphere", "step": 20.0, "threshold": "auto"},
        )
    return code


def _search(title: str, scene: Scene, run: Path, working: Executor, options: dict[str, Any]) -> int:
    console.print(Rule(f"[bold]{title}", align="left"))
    request = MatchRequest(
        targets=[str(path) for path in scene.targets],
        template=str(scene.template),
        workers=working.workers,
        **options,
    )
    created = create_run(str(run), prepare_match(request))
    with starting(created):
        code = work_on(working, created, render=True, quiet=False)
    _compare(scene, Match(run), tolerance=3.0)
    return code


def _compare(scene: Scene, found: Match, tolerance: float) -> None:
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
            tolerance,
        )
        planted, picked, matched = planted + result.planted, picked + result.picked, matched + result.matched
        distances.append(result.position_errors)
        angles.append(result.angle_errors)
    console.print(
        f"truth  {planted} planted, {matched} found, {picked - matched} false; median error "
        f"{np.median(np.concatenate(distances)):.2f} voxels, {np.median(np.concatenate(angles)):.1f} degrees"
        if matched
        else f"truth  {planted} planted, none found",
        soft_wrap=True,
    )
