"""Our Dask configuration: a file that Dask reads, too."""

from pathlib import Path

DASK_CONFIG = Path(__file__).with_name("dask.yaml")
"""Dask configuration for clusters that work for scorefold; for the environment variable of the same name."""
