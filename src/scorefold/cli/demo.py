"""`scorefold demo`: searches and inspections of which the truth is known, on data that needs no download."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorefold.cli.console import plain_table, say, show
from scorefold.cli.execution import Workplace, check_output, with_workplace
from scorefold.cli.results import show_results
from scorefold.cli.wording import count
from scorefold.errors import InputError

if TYPE_CHECKING:
    from scorefold.demo import InspectionScene, Scene

application = typer.Typer(
    help="Run a search or an inspection of which the truth is known.", no_args_is_help=True
)

SHOWN = 8

VERDICTS = ("OK", "NG", "NOT_FOUND", "ERROR")

TOLERANCE = 3.0
"""Voxels between a pick and the truth up to which it counts as found."""


@application.callback()
def _group() -> None:
    """Run a search or an inspection of which the truth is known."""


@application.command("match")
@with_workplace
def match(
    place: Workplace,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory for data and runs; must be new.")
    ] = Path("demo-match"),
) -> int:
    """Find a turned coin in photographs, then a particle in a simulated volume."""
    from scorefold.demo import coin_scene, particle_scene

    check_output(str(out))
    with place:
        with _writing(out):
            coins = coin_scene(out / "coins")
            particles = particle_scene(out / "particles")
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
            {"mask": "sphere", "step": 24.0, "threshold": "auto"},
        )
    return code


@application.command("inspect")
@with_workplace
def inspect(
    place: Workplace,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory for data and runs; must be new.")
    ] = Path("demo-inspect"),
) -> int:
    """Find what is wrong with a printed surface, then with a label that lies anywhere, at any angle."""
    from scorefold.demo import label_scene, surface_scene

    check_output(str(out))
    with place:
        with _writing(out):
            surface = surface_scene(out / "surface")
            label = label_scene(out / "label")
        code = _inspect(
            "A printed surface, each image another shot of it",
            surface,
            out / "model-surface",
            out / "run-surface",
            place,
            {"method": "gaussian", "gain_offset": True},
        )
        code |= _inspect(
            "A printed label, located first: anywhere, at any angle",
            label,
            out / "model-label",
            out / "run-label",
            place,
            {"template": str(label.template), "gain_offset": True, "factor": 4.0},
        )
    return code


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f'output "{out}": cannot be written ({error.strerror or error}).') from None


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
        here = (found.picks["target"] == name).to_numpy()
        picks = found.picks[here]
        columns = [axis for axis in "zyx" if axis in picks.columns]
        result = recovery(
            positions,
            rotations,
            picks[columns].to_numpy(),
            found.pick_rotations[here],
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


def _inspect(
    title: str, scene: "InspectionScene", model: Path, run: Path, place: Workplace, options: dict[str, Any]
) -> int:
    from scorefold.api.model import open_model
    from scorefold.cluster import create_inspection, create_training
    from scorefold.planning.inspect_request import InspectRequest, TrainRequest
    from scorefold.planning.prepare_inspect import prepare_inspect, prepare_train

    say(f"── {title}")
    summary = partial(show_results, most=SHOWN, render=True)
    learning = TrainRequest(images=[str(scene.good)], workers=place.workers, **options)
    training = create_training(str(model), prepare_train(learning))
    code = place.work(training, render=True, quiet=False, summary=summary)
    request = InspectRequest(
        images=[str(folder) for folder in scene.images],
        model=open_model(str(model)),
        masks=str(scene.masks),
        workers=place.workers,
    )
    inspection = create_inspection(str(run), prepare_inspect(request))
    code |= place.work(inspection, render=True, quiet=False, summary=summary)
    _compare_verdicts(scene, run)
    return code


def _compare_verdicts(scene: "InspectionScene", run: Path) -> None:
    from scorefold.api import Inspection

    images = Inspection(run).images
    kinds = images["path"].map(lambda path: Path(path).parent.name)
    given = sorted(set(images["verdict"]), key=VERDICTS.index)
    table = plain_table()
    table.add_column("truth")
    for column in ("images", *given):
        table.add_column(column, justify="right")
    right = 0
    for kind, verdict in scene.verdicts.items():
        own = images["verdict"][kinds == kind]
        right += int((own == verdict).sum())
        table.add_row(kind, str(len(own)), *(str(int((own == name).sum()) or "") for name in given))
    show(table)
    say(f"truth  the right verdict on {right} of {count(len(images), 'image')}")
