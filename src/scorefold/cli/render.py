"""`scorefold render`: other picks or defects and new pictures of a finished run, without computing scores again."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from scorefold.cli.execution import Workplace, with_workplace
from scorefold.cli.inspect.options import MinArea
from scorefold.cli.job_file import with_job_file
from scorefold.cli.options import (
    SHOWN,
    AnyThreshold,
    Boundary,
    FalsePositives,
    MinDistance,
    Quiet,
    Refine,
    Run,
    Subpixel,
    Top,
    parse_threshold,
)
from scorefold.cli.results import show_results
from scorefold.errors import InputError

if TYPE_CHECKING:
    from scorefold.cluster import InspectRun, MatchRun
    from scorefold.cluster import Run as AnyRun

EXAMPLES = (
    "Examples:\n\nscorefold render found --threshold 0.8 --top 10\n\n"
    "scorefold render inspected --threshold fp:0.01 --min-area 5"
)


@with_job_file("render")
@with_workplace
def command(
    run: Run,
    place: Workplace,
    *,
    threshold: AnyThreshold = None,
    false_positives: FalsePositives = None,
    min_distance: MinDistance = None,
    boundary: Boundary = None,
    top: Top = None,
    subpixel: Subpixel = None,
    refine: Refine = None,
    min_area: MinArea = None,
    quiet: Quiet = False,
) -> int:
    """Call picks, or measure defects, with other options and draw everything anew; options not given stay.

    Searches take --threshold, --false-positives, --min-distance, --boundary, --top, --subpixel and --refine;
    inspections --threshold and --min-area.
    """
    from scorefold.cluster import InspectRun, MatchRun, open_run

    opened = open_run(run)
    of_picks = {
        "false_positives": false_positives,
        "min_distance": min_distance,
        "boundary": boundary,
        "top": top,
        "subpixel": subpixel,
        "refine": refine,
    }
    of_defects = {"min_area": min_area}
    with place:
        changed: AnyRun
        if isinstance(opened, MatchRun):
            _refuse(run, "search", of_defects, of_picks)
            changed = _other_picks(opened, threshold, of_picks)
        elif isinstance(opened, InspectRun):
            _refuse(run, "inspection", of_picks, of_defects)
            changed = _other_defects(opened, threshold, of_defects)
        else:
            raise InputError(f'run "{run}": it is a training, whose pictures follow from the model alone.')
        summary = partial(show_results, most=SHOWN, render=True)
        return place.work(changed, render=True, quiet=quiet, summary=summary)


def _refuse(run: str, kind: str, others: dict[str, Any], own: dict[str, Any]) -> None:
    """Refuse an option that belongs to runs of another kind."""
    for name, value in others.items():
        if value is not None:
            allowed = ", ".join(f"--{other.replace('_', '-')}" for other in ("threshold", *own))
            raise InputError(
                f'option --{name.replace("_", "-")}: run "{run}" is {_article(kind)} {kind}, which has no such '
                f"option. Use {allowed}."
            )


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _other_picks(run: "MatchRun", threshold: str | None, given: dict[str, Any]) -> "MatchRun":
    from scorefold.cluster import change_picks

    given = {"threshold": None if threshold is None else parse_threshold(threshold), **given}
    return change_picks(run, replace(run.job.picks, **_without_none(given)))


def _other_defects(run: "InspectRun", threshold: str | None, given: dict[str, Any]) -> "InspectRun":
    from scorefold.cluster import change_measure

    measure = replace(run.job.measure, **_without_none({"threshold": threshold, **given}))
    return change_measure(run, measure)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
