"""Measuring, on the machine at hand, how long a rotation takes."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import AnalyzerProduct, MaxScoreOverRotations, ScoreMoments
from scorefold.scoring.engine import Analyzer, Engine, ExactEngine
from scorefold.scoring.fft import FourierProvider
from scorefold.scoring.score import Score, TargetTile
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

FEW_TILES = 3
"""Tiles that are measured together: the third takes what every further one does."""


@dataclass(frozen=True)
class Calibration:
    """Seconds on one core.

    Attributes
    ----------
    rotation : float
        To rotate and transform the template once; of a cell, to transform its basis.
    tile : float
        To score one tile at one rotation, or at those of a cell.
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
    tiles: int = FEW_TILES,
) -> Calibration:
    """Time rotations of one tile of noise and of a few, after a first one that is not counted.

    Parameters
    ----------
    template, rotations, score, provider, fft_shape, dtype
        As for `ExactEngine`.
    seconds : float
        About how long to measure.
    tiles : int
        Number of tiles of the search.
    """
    engine = ExactEngine(template, rotations, score, provider, fft_shape, dtype=dtype, pad_edges=True)
    tile = largest_tile(fft_shape, template.box)
    analyzer = AnalyzerProduct(
        MaxScoreOverRotations(tile.shape, rotations=rotations, dtype=dtype), ScoreMoments()
    )
    some = [(i * 7919) % len(rotations) for i in range(len(rotations))]
    return engine_calibration(engine, tile, analyzer, some, seconds=seconds, margin=score.margin, tiles=tiles)


def largest_tile(fft_shape: tuple[int, ...], box: tuple[int, ...]) -> Tile:
    """Return the tile of all positions that a transform of a shape has room for."""
    positions = tuple(f - b + 1 for f, b in zip(fft_shape, box, strict=True))
    return Tile((0,) * len(fft_shape), positions, fft_shape)


def noise_for(tile: Tile, margin: int = 0) -> TargetTile:
    """Return pixels for a tile of `largest_tile`: the same noise every time, of which a part is flat.

    With that part, scores take what they do where contrast is uneven, which is more.
    """
    shape = [length + 2 * margin for length in tile.target_shape]
    values = np.random.default_rng(0).standard_normal(shape)
    values[tuple(slice(0, n // 2) for n in shape)] = 0.0
    return TargetTile(values, None, 0.0, 1.0)


def engine_calibration(
    engine: Engine,
    tile: Tile,
    analyzer: Analyzer,
    steps: Sequence[int],
    *,
    seconds: float | None = None,
    margin: int = 0,
    tiles: int = FEW_TILES,
) -> Calibration:
    """Time steps of an engine on one tile of noise and on a few, after a first one that is not counted.

    Parameters
    ----------
    engine : Engine
        The engine.
    tile : Tile
        A tile of its whole transform.
    analyzer : AbstractAnalyzer
        For that tile.
    steps : sequence of int
        What to fold.
    seconds : float, optional
        About how long to measure, of many steps that are alike. Default: each step once.
    margin : int
        Voxels around the tile that the score needs.
    tiles : int
        Number of tiles of the search: for a single one nothing is shared, and all is counted for the tile.
    """
    noise = noise_for(tile, margin)
    counts = sorted({1, min(tiles, FEW_TILES)})
    batches = [engine.prepare([tile] * count, [noise] * count, [analyzer] * count) for count in counts]
    durations: list[list[float]] = [[] for _ in counts]
    stop = math.inf if seconds is None else time.perf_counter() + seconds
    states = [[analyzer.init_state() for _ in range(count)] for count in counts]
    measured = 0
    while measured < 2 or (time.perf_counter() < stop and measured <= len(steps)):
        for which, batch in enumerate(batches):
            start = time.perf_counter()
            states[which] = batch.fold(steps[measured - 1 if measured else 0], states[which])
            durations[which].append(time.perf_counter() - start)
        measured += 1
    # The first round compiles and plans.
    typical = fmean if seconds is None else median
    single, *several = (typical(one[1:]) for one in durations)
    if not several:
        return Calibration(rotation=0.0, tile=single)
    tile_seconds = max((several[0] - single) / (counts[1] - 1), 0.1 * single)
    return Calibration(rotation=max(single - tile_seconds, 0.0), tile=tile_seconds)
