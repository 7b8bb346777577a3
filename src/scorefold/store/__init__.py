"""The store: one Zarr group with a run's inputs, partials, commit records and results; it is the truth."""

from scorefold.store.commit import ArrayRecord, Commit
from scorefold.store.lease import (
    EXPIRED_SECONDS,
    Lease,
    ask_to_stop,
    check_free,
    driver_lease,
    driver_of,
    why_stopped,
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
    "Verification",
    "ask_to_stop",
    "check_free",
    "collect_garbage",
    "driver_lease",
    "driver_of",
    "verify",
    "why_stopped",
]
