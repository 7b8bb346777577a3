"""The store: one Zarr group with a run's inputs, partials, commit records and results; it is the truth."""

from scorefold.store.commit import ArrayRecord, Commit
from scorefold.store.lease import (
    EXPIRED_SECONDS,
    Lease,
    Stop,
    ask_to_stop,
    check_free,
    driver_lease,
    driver_of,
    last_stop,
    reason_of_end,
)
from scorefold.store.maintenance import Collected, Verification, collect_garbage, verify
from scorefold.store.results import ResultMaps
from scorefold.store.run_store import RunStore

__all__ = [
    "EXPIRED_SECONDS",
    "ArrayRecord",
    "Collected",
    "Commit",
    "Lease",
    "ResultMaps",
    "RunStore",
    "Stop",
    "Verification",
    "ask_to_stop",
    "check_free",
    "collect_garbage",
    "driver_lease",
    "driver_of",
    "last_stop",
    "reason_of_end",
    "verify",
]
