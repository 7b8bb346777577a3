"""Engines: fold a block of rotations over a batch of tiles. The exact CPU engine computes every score map."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import AbstractAnalyzer
from scorefold.errors import InputError
from scorefold.scoring.correlator import Correlator
from scorefold.scoring.fft import FourierProvider
from scorefold.scoring.fused import fold_terms
from scorefold.scoring.score import Score, TargetTile
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile, Window

Array = NDArray[Any]
Analyzer = AbstractAnalyzer[Any, Any]


class Batch(Protocol):
    """Tiles that an engine has prepared."""

    def fold(self, step: int, states: list[Any]) -> list[Any]:
        """Fold one step of the engine into the states, one per tile; return the new ones.

        A step is what an engine folds at a time: a rotation of the rotation set, or a cell of it.
        """
        ...


class Engine(Protocol):
    """How score maps are made and folded. All engines are used through these two methods."""

    def prepare(
        self, tiles: Sequence[Tile], pixels: Sequence[TargetTile], analyzers: Sequence[Analyzer]
    ) -> Batch:
        """Do everything that no rotation changes.

        Parameters
        ----------
        tiles : sequence of Tile
            Tiles that share one transform shape.
        pixels : sequence of TargetTile
            The pixels of each.
        analyzers : sequence of AbstractAnalyzer
            One per tile, made for its shape.
        """
        ...


class ExactEngine:
    """The reference engine: every rotation by interpolation, every score map by Fourier transforms.

    Parameters
    ----------
    template : Template
        What is searched for; its values have been through ``score.template_values``.
    rotations : ndarray, shape (n, d, d)
        The rotation set; ids are rows.
    score : Score
        How template and target are compared.
    provider : FourierProvider
        Where the transforms come from.
    fft_shape : tuple of int
        Shape of the transforms; at least tile + search box - 1 on every axis.
    dtype : {"float32", "float64"}
        Working precision.
    pad_edges : bool
        Whether positions at which the template sticks out of the target are scored.
    fold : callable
        How terms enter a state; the fused path by default.
    """

    def __init__(
        self,
        template: Template,
        rotations: NDArray[np.float64],
        score: Score,
        provider: FourierProvider,
        fft_shape: tuple[int, ...],
        *,
        dtype: str = "float32",
        pad_edges: bool = False,
        fold: Callable[..., Any] = fold_terms,
    ) -> None:
        self.template = template
        self.rotations = rotations
        self.score = score
        self.correlator = Correlator(provider, fft_shape, template.box, dtype)
        self.everywhere = pad_edges or score.partial_overlap
        self.fold_terms = fold

    def prepare(
        self, tiles: Sequence[Tile], pixels: Sequence[TargetTile], analyzers: Sequence[Analyzer]
    ) -> "ExactBatch":
        """Transform the tiles; see `Engine.prepare`."""
        return ExactBatch(self, tiles, self.prepare_tiles(tiles, pixels), analyzers)

    def prepare_tiles(self, tiles: Sequence[Tile], pixels: Sequence[TargetTile]) -> list[Any]:
        """Return what the score needs of every tile."""
        for tile in tiles:
            if any(n > valid for n, valid in zip(tile.shape, self.correlator.valid_shape, strict=True)):
                raise InputError(
                    f"tile of shape {tile.shape}: larger than a transform allows, "
                    f"{self.correlator.valid_shape}"
                )
        return [self.score.prepare_tile(p, self.template, self.correlator) for p in pixels]

    def prepare_rotation(self, rotation: NDArray[np.float64]) -> tuple[Any, Window]:
        """Return what the score needs of a rotation, and the part of the search box that counts."""
        rotated = self.template.rotated(rotation)
        return self.score.prepare_rotation(rotated, self.correlator), rotated.support

    def window(self, tile: Tile, support: Window) -> Window:
        """Return the positions of a tile that are scored with such a support."""
        return tile.everywhere if self.everywhere else tile.window(support, self.template.box)

    def terms(self, tile: Tile, target: Any, rotation: Any) -> tuple[Array, Array | None]:
        """Return numerator and weight at the positions of a tile."""
        numerator, weight = self.score.terms(target, rotation, self.correlator)
        positions = tuple(slice(0, n) for n in tile.shape)
        return numerator[positions], None if weight is None else weight[positions]


class ExactBatch:
    """Tiles whose spectra are held while rotations pass by."""

    def __init__(
        self,
        engine: ExactEngine,
        tiles: Sequence[Tile],
        prepared: list[Any],
        analyzers: Sequence[Analyzer],
    ) -> None:
        self._engine = engine
        self._tiles = tiles
        self._prepared = prepared
        self._analyzers = analyzers

    def fold(self, rotation_id: int, states: list[Any]) -> list[Any]:
        """Fold one rotation into the states of all tiles; the rotated template is transformed once."""
        engine = self._engine
        rotation = engine.rotations[rotation_id]
        prepared, support = engine.prepare_rotation(rotation)
        folded = []
        for tile, target, analyzer, state in zip(
            self._tiles, self._prepared, self._analyzers, states, strict=True
        ):
            numerator, weight = engine.terms(tile, target, prepared)
            window = engine.window(tile, support)
            folded.append(
                engine.fold_terms(analyzer, state, numerator, weight, window, rotation, rotation_id)
            )
        return folded
