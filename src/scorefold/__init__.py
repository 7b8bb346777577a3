"""Scorefold: template matching and inspection of huge image collections on a Dask cluster."""

from importlib.metadata import version
from typing import Any

__version__ = version("scorefold")
__all__ = ["Inspection", "Match", "Model", "inspect", "inspect_maps", "match", "open_run", "train"]


def __getattr__(name: str) -> Any:
    # Loaded when first used: workers and `scorefold --help` do without.
    if name in __all__:
        from scorefold import api  # noqa: PLC0415

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
