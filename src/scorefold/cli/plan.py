"""`scorefold plan`: what a search would cost, without doing it."""

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from scorefold.cli.console import plain_table, say_failures, say_json, show
from scorefold.cli.execution import EXIT_SOME_FAILED, Workplace, with_workplace
from scorefold.cli.options import Json, Targets, request_from, with_match_options
from scorefold.cli.wording import bytes_text, count, duration_text, one_line, shape_text

if TYPE_CHECKING:
    from scorefold.planning.prepare import PreparedMatch
    from scorefold.planning.profile import Profile

EXAMPLES = "Example: scorefold plan tomograms/ -t ribosome.mrc --mask sphere --step 10 --memory-limit 4GiB"

MOST_SHAPES = 3


@with_workplace
@with_match_options
def command(
    targets: Targets,
    options: dict[str, Any],
    place: Workplace,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show what a rotation consists of, in milliseconds.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Show the tiles, leaves, memory and time that a search would take; nothing is written.

    It takes the options of match. The time is measured on this machine for one rotation, then multiplied.
    """
    from scorefold.planning.prepare import prepare_match

    with place:
        prepared = prepare_match(request_from(targets, options, place.workers))
    measured = _profile(prepared) if profile else None
    if as_json:
        value = {
            **prepared.estimate.to_json(),
            "score": prepared.job.search.score,
            "lowpass": prepared.job.search.lowpass,
            "engine": prepared.job.search.engine,
            "tolerance": prepared.job.search.tolerance,
            "cell_angle": prepared.job.search.cell_angle,
            "unreadable": prepared.unreadable,
        }
        if measured is not None:
            value["profile"] = measured.to_json()
        say_json(value)
    else:
        _show(prepared)
        if measured is not None:
            _show_profile(measured)
    say_failures(prepared.unreadable)
    return EXIT_SOME_FAILED if prepared.unreadable else 0


def _show(prepared: "PreparedMatch") -> None:
    table = plain_table()
    table.show_header = False
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _rows(prepared):
        table.add_row(name, Text(one_line(value)))
    show(table)


def _profile(prepared: "PreparedMatch") -> "Profile":
    """Measure the search's largest transforms."""
    from scorefold.planning.planner import search_template
    from scorefold.planning.profile import profile_search
    from scorefold.scoring.fft import provider

    search, arrays = prepared.job.search, prepared.arrays
    template = search_template(arrays["template"], arrays["mask"], arrays["rotations"], search)
    shape = max(prepared.estimate.fft_shapes, key=math.prod)
    transforms = provider(search.fft, prepared.plan.wisdom)
    return profile_search(search, template, arrays["rotations"], transforms, shape)


def _show_profile(measured: "Profile") -> None:
    table = plain_table()
    table.add_column(f"a rotation of one tile, {shape_text(measured.fft_shape)}", style="bold")
    for title in ("ms", "share", "÷ floor"):
        table.add_column(title, justify="right")
    rows = {
        **measured.parts,
        "all": measured.total,
        "floor: a bare inverse transform (SciPy)": measured.floor,
    }
    for name, seconds in rows.items():
        share = "" if name.startswith("floor") else f"{seconds / measured.total:.0%}"
        table.add_row(name, f"{1000 * seconds:.3g}", share, f"{seconds / measured.floor:.2f}")
    show(table)


def _rows(prepared: "PreparedMatch") -> list[tuple[str, str]]:
    estimate = prepared.estimate
    shapes = [shape_text(shape) for shape in dict.fromkeys(estimate.fft_shapes)]
    more = f" and {len(shapes) - MOST_SHAPES} more" if len(shapes) > MOST_SHAPES else ""
    template, box = shape_text(prepared.job.template_shape), shape_text(prepared.plan.box)
    step = "rotation" if prepared.plan.cell_count is None else "cell"
    largest = f"{count(estimate.largest_batch, 'tile')} × {count(estimate.largest_rotation_block, step)}"
    return [
        ("targets", f"{estimate.targets:,}"),
        ("template", f"{template}, mask {prepared.job.labels['mask']}, search box {box}"),
        ("rotations", prepared.job.labels["rotations"]),
        ("score", prepared.job.search.description),
        ("tiles", f"{estimate.tiles:,}, transforms of {', '.join(shapes[:MOST_SHAPES])}{more}"),
        ("leaves", f"{estimate.leaves:,}, the largest {largest}"),
        ("merges", f"{estimate.merges:,}"),
        (
            "store",
            f"{bytes_text(estimate.result_bytes)} of results, {bytes_text(estimate.partial_bytes)} of partials",
        ),
        (
            "memory",
            f"{bytes_text(estimate.worker_bytes)} per worker of a limit of {bytes_text(estimate.memory_limit)}",
        ),
        ("time", f"{duration_text(estimate.seconds)} on {count(estimate.workers, 'worker')}"),
    ]
