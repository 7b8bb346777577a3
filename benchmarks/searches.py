"""Whole searches by the compressed engine, exact scores of candidates included; and whether its picks are the same."""

import contextlib
import math
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from benchmarks.measuring import Row, Table, Timer, alternate
from benchmarks.rotations import EVERYWHERE, INSIDE, pytme
from benchmarks.runs import Clock, listed
from benchmarks.search import Search, rotation_timer
from scorefold import Match, match
from scorefold.cluster import create_run, drive
from scorefold.cluster.executor import SerialExecutor
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.rotations import space_rotations
from scorefold.scoring.fft import available_providers
from scorefold.scoring.masks import template_mask
from scorefold.scoring.threshold import false_positive_threshold
from scorefold.testing.planting import Recovery, chain_density, plant, recovery, scattered

Array = NDArray[Any]

LEFT = 0.9
"""Of the score of a copy that lies between the rotations and voxels of a search, about."""

DIFFERENCE = 1e-4
"""By which scores and positions (in voxels) of equal picks may differ: both engines compute in single precision."""


@dataclass(frozen=True)
class Planted:
    """Copies of a particle in white noise, and how they are searched for.

    Attributes
    ----------
    volume, particle, mask : ndarray
        Target, template, and its mask.
    positions, matrices : ndarray
        The truth.
    options : dict
        Of the search, but for its engine.
    """

    volume: Array
    particle: Array
    mask: Array
    positions: Array
    matrices: Array
    options: dict[str, Any]

    @classmethod
    def make(
        cls,
        sizes: tuple[int, int],
        blur: float,
        step: float,
        copies: int,
        seed: int,
        score: str = "FLCSphericalMask",
    ) -> Self:
        """Plant copies in so much noise that an exact search finds nine of ten with one false pick a volume."""
        edge, box = sizes
        rng = np.random.default_rng(seed)
        particle = chain_density(rng, box, blur=blur)
        options: dict[str, Any] = {"score": score, "step": step, "fft": "auto"}
        radius = box / 2 - 1
        if score == "FLC":
            options |= {"mask": "ellipse", "mask_radius": (0.75 * radius, 0.75 * radius, radius)}
        else:
            options |= {"mask": "sphere", "mask_radius": radius}
        mask = template_mask(options["mask"], particle.shape, radius=options["mask_radius"])
        inside = mask > 0.5
        deviation = 1 / math.sqrt(inside.sum())  # of correlation coefficients of white noise
        tests = len(space_rotations(step)) * (edge - box + 1) ** 3
        threshold = false_positive_threshold(tests, deviation, bounded=True)
        of_copies = (threshold + norm.ppf(0.9) * deviation) / LEFT
        noise = float(particle[inside].std()) * math.sqrt(max(1 / of_copies**2 - 1, 0))
        volume = rng.normal(scale=noise, size=(edge,) * 3)
        positions = scattered(rng, volume.shape, copies, 0.85 * box, box / 2 + 1)
        matrices = Rotation.random(copies, random_state=seed).as_matrix()
        plant(volume, particle, np.ones(particle.shape), positions, matrices, add=True)
        return cls(volume.astype(np.float32), particle, mask, positions, matrices, options)

    def recovered(self, picks: pd.DataFrame, matrices: Array) -> Recovery:
        """Compare picks with the truth."""
        return recovery(self.positions, self.matrices, picks[["z", "y", "x"]], matrices, tolerance=3)


def rescored(python: str | None, *, tiny: bool, repeats: int) -> Iterator[Table]:
    """Tell what a rotation of a whole compressed search takes, beside the exact engine and pyTME."""
    sizes = [((32, 12), 1.3)] if tiny else [((128, 32), 0.8), ((128, 32), 1.3), ((192, 48), 0.8)]
    for size, blur in sizes:
        yield _whole_searches(python, size, blur, "FLCSphericalMask", repeats, tiny=tiny)


def rescored_with_turned_masks(python: str | None, *, tiny: bool, repeats: int) -> Iterator[Table]:
    """Tell it of a search whose mask, an ellipsoid, turns with the template."""
    yield _whole_searches(python, (32, 12) if tiny else (128, 32), 0.8, "FLC", repeats, tiny=tiny)


