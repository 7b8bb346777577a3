"""What a rotation takes by how a target is cut: the tiles that the planner chooses, beside smaller and larger ones."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Table, Timer, alternate, compare
from benchmarks.search import Search, rotation_timer
from scorefold.planning.memory import MemoryModel
from scorefold.planning.tiling import Tiling, all_tilings, choose_tiling
from scorefold.rotations import plane_rotations, space_rotations
from scorefold.scoring.fft import available_providers
from scorefold.scoring.masks import template_mask
from scorefold.scoring.score import get_score
from scorefold.scoring.template import Template

Array = NDArray[Any]

LARGEST = 2**25
"""Voxels of the largest transform that is measured."""

USEFUL = 2.0
"""Tilings of more work than so many times that of the chosen one are left out."""

MEMORY = 2**36
"""More than any tile needs."""


def of_tiles(_python: str | None, *, tiny: bool, repeats: int) -> Iterator[Table]:
    """Tabulate the best tiling of every size of the transforms."""
    cases = (
        [((40, 40, 40), 8)] if tiny else [((300, 300, 300), 32), ((256, 512, 512), 48), ((4096, 4096), 96)]
    )
    for shape, box in cases:
        yield _tilings(shape, box, repeats)


def _tilings(shape: tuple[int, ...], edge: int, repeats: int) -> Table:
    box = (edge,) * len(shape)
    mask = template_mask("sphere", box)
    rotations = plane_rotations(15.0) if len(shape) == 2 else space_rotations(60)
    template = Template(np.random.default_rng(0).normal(size=box).astype(np.float32), mask, rotations)
    memory = MemoryModel(MEMORY, get_score("FLCSphericalMask"), 4, template.box)
    chosen = choose_tiling(shape, template.box, template.reach, memory)
    # Of every size, in powers of two, the tiling with the least work.
    best: dict[int, tuple[float, Tiling]] = {}
    works = {}
    for work, tiling in all_tilings(shape, template.box, template.reach):
        voxels = math.prod(tiling.fft_shape)
        works[tiling] = work
        size = voxels.bit_length()
        if voxels <= LARGEST:
            best[size] = min(best.get(size, (math.inf, tiling)), (work, tiling), key=lambda one: one[0])
    useful = [tiling for _, (work, tiling) in sorted(best.items()) if work < USEFUL * works[chosen]]
    tilings = {_name(tiling): tiling for tiling in [chosen, *useful]}
    timers, notes = dict[str, Timer](), {}
    for name, tiling in tilings.items():
        timers[name] = _timer(tiling, template, mask, rotations)
        notes[name] = f"work ÷ chosen {works[tiling] / works[chosen]:.2f}"
    first = _name(chosen)
    notes[first] += "; chosen"
    rows = compare(alternate(timers, repeats), [first], notes)
    by = "×".join(map(str, shape))
    return Table(
        f"Tiles of a target of {by}, template {edge}{'²³'[len(box) - 2]}, one core", "rotation", rows
    )


def _name(tiling: Tiling) -> str:
    count = len(list(tiling.tiles()))
    return f"{'×'.join(map(str, tiling.fft_shape))}, {count} {'tile' if count == 1 else 'tiles'}"


def _timer(tiling: Tiling, template: Template, mask: Array, rotations: Array) -> Timer:
    """Return what measures a rotation of all tiles, by one that is as large as the transforms allow."""
    values = np.random.default_rng(1).normal(size=tiling.fft_shape).astype(np.float32)
    search = Search(values, template.values, mask, rotations, "FLCSphericalMask", available_providers()[-1])
    # Hundreds of milliseconds: a call too short to be measured is repeated.
    once = rotation_timer(search, max(1, 2**22 // math.prod(tiling.fft_shape)))
    count = len(list(tiling.tiles()))
    return lambda: once() * count


BENCHMARKS: dict[str, Callable[..., Iterable[Table]]] = {"tiles": of_tiles}
