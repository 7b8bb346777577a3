"""Opening what a run of any kind left behind."""

from pathlib import Path

from scorefold.api.inspection import Inspection
from scorefold.api.match import Match
from scorefold.api.model import Model
from scorefold.cluster import InspectRun, TrainRun
from scorefold.cluster import open_run as open_any


def open_run(location: str | Path) -> Match | Model | Inspection:
    """Return what a run left behind.

    Parameters
    ----------
    location : str or path
        Directory or URL of the run.

    Returns
    -------
    Match, Model or Inspection
        As the run's kind is.

    Raises
    ------
    StoreError
        If no run is stored there.
    """
    run = open_any(str(location))
    if isinstance(run, TrainRun):
        return Model(location)
    return Inspection(location) if isinstance(run, InspectRun) else Match(location)
