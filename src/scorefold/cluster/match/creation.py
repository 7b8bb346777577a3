"""Making a search in a store from a prepared job, and giving it other pick options."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec

from scorefold.cluster.kinds import open_match
from scorefold.cluster.match.run import FAILURES, PLAN, TARGETS, MatchRun
from scorefold.cluster.versions import versions
from scorefold.planning.job import PickOptions
from scorefold.planning.prepare import PreparedMatch
from scorefold.store import RunStore, check_free

STORED_CHUNK = 512
"""Edge of the chunks, per axis, in which targets from memory are kept."""


def create_run(location: str, prepared: PreparedMatch, *, keep_states: bool = False) -> MatchRun:
    """Write a job and its plan into a new store.

    Parameters
    ----------
    location : str
        Directory or URL; it must not hold anything yet.
    prepared : PreparedMatch
        The job.
    keep_states : bool
        Keep partials when what they are part of is committed.

    Raises
    ------
    InputError
        If something is there already, or nothing can be written there.
    """
    plan = replace(prepared.plan, direct=prepared.plan.direct and not keep_states)
    store = RunStore.create(
        location,
        {
            "kind": "match",
            "fingerprint": prepared.job.fingerprint,
            "job": prepared.job.to_json(),
            "versions": versions(),
            "max_pixels": prepared.max_pixels,
            "keep_states": keep_states,
        },
        {
            TARGETS: json.dumps([target.to_json() for target in prepared.job.targets]).encode(),
            FAILURES: json.dumps(prepared.unreadable).encode(),
            PLAN: json.dumps(plan.to_json()).encode(),
        },
    )
    try:
        for name, array in prepared.arrays.items():
            store.write_array(name, array)
        for path, array in prepared.given.items():
            _keep(store, path, array)
        return open_match(location)
    except BaseException:  # half a run could neither be resumed nor made again at the same place
        store.blobs.delete_below("")
        raise


def change_picks(run: MatchRun, picks: PickOptions) -> MatchRun:
    """Give a run other pick options; picks, pictures and tables are due again, score maps are not.

    Parameters
    ----------
    run : MatchRun
        The run.
    picks : PickOptions
        The new options.
    """
    check_free(run.store)
    job = {**run.store.attributes["job"], "picks": asdict(picks)}
    run.forget_outputs()
    run.store.update_attributes(job=job)
    return open_match(run.store.location)


def _keep(store: RunStore, path: str, array: Any) -> None:
    """Copy an array into the store, slab by slab, since it may be larger than memory."""
    shape = tuple(int(n) for n in array.shape) if hasattr(array, "shape") else np.shape(array)
    first = np.asarray(array[tuple(slice(0, 1) for _ in shape)])
    kept = zarr.create_array(
        store.zarr_store,
        name=path,
        shape=shape,
        dtype=first.dtype,
        chunks=tuple(min(n, STORED_CHUNK if len(shape) == 2 else STORED_CHUNK // 4) for n in shape),
        filters=None,
        serializer=BytesCodec(),
        compressors=[Crc32cCodec()],
        config={"write_empty_chunks": True},
    )
    rows = kept.chunks[0]
    for start in range(0, shape[0], rows):
        kept[start : start + rows] = np.asarray(array[start : start + rows])
