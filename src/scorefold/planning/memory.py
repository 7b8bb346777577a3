"""How many bytes a worker needs for each kind of task, derived from what is held and for how long."""

import math
from dataclasses import dataclass, replace

from scorefold.analyzer.peaks import maximum_radius
from scorefold.scoring.climbing import FARTHEST
from scorefold.scoring.score import Score

Shape = tuple[int, ...]

BASE_BYTES = 401 * 2**20
"""Resident memory of a worker that has imported and compiled everything (measured), and what it keeps when freed."""

HELD_BASES = 2**25
"""Memory for bases of one kind that a worker keeps from task to task."""


def margin_of(min_distance: float, box: Shape) -> int:
    """Return how many voxels around a tile belong to what is known where its candidates are looked at.

    A candidate may lead so far away; and picks suppress each other at a distance, though hardly beyond the box.
    """
    return max(FARTHEST + 1, min(maximum_radius(min_distance, len(box)), max(box)))


def room_for_bases(room: int, kinds: int) -> int:
    """Return the memory for the bases of one kind of several while candidates are looked at, and no maps are made.

    Half of the room is for what is found, and for bases that are being read.
    """
    return max(HELD_BASES, room // 2 // kinds)


@dataclass(frozen=True)
class BasisSize:
    """How large the bases of a search are, and what looking at candidates by them takes.

    Attributes
    ----------
    rank : int
        Basis templates, each of which has a map: some more than the rank of the largest cell.
    mask_rank : int
        Basis masks, each of which has two, and may be transformed in double precision, too; 0 where no mask turns.
    same_masks : int
        How many cells have the same basis masks; their maps are kept for all tiles if there are several.
    cell_bytes : int
        The turned templates of the largest cell, under the mask.
    partial_bytes, finer_bytes : int
        The bases of one partial: those that are searched with, and those by which candidates are looked at.
    held_bytes : int
        What a worker keeps of all kinds from task to task.
    places_bytes : int
        Where voxels come from when a basis is turned with the grid, and turned back.
    looking_bytes : int
        What is held beside bases and pixels where candidates are looked at.
    """

    rank: int
    mask_rank: int = 0
    same_masks: int = 1
    cell_bytes: int = 0
    partial_bytes: int = 0
    finer_bytes: int = 0
    held_bytes: int = 0
    places_bytes: int = 0
    looking_bytes: int = 0


@dataclass(frozen=True)
class MemoryModel:
    """The memory of one worker with one thread.

    Attributes
    ----------
    limit : int
        Bytes that a worker may use.
    score : Score
        Decides which spectra are kept for a tile.
    itemsize : int
        Bytes of a real number in working precision.
    box : tuple of int
        The search box.
    margin : int
        From `margin_of`.
    bases : BasisSize, optional
        Of the compressed engine. Default: every rotation has a map of its own.
    """

    limit: int
    score: Score
    itemsize: int
    box: Shape
    margin: int = FARTHEST + 1
    bases: BasisSize | None = None

    @property
    def state_bytes(self) -> int:
        """Bytes of state per position: a score in working precision and an int32 rotation id."""
        return self.itemsize + 4

    def tile_bytes(self, fft_shape: Shape) -> int:
        """Return what one more tile keeps: spectra, weights, state, and its copies while it is written."""
        positions = self._positions(fft_shape)
        kept = sum(self._spectrum(fft_shape, precision) for precision in self.score.spectra)
        weights = self.itemsize * positions if self.score.tile_weights else 0
        if self.bases:
            # With what is not scored marked; or least variances, and means.
            weights += self.itemsize * positions * (2 if self.bases.mask_rank else 1)
            if self.bases.same_masks > 1:
                weights += self._mask_maps(fft_shape)
        return kept + weights + 3 * self.state_bytes * positions

    def shared_bytes(self, fft_shape: Shape) -> int:
        """Return what a leaf needs whatever its number of tiles.

        Buffers of the transforms (a product, a result and what the library copies, in working and in double
        precision), the pixels of the tile being prepared in double precision, and the spectra of one
        rotation; the maps of a basis.
        """
        voxels = math.prod(fft_shape)
        shared = 2 * self._buffers(fft_shape) + 3 * voxels * 8 + 3 * self._spectrum(fft_shape, "double")
        if self.bases:
            shared += self.bases.rank * self.itemsize * self._positions(fft_shape)
            if self.bases.same_masks == 1:
                shared += self._mask_maps(fft_shape)
            shared += self.bases.held_bytes + 2 * self.bases.partial_bytes + self.bases.places_bytes
        return shared

    def spectra_bytes(self, fft_shape: Shape) -> int:
        """Return what the spectra of a basis take, which are held for several tiles."""
        if not self.bases:
            return 0
        filters = self.bases.rank * self._spectrum(fft_shape, "working")
        return filters + self.bases.mask_rank * self._spectrum(fft_shape, "double")

    def leaf_bytes(self, fft_shape: Shape, tiles: int) -> int:
        """Return the peak memory of a worker that computes a leaf of so many tiles."""
        held = self.spectra_bytes(fft_shape) if tiles > 1 else 0
        return BASE_BYTES + self.shared_bytes(fft_shape) + held + tiles * self.tile_bytes(fft_shape)

    def refine_bytes(self, fft_shape: Shape, target_shape: Shape) -> int:
        """Return the peak memory of a worker that looks at the candidates of a tile; 0 for the exact engine.

        Scores of that are final: the pixels alone are read again, and are less than what a leaf needs. If there are too
        many candidates, maps are made by the exact engine instead, without bases.
        """
        if not self.bases:
            return 0
        bases = self.bases.held_bytes + 2 * (self.bases.partial_bytes + self.bases.finer_bytes)
        maps = replace(self, bases=None).leaf_bytes(fft_shape, tiles=1)
        return max(
            self.looking_bytes(fft_shape, target_shape) + bases,
            self._region_bytes(fft_shape, target_shape) + self.bases.places_bytes + maps,
        )

    def looking_bytes(self, fft_shape: Shape, target_shape: Shape) -> int:
        """Return the memory of a worker that looks at the candidates of a tile, but for bases."""
        kept = self._buffers(fft_shape) + self._region_bytes(fft_shape, target_shape)
        size = self.bases or BasisSize(0)
        return BASE_BYTES + kept + size.places_bytes + size.looking_bytes

    def compress_bytes(self) -> int:
        """Return the peak memory of a worker that makes bases: a cell, its Gram matrix's work, bases and their copy."""
        if not self.bases:
            return 0
        made = self.bases.partial_bytes + self.bases.finer_bytes
        return BASE_BYTES + 2 * self.bases.cell_bytes + 2 * made

    def merge_bytes(self, fft_shape: Shape, tiles: int) -> int:
        """Return the peak memory of a worker that merges: the merged state, the next, copies of both."""
        return BASE_BYTES + 5 * self.state_bytes * self._positions(fft_shape) * tiles

    def tiles_that_fit(self, fft_shape: Shape) -> int:
        """Return the largest number of tiles in a leaf within the limit, at least 1."""
        room = self.limit - BASE_BYTES - self.shared_bytes(fft_shape) - self.spectra_bytes(fft_shape)
        count = room // self.tile_bytes(fft_shape)
        while count > 1 and self.merge_bytes(fft_shape, count) > self.limit:
            count -= 1
        return max(1, count)

    def _region_bytes(self, fft_shape: Shape, target_shape: Shape) -> int:
        """Return what is held of a tile and its margin while candidates are looked at.

        Pixels while they are read, and the best synthesised scores and what is known of them.
        """
        positions = (f - b + 1 for f, b in zip(fft_shape, self.box, strict=True))
        grown = (min(p + 2 * self.margin, n) for p, n in zip(positions, target_shape, strict=True))
        voxels = math.prod(g + b - 1 for g, b in zip(grown, self.box, strict=True))
        return (3 * 8 + self.itemsize + 1) * voxels

    def _mask_maps(self, fft_shape: Shape) -> int:
        """Return the maps of a cell's basis masks."""
        ranks = self.bases.mask_rank if self.bases else 0
        return 2 * ranks * self.itemsize * self._positions(fft_shape)

    def _buffers(self, fft_shape: Shape) -> int:
        """Return what transforms keep: columns and rows, in working and in double precision."""
        return 2 * math.prod(fft_shape) * (self.itemsize + 8)

    def _positions(self, fft_shape: Shape) -> int:
        return math.prod(f - b + 1 for f, b in zip(fft_shape, self.box, strict=True))

    def _spectrum(self, fft_shape: Shape, precision: str) -> int:
        half = math.prod(fft_shape[:-1]) * (fft_shape[-1] // 2 + 1)
        return half * 2 * (8 if precision == "double" else self.itemsize)
