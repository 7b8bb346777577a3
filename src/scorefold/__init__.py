"""Scorefold: template matching and inspection of huge image collections on a Dask cluster."""

__version__ = "0.1.0"
