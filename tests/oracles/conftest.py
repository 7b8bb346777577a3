"""One way from arrays to score maps for all oracles: the exact engine over a single tile, every map collected."""

from typing import Any

import numpy as np
import pytest

from scorefold.analyzer import AbstractAnalyzer
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import provider
from scorefold.scoring.score import get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile


class Collector(AbstractAnalyzer[list, list]):
    """Keeps every score map that it is given."""

    def init_state(self):
        return []

    def __call__(self, state, scores, rotation_matrix, **kwargs):
        return [*state, np.array(scores)]

    def result(self, state, **kwargs):
        return state

    def merge(self, results, **kwargs):
        return [scores for result in results if result is not None for scores in result]

    def resume(self, result):
        return list(result)

    def to_arrays(self, result):
        return {"maps": np.array(result)}

    def from_arrays(self, arrays):
        return list(arrays["maps"])

    shareable = False


def _score_maps(
    name: str,
    target: np.ndarray,
    values: np.ndarray,
    mask: np.ndarray,
    rotations: np.ndarray | None = None,
    *,
    target_mask: np.ndarray | None = None,
    dtype: str = "float64",
    order: int = 3,
    pad_edges: bool = False,
) -> tuple[np.ndarray, Template]:
    rotations = np.eye(target.ndim)[None] if rotations is None else np.asarray(rotations)
    score = get_score(name)
    template = Template(score.template_values(np.asarray(values, float)), mask, rotations, order=order)
    tile = Tile((0,) * target.ndim, target.shape, target.shape)
    fft_shape = tuple(n + b - 1 for n, b in zip(target.shape, template.box, strict=True))
    engine = ExactEngine(
        template, rotations, score, provider("scipy"), fft_shape, dtype=dtype, pad_edges=pad_edges
    )
    pixels = tile.read(
        lambda region: target[region],
        template.box,
        mean=float(target.mean()),
        std=float(target.std()),
        margin=score.margin,
        pad_edges=pad_edges,
        read_weights=None if target_mask is None else (lambda region: target_mask[region]),
    )
    batch = engine.prepare([tile], [pixels], [Collector()])
    states: list[Any] = [[]]
    for rotation_id in range(len(rotations)):
        states = batch.fold(rotation_id, states)
    return np.array(states[0]), template


@pytest.fixture
def score_maps():
    """Return a function: score name, target, template, mask, rotations -> score maps (n, *target), template.

    Positions that are not scored hold NaN.
    """
    return _score_maps
