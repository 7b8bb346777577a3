"""The store: one Zarr group with a run's inputs, partials, commit records and results; it is the truth."""

from scorefold.store.commit import ArrayRecord, Commit
from scorefold.store.lease import check_free, driver_lease
from scorefold.store.maintenance import Collected, Verification, collect_garbage, verify
from scorefold.store.results import ResultMaps
from scorefold.store.run_store import RunStore

__all__ = [
    "ArrayRecord",
    "Collected",
    "Commit",
    "ResultMaps",
    "RunStore",
    "Verification",
    "check_free",
    "collect_garbage",
    "driver_lease",
    "verify",
]
