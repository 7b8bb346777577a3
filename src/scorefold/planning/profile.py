"""Where the time of a leaf goes: what turning, transforming, summing and folding cost here, beside the floor."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from scorefold.analyzer import AnalyzerProduct, MaxScoreOverRotations, ScoreMoments
from scorefold.planning.calibration import largest_tile, noise_for
from scorefold.planning.engines import CellSample
from scorefold.planning.job import SearchOptions
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import FourierProvider
from scorefold.scoring.fused import fold_terms
from scorefold.scoring.score import LocalScore, get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

ROUNDS = 5


@dataclass(frozen=True)
class Profile:
    """Seconds on one core for one rotation and one tile.

    Attributes
    ----------
    fft_shape : tuple of int
        Shape of the transforms.
    parts : dict of str to float
        What is done, in order.
    floor : float
        A bare inverse transform of that shape by SciPy.
    """

    fft_shape: tuple[int, ...]
    parts: dict[str, float]
    floor: float

    @property
    def total(self) -> float:
        """All parts."""
        return sum(self.parts.values())

    def to_json(self) -> dict[str, Any]:
        """Return the profile as JSON values."""
        return {
            "fft_shape": list(self.fft_shape),
            "parts": self.parts,
            "total": self.total,
            "floor": self.floor,
        }


def profile_search(
    search: SearchOptions,
    template: Template,
    rotations: NDArray[np.float64],
    transforms: FourierProvider,
    fft_shape: tuple[int, ...],
) -> Profile:
    """Measure what a rotation of a search consists of; medians of a few rounds on noise.

    Parameters
    ----------
    search : SearchOptions
        With the engine decided.
    template : Template
        From `search_template`.
    rotations : ndarray, shape (n, d, d)
        The rotation set.
    transforms : FourierProvider
        Where transforms come from.
    fft_shape : tuple of int
        Shape of the transforms.
    """
    half = scipy.fft.rfftn(np.zeros(fft_shape, search.dtype), workers=1)
    floor = _seconds(lambda: scipy.fft.irfftn(half, fft_shape, workers=1))
    score = get_score(search.score)
    engine = ExactEngine(
        template, rotations, score, transforms, fft_shape, dtype=search.dtype, pad_edges=True
    )
    tile = largest_tile(fft_shape, template.box)
    (target,) = engine.prepare_tiles([tile], [noise_for(tile, score.margin)])
    if search.engine == "exact":
        parts = _exact_parts(engine, tile, target)
    else:
        sample = CellSample(search, template, rotations, transforms, fft_shape)
        parts = _compressed_parts(engine, target, sample)
    return Profile(fft_shape, parts, floor)


def _exact_parts(engine: ExactEngine, tile: Tile, target: Any) -> dict[str, float]:
    score, template, correlator = engine.score, engine.template, engine.correlator
    maximum = MaxScoreOverRotations(tile.shape, rotations=engine.rotations, dtype=correlator.dtype)
    analyzer = AnalyzerProduct(maximum, ScoreMoments())
    rotation = engine.rotations[len(engine.rotations) // 2]
    rotated = template.rotated(rotation)
    prepared = score.prepare_rotation(rotated, correlator)
    numerator, weight = engine.terms(tile, target, prepared)
    kept = numerator.copy()  # the next correlation overwrites it
    state = analyzer.init_state()
    return {
        "turn the template": _seconds(lambda: template.rotated(rotation)),
        "transform it": _seconds(lambda: score.prepare_rotation(rotated, correlator)),
        "multiply and transform back": _seconds(lambda: engine.terms(tile, target, prepared)),
        "fold the scores": _seconds(
            lambda: fold_terms(analyzer, state, kept, weight, tile.everywhere, rotation, 0)
        ),
    }


def _compressed_parts(engine: ExactEngine, target: Any, sample: CellSample) -> dict[str, float]:
    (filters, bases), score = (sample.filters, sample.bases), sample.filters.score
    count, correlator = len(filters.cells.ids(sample.cell)), engine.correlator
    vector = filters.in_box(bases.coarse.vectors[0])
    prepared = score.prepare_filter(vector, correlator)
    forward = bases.coarse.rank * _seconds(lambda: score.prepare_filter(vector, correlator))
    back = bases.coarse.rank * _seconds(lambda: score.numerator(target, prepared, correlator))
    if isinstance(score, LocalScore) and bases.masks is not None:
        mask = score.prepare_mask(filters.in_box(bases.masks.vectors[0]), correlator)
        masks = bases.masks.rank / filters.same_masks
        forward *= 1 + masks / bases.coarse.rank
        back += masks * _seconds(lambda: score.local_sums(target, mask, correlator))
    fold = sample.calibration.leaf_seconds(1, 1) - forward - back
    return {
        "turn the templates, make the basis": sample.compress_seconds / count / filters.cells.turns,
        "transform the basis": forward / count,
        "multiply and transform back": back / count,
        "sum and fold the scores": max(fold, 0.0) / count,
    }


def _seconds(work: Callable[[], Any]) -> float:
    work()
    durations = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return median(durations)
