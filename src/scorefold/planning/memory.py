"""How many bytes a worker needs for a leaf or a merge, derived from what is held and for how long."""

import math
from dataclasses import dataclass

from scorefold.scoring.score import Score

Shape = tuple[int, ...]

BASE_BYTES = 401 * 2**20
"""Resident memory of a worker that has imported and compiled everything (measured), and what it keeps when freed."""

HELD_BASES = 2**25
"""Memory for bases that a worker keeps from cell to cell."""

REFINE_BYTES = 2**28
"""What looking at candidates takes beside bases and pixels: windows, turned templates, rough bases and products."""


def refine_bytes(fft_shape: Shape, target_shape: Shape, box: Shape, itemsize: int, places_bytes: int) -> int:
    """Return the memory of a worker that looks at the candidates of a tile, but for bases.

    Around the tile there are as many positions as half the box, which is how far picks suppress each other if not told
    otherwise: pixels while they are read, and the best synthesised scores and what is known of them.
    """
    voxels = math.prod(min(f, n) + b for f, n, b in zip(fft_shape, target_shape, box, strict=True))
    return BASE_BYTES + REFINE_BYTES + 2 * places_bytes + (3 * 8 + itemsize + 1) * voxels


def bases_while_refining(room: int, kinds: int) -> int:
    """Return the memory for the bases of one kind of several while candidates are looked at, and no maps are made.

    Half of the room is for what is found, and for bases that are being read.
    """
    return max(HELD_BASES, room // 2 // kinds)


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
    rank : int
        Basis maps that are held at a time; 0 where every rotation has a map of its own.
    mask_rank : int
        Basis masks, which may be transformed in double precision, too; 0 where no mask turns.
    cell_bytes : int
        The turned templates of the largest cell, under the mask.
    basis_bytes, finer_bytes : int
        The bases of one partial: those that are searched with, and those by which candidates are looked at.
    places_bytes : int
        Where voxels come from when a basis is turned with the grid.
    """

    limit: int
    score: Score
    itemsize: int
    box: Shape
    rank: int = 0
    mask_rank: int = 0
    cell_bytes: int = 0
    basis_bytes: int = 0
    finer_bytes: int = 0
    places_bytes: int = 0

    @property
    def state_bytes(self) -> int:
        """Bytes of state per position: a score in working precision and an int32 rotation id."""
        return self.itemsize + 4

    def tile_bytes(self, fft_shape: Shape) -> int:
        """Return what one more tile keeps: spectra, weights, state, and its copies while it is written."""
        positions = self._positions(fft_shape)
        kept = sum(self._spectrum(fft_shape, precision) for precision in self.score.spectra)
        weights = self.itemsize * positions if self.score.tile_weights else 0
        if self.rank:
            # With what is not scored marked; or least variances, and means.
            weights += self.itemsize * positions * (2 if self.mask_rank else 1)
        return kept + weights + 3 * self.state_bytes * positions

    def shared_bytes(self, fft_shape: Shape) -> int:
        """Return what a leaf needs whatever its number of tiles.

        Buffers of the transforms (a product, a result and what the library copies, in working and in double
        precision), the pixels of the tile being prepared in double precision, and the spectra of one
        rotation; the maps of a basis.
        """
        voxels = math.prod(fft_shape)
        transforms = 4 * voxels * self.itemsize + 4 * voxels * 8
        basis = self.rank * self.itemsize * self._positions(fft_shape)
        if self.rank:
            basis += 2 * HELD_BASES + 2 * self.basis_bytes + self.places_bytes
        return transforms + 3 * voxels * 8 + 3 * self._spectrum(fft_shape, "double") + basis

    def spectra_bytes(self, fft_shape: Shape) -> int:
        """Return what the spectra of a basis take, which are held for several tiles."""
        filters = self.rank * self._spectrum(fft_shape, "working")
        return filters + self.mask_rank * self._spectrum(fft_shape, "double")

    def leaf_bytes(self, fft_shape: Shape, tiles: int) -> int:
        """Return the peak memory of a worker that computes a leaf of so many tiles."""
        held = self.spectra_bytes(fft_shape) if tiles > 1 else 0
        return BASE_BYTES + self.shared_bytes(fft_shape) + held + tiles * self.tile_bytes(fft_shape)

    def refine_bytes(self, fft_shape: Shape, target_shape: Shape) -> int:
        """Return the peak memory of a worker that looks at the candidates of a tile; 0 for the exact engine.

        Scores of that are final: the pixels alone are read again, and are less than what a leaf needs.
        """
        if not self.rank:
            return 0
        least = refine_bytes(fft_shape, target_shape, self.box, self.itemsize, self.places_bytes)
        return least + 3 * HELD_BASES + 2 * (self.basis_bytes + self.finer_bytes)

    def compress_bytes(self) -> int:
        """Return the peak memory of a worker that makes bases: a cell, its Gram matrix's work, bases and their copy."""
        bases = self.basis_bytes + self.finer_bytes
        return BASE_BYTES + 2 * self.cell_bytes + 2 * bases if self.rank else 0

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

    def _positions(self, fft_shape: Shape) -> int:
        return math.prod(f - b + 1 for f, b in zip(fft_shape, self.box, strict=True))

    def _spectrum(self, fft_shape: Shape, precision: str) -> int:
        half = math.prod(fft_shape[:-1]) * (fft_shape[-1] // 2 + 1)
        return half * 2 * (8 if precision == "double" else self.itemsize)
