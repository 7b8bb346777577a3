"""Measuring, on the machine at hand, how long a rotation takes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import AnalyzerProduct, MaxScoreOverRotations, ScoreMoments
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import FourierProvider
from scorefold.scoring.score import Score, TargetTile
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile


@dataclass(frozen=True)
class Calibration:
    """Seconds on one core.

    Attributes
    ----------
    rotation : float
        To rotate and transform the template once.
    tile : float
        To score one tile at one rotation.
    """

    rotation: float
    tile: float

    def leaf_seconds(self, tiles: int, rotations: int) -> float:
        """Return the expected duration of a leaf."""
        return rotations * (self.rotation + tiles * self.tile)


def calibrate(
    template: Template,
    rotations: NDArray[np.float64],
    score: Score,
    provider: FourierProvider,
    fft_shape: tuple[int, ...],
    dtype: str,
    *,
    seconds: float = 0.5,
) -> Calibration:
    """Time rotations of one and of two tiles of noise, after a first one that is not counted.

    Parameters
    ----------
    template, rotations, score, provider, fft_shape, dtype
        As for `ExactEngine`.
    seconds : float
        About how long to measure.
    """
    engine = ExactEngine(template, rotations, score, provider, fft_shape, dtype=dtype, pad_edges=True)
    positions = tuple(f - b + 1 for f, b in zip(fft_shape, template.box, strict=True))
    noise = np.random.default_rng(0).standard_normal([f + 2 * score.margin for f in fft_shape])
    tile = Tile((0,) * len(fft_shape), positions, fft_shape)
    analyzer = AnalyzerProduct(
        MaxScoreOverRotations(positions, rotations=rotations, dtype=dtype), ScoreMoments()
    )
    batches = [
        engine.prepare([tile] * count, [TargetTile(noise, None, 0.0, 1.0)] * count, [analyzer] * count)
        for count in (1, 2)
    ]
    durations: tuple[list[float], list[float]] = ([], [])
    stop = time.perf_counter() + seconds
    states = [[analyzer.init_state() for _ in range(count)] for count in (1, 2)]
    measured = 0
    while measured < 2 or (time.perf_counter() < stop and measured < len(rotations)):
        rotation_id = (measured * 7919) % len(rotations)
        for which, batch in enumerate(batches):
            start = time.perf_counter()
            states[which] = batch.fold(rotation_id, states[which])
            durations[which].append(time.perf_counter() - start)
        measured += 1
    return _split(durations[0], durations[1])


def _split(one: Sequence[float], two: Sequence[float]) -> Calibration:
    # The first round compiles and plans.
    single, double = median(one[1:]), median(two[1:])
    tile = max(double - single, 0.1 * single)
    return Calibration(rotation=max(single - tile, 0.0), tile=tile)
