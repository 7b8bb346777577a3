"""`scorefold plan`: what a search would cost, without doing it."""

import json
from typing import Any

from rich.table import Table

from scorefold.cli.console import console, error_console
from scorefold.cli.execution import default_workers
from scorefold.cli.options import Json, Scheduler, Targets, Workers, request_from, with_match_options
from scorefold.planning.estimate import Estimate
from scorefold.planning.prepare import PreparedMatch, prepare_match


@with_match_options
def command(
    targets: Targets,
    options: dict[str, Any],
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> int:
    """Show the tiles, leaves, memory and time that a search would take; nothing is written."""
    prepared = prepare_match(request_from(targets, options, default_workers(workers, scheduler) or 1))
    if as_json:
        value = {
            **prepared.estimate.to_json(),
            "score": prepared.job.search.score,
            "unreadable": prepared.unreadable,
        }
        console.print_json(json.dumps(value))
    else:
        _show(prepared)
    for name, reason in prepared.unreadable.items():
        error_console.print(f"failed  {name}: {reason}", soft_wrap=True, markup=False)
    return 1 if prepared.unreadable else 0


def _show(prepared: PreparedMatch) -> None:
    estimate = prepared.estimate
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for name, value in _rows(prepared, estimate):
        table.add_row(name, value)
    console.print(table)


def _rows(prepared: PreparedMatch, estimate: Estimate) -> list[tuple[str, str]]:
    shapes = [_shape(shape) for shape in dict.fromkeys(estimate.fft_shapes)]
    more = f" and {len(shapes) - 3} more" if len(shapes) > 3 else ""
    return [
        ("targets", str(estimate.targets)),
        ("template", f"{_shape(prepared.job.template_shape)}, search box {_shape(prepared.plan.box)}"),
        ("rotations", f"{estimate.rotations} ({prepared.job.labels['rotations']})"),
        ("score", prepared.job.search.score),
        ("tiles", f"{estimate.tiles}, transforms of {', '.join(shapes[:3])}{more}"),
        (
            "leaves",
            f"{estimate.leaves}, up to {estimate.largest_batch} tiles × {estimate.largest_rotation_block} rotations",
        ),
        ("merges", str(estimate.merges)),
        (
            "store",
            f"{_bytes(estimate.result_bytes)} of results, {_bytes(estimate.partial_bytes)} of partials meanwhile",
        ),
        ("memory", f"{_bytes(estimate.worker_bytes)} per worker, limit {_bytes(estimate.memory_limit)}"),
        (
            "time",
            f"about {_duration(estimate.seconds)} on {estimate.workers} workers (measured on this machine just now)",
        ),
    ]


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}" if size < 100 else f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
