"""Arrays of the store: described by Zarr, for all that reads Zarr; whole chunks go past its event loop.

To be handed from thread to thread takes the chunk of an image several times as long as to be encoded and written.
"""

import itertools
import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc
from numcodecs.checksum32 import CRC32C
from numpy.typing import NDArray
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, Endian
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import StorePath

from scorefold.store.blobs import Blobs
from scorefold.store.descriptions import GROUP_FILE, descriptions

Array = NDArray[Any]
Index = tuple[int, ...]

_SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}


@lru_cache(maxsize=1024)
def describe_array(
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: str,
    fill: float = 0,
    *,
    compressed: bool = False,
    axes: tuple[str, ...] | None = None,
) -> bytes:
    """Return what Zarr writes down of an array.

    Parameters
    ----------
    shape, chunks : tuple of int
        Of the array, and of one chunk.
    dtype : str
        Type of a value.
    fill : float
        Value of what is not stored.
    compressed : bool
        Whether chunks are compressed, quickly. Scores are mostly noise, which hardly gets smaller.
    axes : tuple of str, optional
        Names of the axes.
    """
    size = np.dtype(dtype).itemsize
    compressor = BloscCodec(
        typesize=size, cname="zstd", clevel=1, shuffle="shuffle" if size > 1 else "noshuffle"
    )

    def make(store: Store) -> None:
        zarr.create_array(
            store,
            name="array",
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=fill,
            filters=None,
            serializer=BytesCodec(endian="little"),
            compressors=[compressor, Crc32cCodec()] if compressed else [Crc32cCodec()],
            dimension_names=axes,
        )

    return descriptions(make)[f"array/{GROUP_FILE}"]


class ChunkedArray:
    """An array of the store, known by its description.

    Parameters
    ----------
    blobs : Blobs
        What is in the store.
    path : str
        Of the array.
    description : bytes, optional
        What is stored of it; read if it is not given.

    Raises
    ------
    FileNotFoundError
        If it has no description.
    Exception
        Of many kinds, if that is damaged; so does reading, for damaged chunks.
    """

    def __init__(self, blobs: Blobs, path: str, description: bytes | None = None) -> None:
        self._blobs = blobs
        self._path = path
        description = description or blobs.get(f"{path}/{GROUP_FILE}")
        if description is None:
            raise FileNotFoundError(f"{path}: there is no array")
        self._metadata = _parsed(description)

    @cached_property
    def zarr(self) -> "zarr.Array[Any]":
        """The array, for reading."""
        place = StorePath(self._blobs.store.with_read_only(read_only=True), self._path)
        return zarr.Array(zarr.AsyncArray(self._metadata, place))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._metadata.shape

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk."""
        return self._metadata.chunks

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value."""
        return np.dtype(self._metadata.dtype.to_native_dtype()).newbyteorder("<")

    def __getitem__(self, selection: Any) -> Array:
        extent = self._extent(selection)
        if extent is None:
            return np.asarray(self.zarr[selection])
        index = tuple(start // c for (start, _), c in zip(extent, self.chunks, strict=True))
        offsets = (i * c for i, c in zip(index, self.chunks, strict=True))
        inside = tuple(slice(start - o, stop - o) for (start, stop), o in zip(extent, offsets, strict=True))
        if any(part.stop > c for part, c in zip(inside, self.chunks, strict=True)):  # several chunks
            return np.asarray(self.zarr[selection])
        chunk = self._read_chunk(index)
        if chunk is None:
            shape = [stop - start for start, stop in extent]
            return np.full(shape, self._metadata.fill_value, self.dtype)
        return np.array(chunk[inside])

    def write(self, start: Index, values: Array) -> dict[str, memoryview]:
        """Write a region of whole chunks, but where the array ends; return the bytes of the chunks by name.

        Raises
        ------
        ValueError
            If the region is no such one.
        """
        for a, n, c, edge in zip(start, values.shape, self.chunks, self.shape, strict=True):
            if a % c or (a + n != edge and (a + n) % c) or a + n > edge:
                raise ValueError(
                    f"{self._path}: {list(values.shape)} values at {list(start)} are no whole chunks"
                )
        stored = {}
        first = [a // c for a, c in zip(start, self.chunks, strict=True)]
        counts = [-(-n // c) for n, c in zip(values.shape, self.chunks, strict=True)]
        for offset in itertools.product(*(range(count) for count in counts)):
            inside = (slice(o * c, (o + 1) * c) for o, c in zip(offset, self.chunks, strict=True))
            index = tuple(f + o for f, o in zip(first, offset, strict=True))
            name = self.chunk_name(index)
            stored[name] = self._encoded(values[tuple(inside)])
            self._blobs.put(name, stored[name])
        return stored

    def chunk_name(self, index: Index) -> str:
        """Return under which name a chunk is stored."""
        return f"{self._path}/{self._metadata.encode_chunk_key(index)}"

    def _encoded(self, values: Array) -> memoryview:
        chunk = np.ascontiguousarray(values, self.dtype)
        if chunk.shape != self.chunks:  # at the end of an array chunks are as large as all others
            chunk = np.full(self.chunks, self._metadata.fill_value, self.dtype)
            chunk[tuple(slice(0, n) for n in values.shape)] = values
        data: Any = chunk.reshape(-1)
        for codec in self._codecs:
            data = codec.encode(data)
        return memoryview(data)

    def _read_chunk(self, index: Index) -> Array | None:
        data: Any = self._blobs.get_array(self.chunk_name(index))
        if data is None:
            return None
        for codec in self._codecs[::-1]:
            data = codec.decode(data)
        return np.frombuffer(data, self.dtype).reshape(self.chunks)

    def _extent(self, selection: Any) -> list[tuple[int, int]] | None:
        """Return where a selection begins and ends along each axis; None if Zarr has to find out."""
        whole = (slice(None),) * len(self.shape)
        parts = whole if selection is Ellipsis else selection
        if not isinstance(parts, tuple) or len(parts) != len(whole):
            return None
        if not all(isinstance(part, slice) and part.step in (None, 1) for part in parts):
            return None
        bounds = [part.indices(n)[:2] for part, n in zip(parts, self.shape, strict=True)]
        return bounds if all(start < stop for start, stop in bounds) else None

    @cached_property
    def _codecs(self) -> Sequence[Any]:
        """What encodes a chunk, first to last."""
        codecs: list[Any] = []
        for codec in self._metadata.codecs:
            if isinstance(codec, BloscCodec):
                shuffle = _SHUFFLES[codec.shuffle.value]
                codecs.append(
                    Blosc(codec.cname.value, codec.clevel, shuffle, codec.blocksize, codec.typesize)
                )
            elif isinstance(codec, Crc32cCodec):
                codecs.append(CRC32C(location="end"))
            elif not isinstance(codec, BytesCodec) or codec.endian not in (None, Endian.little):
                raise TypeError(f"{self._path}: no array of a run is encoded by {codec.to_dict()}")
        return codecs


@lru_cache(maxsize=1024)
def _parsed(description: bytes) -> ArrayV3Metadata:
    return ArrayV3Metadata.from_dict(json.loads(description))
