"""Maps of many images of one shape, a few images a chunk, with the digests that their records carry."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import DamagedPartialError, in_one_line
from scorefold.store.blobs import is_outage
from scorefold.store.chunked_array import ChunkedArray, describe_array
from scorefold.store.commit import checksum
from scorefold.store.descriptions import GROUP_FILE, describe_parents, restore
from scorefold.store.run_store import RunStore

Block = dict[str, Any]
"""What a record says of a block of images: array, first image, stop, digest."""


class ImageMaps:
    """One array (images, y, x) of the run: score maps or masks.

    Blocks are written as whole chunks, so that no two tasks write one chunk.

    Parameters
    ----------
    run : RunStore
        The run.
    path : str
        Of the array.
    """

    def __init__(self, run: RunStore, path: str) -> None:
        self._run = run
        self.path = path

    def create(self, shape: tuple[int, int, int], chunk_images: int, dtype: str) -> dict[str, str]:
        """Create the array unless it is there; where nothing is written it holds NaN, or 0 for integers.

        Parameters
        ----------
        shape : (int, int, int)
            Images, rows, columns.
        chunk_images : int
            Images of a chunk.
        dtype : str
            Type of a pixel.

        Returns
        -------
        dict of str to str
            SHA-256 of its description by name; one that was damaged is made anew.
        """
        floating = np.dtype(dtype).kind == "f"
        description = describe_array(
            shape,
            (min(chunk_images, shape[0]), *shape[1:]),
            dtype,
            np.nan if floating else 0,
            compressed=not floating,
            axes=("image", "y", "x"),
        )
        return restore(
            self._run.blobs, {**describe_parents(self.path), f"{self.path}/{GROUP_FILE}": description}
        )

    @cached_property
    def _stored(self) -> ChunkedArray:  # opening it reads and parses its description
        return ChunkedArray(self._run.blobs, self.path)

    def write(self, first: int, maps: NDArray[Any]) -> Block:
        """Write a block that begins and ends with a chunk; return what its record is to say."""
        values = np.ascontiguousarray(maps, self._stored.dtype)
        if values.dtype.kind == "f" or values.any():
            self._stored.write((first, 0, 0), values)
        else:
            self._leave_empty(first, first + len(values))
        return {"array": self.path, "first": first, "stop": first + len(values), "digest": checksum(values)}

    def _leave_empty(self, first: int, stop: int) -> None:
        """Make sure that nothing is stored of some images: most masks hold nothing."""
        images = self._stored.chunks[0]
        for chunk in range(first // images, -(-stop // images)):
            self._run.blobs.delete(self._stored.chunk_name((chunk, 0, 0)))

    def read(self, first: int, stop: int) -> NDArray[Any]:
        """Return the maps of a few images, not verified."""
        return self._stored[first:stop, :, :]

    def read_block(self, key: str, block: Block) -> NDArray[Any]:
        """Return the maps of a block, verified.

        Raises
        ------
        DamagedPartialError
            If they cannot be read or differ from the record; it names `key`, the work that wrote them.
        """
        try:
            maps = self.read(block["first"], block["stop"])
        except Exception as error:  # codecs raise exceptions of many kinds on damaged bytes
            if is_outage(error):
                raise
            raise DamagedPartialError(key, f"{self.path} cannot be read ({in_one_line(error)})") from error
        if checksum(maps) != block["digest"]:
            raise DamagedPartialError(
                key, f"{self.path}, images {block['first']} to {block['stop'] - 1}, differs from its record"
            )
        return maps
