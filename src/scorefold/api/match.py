"""Searching from Python: `match`, and what it found."""

import contextlib
import dataclasses
import html
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.api.result_maps import MapCollection
from scorefold.api.running import (
    OnProgress,
    as_sequence,
    check_options,
    finish,
    html_picture,
    html_table,
    new_location,
    read_picture,
    read_table,
)
from scorefold.cluster import change_picks, create_run, drive, executor, open_match
from scorefold.errors import StoreError
from scorefold.planning.job import PickOptions
from scorefold.planning.prepare import prepare_match
from scorefold.planning.request import MatchRequest
from scorefold.rotations import angle_to_matrix, relion_to_matrix


class Match:
    """What a match found; nothing is read before it is asked for.

    Parameters
    ----------
    location : str or path
        Directory or URL of the run.

    Attributes
    ----------
    location : str
        Where the run is stored.

    Raises
    ------
    StoreError
        If no run is stored there.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        self._run = open_match(self.location)

    @property
    def scores(self) -> MapCollection:
        """Best score of every position over all rotations, by target name (float32)."""
        return MapCollection(self._run, "scores")

    @property
    def rotations(self) -> MapCollection:
        """Row in `rotation_set` of the best rotation of every position, by target name (int32, -1 for none)."""
        return MapCollection(self._run, "rotations")

    @property
    def rotation_set(self) -> Any:
        """All rotation matrices, ndarray of float64, shape (n, d, d)."""
        return self._run.rotations

    @cached_property
    def picks(self) -> pd.DataFrame:
        """Detected positions, best first within a target; see ``tables/`` in the run for the columns' meaning.

        Raises
        ------
        StoreError
            If the run has not got that far.
        """
        return read_table(self._run, "picks", self.location)

    @property
    def pick_rotations(self) -> NDArray[np.float64]:
        """Rotation matrices of the picks in their order, shape (k, d, d): between those of the set where refined.

        Raises
        ------
        StoreError
            If the run has not got that far.
        """
        if "angle" in self.picks.columns:
            return angle_to_matrix(self.picks["angle"])
        return relion_to_matrix(self.picks[["rot", "tilt", "psi"]])

    @property
    def failures(self) -> dict[str, str]:
        """Targets that could not be searched, with the reason."""
        return self._run.failures()

    @property
    def report(self) -> str:
        """Path or URL of the HTML report."""
        return f"{self.location}/report.html"

    def picture(self, target: str) -> bytes:
        """Return the overlay of a target as PNG.

        Raises
        ------
        KeyError
            If there is none.
        """
        if target not in self.scores:
            raise KeyError(target)
        return read_picture(self._run, target)

    def repick(self, *, render: bool = True, **options: Any) -> "Match":
        """Call the picks again with other options; no score is computed anew.

        Parameters
        ----------
        render : bool
            Whether pictures and the report are made again.
        **options
            Any of `threshold`, `false_positives`, `min_distance`, `boundary`, `top`, `subpixel`, `refine`.

        Returns
        -------
        Match
            With the new picks.

        Raises
        ------
        InputError
            For an unknown option or a value out of range.
        """
        check_options(options, PickOptions)
        run = change_picks(self._run, dataclasses.replace(self._run.job.picks, **options))
        finish(run, render=render)
        return Match(self.location)

    def __repr__(self) -> str:
        job = self._run.job
        return (
            f"<Match of {job.labels['template']!r} in {len(job.targets)} targets, "
            f"{job.rotation_count} rotations, {job.search.score}, at {self.location!r}>"
        )

    def _repr_html_(self) -> str:
        parts = [f"<p>{html.escape(repr(self))}</p>"]
        first = next(iter(self.scores))
        with contextlib.suppress(KeyError):
            parts.append(html_picture(first, self.picture(first)))
        try:
            parts.append(html_table(self.picks))
        except StoreError:
            parts.append("<p>not finished</p>")
        return "".join(parts)


def match(
    targets: Any,
    template: Any,
    *,
    out: str | Path | None = None,
    client: object | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    render: bool = True,
    keep_states: bool = False,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Match:
    """Search targets for a template at every position and rotation.

    Parameters
    ----------
    targets : path, array or sequence of these
        Files, directories or globs; NumPy, Dask or Zarr arrays of shape (y, x) or (z, y, x). An array is copied into
        the run, so that the run can be resumed.
    template : path or array
        What is searched for, of the targets' dimension.
    out : path, optional
        Where the run is stored; a new directory (or URL). Default: a new temporary directory.
    client : distributed.Client, optional
        The cluster that works; with TLS ``Client("tls://…", security=Security(…))``.
    scheduler : str, optional
        Address of a Dask scheduler, or "serial". For a ``tls://`` address Dask's configuration names the files.
    workers : int, optional
        Number of processes of an embedded cluster. It is started with the spawn method, so that a script that passes
        this needs the guard ``if __name__ == "__main__":``. With none of the three, this process works alone.
    render : bool
        Whether pictures and the report are made.
    keep_states : bool
        Keep partials in the store when what they are part of is committed.
    on_progress : callable, optional
        Told after every piece of work.
    **options
        The fields of `scorefold.planning.request.MatchRequest`: `mask`, `step`, `score`, `threshold`, ….

    Returns
    -------
    Match
        With lazy `scores`, `rotations` and `picks`.

    Raises
    ------
    InputError
        If an input or option cannot be used.
    StoreError
        If the run could not be finished; it can be resumed.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> image = rng.normal(size=(64, 80))
    >>> template = image[20:33, 30:43].copy()
    >>> found = match(image, np.rot90(template), mask="disk", step=90, threshold=0.9, render=False)
    >>> found.picks[["y", "x", "angle"]].round(1).to_numpy().tolist()
    [[26.0, 36.0, 270.0]]
    """
    check_options(options, MatchRequest, {"targets", "template", "workers"})
    location = new_location(out)
    with executor(scheduler=scheduler, workers=workers, client=client) as (working, _):
        request = MatchRequest(
            targets=as_sequence(targets), template=template, workers=working.workers, **options
        )
        run = create_run(location, prepare_match(request), keep_states=keep_states)
        drive(run, working, render=render, on_progress=on_progress)
    return Match(location)
