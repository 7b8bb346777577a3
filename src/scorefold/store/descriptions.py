"""What Zarr writes down of groups and arrays: made in memory, so that what is stored can be compared and made anew."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from zarr.abc.store import Store
from zarr.storage import MemoryStore

from scorefold.store.blobs import Blobs

GROUP_FILE = "zarr.json"
"""What Zarr puts into every folder of a store."""


def descriptions(make: Callable[[Store], object]) -> dict[str, bytes]:
    """Return the descriptions that making groups and arrays writes, by name, without that of the store itself.

    Parameters
    ----------
    make : callable
        Makes them in the store that it is given.
    """
    written: dict[str, Any] = {}
    make(MemoryStore(store_dict=written))
    return {name: data.to_bytes() for name, data in written.items() if name != GROUP_FILE}


def restore(blobs: Blobs, described: Mapping[str, bytes]) -> dict[str, str]:
    """Write the descriptions that are missing or damaged; return the SHA-256 of all by name."""
    for name, data in described.items():
        if blobs.get(name) != data:
            blobs.put(name, data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in described.items()}
