"""What Zarr writes down of groups and arrays: made in memory, so that what is stored can be compared and made anew."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import zarr
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


def describe_group(attributes: Mapping[str, Any]) -> bytes:
    """Return what Zarr writes down of a group."""
    return json.dumps(_empty_group() | {"attributes": dict(attributes)}, indent=2).encode()


def describe_parents(path: str) -> dict[str, bytes]:
    """Return the descriptions of the groups around something, by name, without that of the store itself.

    Examples
    --------
    >>> list(describe_parents("results/a.tif/scores"))
    ['results/zarr.json', 'results/a.tif/zarr.json']
    """
    parts = path.split("/")
    return {"/".join([*parts[:depth], GROUP_FILE]): describe_group({}) for depth in range(1, len(parts))}


@cache
def _empty_group() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(
        descriptions(lambda store: zarr.create_group(store, path="group", zarr_format=3))[
            f"group/{GROUP_FILE}"
        ]
    )
    return described


def restore(blobs: Blobs, described: Mapping[str, bytes]) -> dict[str, str]:
    """Write the descriptions that are missing or damaged; return the SHA-256 of all by name."""
    for name, data in described.items():
        if blobs.get(name) != data:
            blobs.put(name, data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in described.items()}
