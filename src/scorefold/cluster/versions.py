"""Versions of what decides the numbers of a run."""

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Return the versions of what decides the numbers."""
    packages = (
        "scorefold",
        "numpy",
        "scipy",
        "numba",
        "zarr",
        "dask",
        "distributed",
        "opencv-python-headless",
    )
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