def _whole_searches(
    python: str | None, size: tuple[int, int], blur: float, score: str, repeats: int, *, tiny: bool
) -> Table:
    planted = Planted.make(size, blur, 30.0 if tiny else 7.0, 1 if tiny else 10, seed=0, score=score)
    against = ["pyTME", "scorefold, exact"]
    remarks = ["White noise and copies of the particle; both are searched for it in the rotation set of 7°."]
    searches = []
    with _of_one_rotation(python, planted, calls=2 if tiny else 5) as (timers, notes):
        # A search takes minutes, in which the machine may change its speed: timed before, between and after.
        rounds = [alternate(timers, -(-repeats // 3))]
        for pad_edges in (False, True):
            searches.append((pad_edges, _whole_search(planted, pad_edges=pad_edges)))
            rounds.append(alternate(timers, -(-repeats // 3)))
    medians = {name: statistics.median(each[name] for each in rounds) for name in timers}
    for pad_edges, found in searches:
        name = f"scorefold, compressed{', padded' if pad_edges else ''}"
        searched = sum(found.clock.seconds[stage] for stage in ("compress", "score_leaf", "merge"))
        medians[f"{name}, candidates not scored again"] = searched / found.rotations
        notes[f"{name}, candidates not scored again"] = EVERYWHERE if pad_edges else INSIDE
        medians[f"{name}, the whole run"] = found.seconds
        notes[f"{name}, the whole run"] = "with maps, exact scores of all candidates, refined picks, report"
        remarks.append(
            f"{name.removeprefix('scorefold, ')}: {found.candidates} candidates, {len(found.picks)} picks, "
            f"{len(planted.positions)} copies planted; seconds by stage: {listed(found.clock.seconds)}."
        )
    rows = [
        Row(row, value, {to: value / medians[to] for to in against if to in medians}, notes[row])
        for row, value in medians.items()
    ]
    by = "" if score == "FLCSphericalMask" else f" by {score}"
    title = f"Whole searches{by}, template with σ {blur}, target {size[0]}³, template {size[1]}³, one core"
    return Table(title, "rotation", rows, remarks)


@contextlib.contextmanager
def _of_one_rotation(
    python: str | None, planted: Planted, calls: int
) -> Iterator[tuple[dict[str, Timer], dict[str, str]]]:
    """Yield what measures a rotation of the exact engine and of pyTME, and their conditions."""
    search = Search(
        planted.volume,
        planted.particle.astype(np.float32),
        planted.mask,
        space_rotations(60),
        planted.options["score"],
        available_providers()[-1],
    )
    padded = replace(search, pad_edges=True)
    timers = {
        "scorefold, exact": rotation_timer(search, calls),
        "scorefold, exact, padded": rotation_timer(padded, calls),
    }
    notes = {
        "scorefold, exact": f"{search.fft}, cubic; {INSIDE}",
        "scorefold, exact, padded": f"{search.fft}, cubic; {EVERYWHERE}",
    }
    with tempfile.TemporaryDirectory() as name:
        if python is None:
            yield timers, notes
            return
        with pytme(python, search, Path(name), search.score) as peer:
            timers["pyTME"], notes["pyTME"] = peer.seconds, "cubic; every position"
            yield timers, notes


@dataclass(frozen=True)
class _Finished:
    """A whole search: its times, its number of rotations, and what it found."""

    clock: Clock
    rotations: int
    candidates: int
    picks: pd.DataFrame

    @property
    def seconds(self) -> float:
        """Seconds per rotation."""
        return self.clock.seconds.total() / self.rotations


def _whole_search(planted: Planted, **options: Any) -> _Finished:
    """Search in this process, by the compressed engine if no other is named."""
    request = MatchRequest(
        targets=[planted.volume],
        template=planted.particle,
        **{"engine": "compressed", **planted.options, **options},
    )
    with tempfile.TemporaryDirectory() as name:
        run = create_run(f"{name}/run", prepare_match(request))
        clock = Clock()
        drive(run, SerialExecutor(), render=False, on_progress=clock)
        candidates = run.store.read_partial(run.plan.candidate_node(0, run.job.picks.digest).key)[0]
        return _Finished(
            clock, run.plan.rotation_count, len(candidates["positions"]), Match(f"{name}/run").picks
        )


def band_limited(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:  # noqa: ARG001
    """Search for a template without what is finer than half of Nyquist's frequency, by both engines."""
    edge, box, step, copies = (32, 12, 30.0, 1) if tiny else (128, 32, 10.0, 10)
    planted = Planted.make((edge, box), 0.8, step, copies, seed=0)
    found = {engine: _whole_search(planted, engine=engine, lowpass=0.5) for engine in ("exact", "compressed")}
    exact, compressed = found.values()
    rows = [
        Row(
            f"scorefold, {engine}",
            one.seconds,
            {"scorefold, exact": one.seconds / exact.seconds},
            f"{listed(one.clock.seconds)} s",
        )
        for engine, one in found.items()
    ]
    same = _equal(exact.picks, compressed.picks)
    remarks = [
        f"{exact.rotations:,} rotations of a template of σ 0.8; {copies} copies in white noise. Whole runs.",
        f"{same} of {len(exact.picks)} picks of the exact engine are the compressed one's, to the voxel.",
    ]
    title = f"Band-limited searches, target {edge}³, template {box}³, one core"
    return [Table(title, "rotation", rows, remarks)]


def recall(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:  # noqa: ARG001
    """Compare the picks of both engines where the exact one begins to miss some."""
    edge, box, step, copies, seeds = (32, 12, 30.0, 1, 1) if tiny else (96, 32, 7.0, 8, 3)
    rows, remarks = [], []
    for blur in (0.8, 1.3):
        found: dict[str, list[Recovery]] = {"exact": [], "compressed": []}
        seconds: dict[str, float] = dict.fromkeys(found, 0.0)
        same = picked = 0
        for seed in range(seeds):
            planted = Planted.make((edge, box), blur, step, copies, seed)
            tables = {}
            for engine, recoveries in found.items():
                clock = Clock()
                result = match(
                    planted.volume,
                    planted.particle,
                    engine=engine,
                    workers=1 if tiny else 2,
                    render=False,
                    on_progress=clock,
                    **planted.options,
                )
                seconds[engine] += clock.seconds.total() / len(result.rotation_set)
                tables[engine] = result.picks
                recoveries.append(planted.recovered(result.picks, result.pick_rotations))
            picked += len(tables["exact"])
            same += _equal(tables["exact"], tables["compressed"])
        told = []
        for engine, recoveries in found.items():
            matched, of = (sum(getattr(one, what) for one in recoveries) for what in ("matched", "planted"))
            wrong = sum(one.picked for one in recoveries) - matched
            told.append(f"{engine}: {matched} of {of} copies, {wrong} picks that are none")
            rows.append(Row(f"{engine}, σ {blur}", seconds[engine] / seeds, note=told[-1]))
        remarks.append(
            f"σ {blur}: {same} of {picked} picks of the exact engine are the compressed one's, to the voxel."
        )
    title = f"Picks of both engines at the noise where nine of ten are found, target {edge}³, template {box}³"
    return [Table(title, "rotation, both workers", rows, remarks)]


def _equal(one: pd.DataFrame, other: pd.DataFrame) -> int:
    """Return how many picks of one table are in the other with the same score and position."""
    columns = ["score", "z", "y", "x"]
    values, others = one[columns].to_numpy(float), other[columns].to_numpy(float)
    if not len(others):
        return 0
    return int((np.abs(values[:, np.newaxis] - others).max(axis=2).min(axis=1) <= DIFFERENCE).sum())


BENCHMARKS: dict[str, Callable[..., Iterable[Table]]] = {
    "rescored": rescored,
    "rescored_masks": rescored_with_turned_masks,
    "lowpass": band_limited,
    "recall": recall,
}
"""Benchmarks by the name that users give."""
