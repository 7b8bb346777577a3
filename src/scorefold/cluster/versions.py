"""Versions of what decides the numbers of a run, and whether all of a cluster have the same."""

# mypy: allow-untyped-calls

import platform
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from scorefold.errors import InputError, ScorefoldWarning

if TYPE_CHECKING:
    from distributed import Client

PACKAGES = (
    "scorefold",
    "numpy",
    "scipy",
    "numba",
    "zarr",
    "dask",
    "distributed",
    "opencv-python-headless",
)
NUMERICAL = ("numpy", "scipy", "numba", "opencv-python-headless")
"""Packages whose versions may change the last bits of results."""


def versions() -> dict[str, str]:
    """Return the versions of what decides the numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def check_versions(client: "Client") -> None:
    """Compare the versions of this process, the scheduler and its workers before they work together.

    Parameters
    ----------
    client : distributed.Client
        Connected to them.

    Raises
    ------
    InputError
        If a worker has another version of scorefold, or none.

    Warns
    -----
    ScorefoldWarning
        If the scheduler has another version of scorefold, or workers have other numerical libraries.
    """
    found: Any = client.get_versions(packages=["scorefold", *NUMERICAL])
    ours = found["client"]["packages"]
    own = ours["scorefold"]
    workers = {address: told["packages"] for address, told in found["workers"].items() if told}
    for address, theirs in sorted(workers.items()):
        if theirs["scorefold"] != own:
            has = f"has scorefold {theirs['scorefold']}" if theirs["scorefold"] else "lacks scorefold"
            raise InputError(f"worker {address}: it {has}, and this is {own}. Install {own} there.")
    scheduler = found["scheduler"]["packages"]["scorefold"]
    if scheduler not in (None, own):
        warnings.warn(
            f"the scheduler has scorefold {scheduler}, and this is {own}: its page may not show this run.",
            ScorefoldWarning,
            stacklevel=2,
        )
    for name in NUMERICAL:
        others = {theirs[name] or "none" for theirs in workers.values()} - {ours[name]}
        if others:
            warnings.warn(
                f"workers have {name} {', '.join(sorted(others))}, and this process {ours[name]}: the last bits of "
                "results may depend on who computed them. Install one version everywhere.",
                ScorefoldWarning,
                stacklevel=2,
            )
