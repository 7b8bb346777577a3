"""What an inspection has found, as Python sees it."""

import dataclasses
import hashlib
import io
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scorefold.api.running import (
    check_options,
    finish,
    html_page,
    measure_texts,
    read_picture,
    read_table,
    unfinished,
)
from scorefold.cluster import (
    InspectRun,
    change_measure,
    change_truth,
    committed_file,
    open_kind,
    repairable,
)
from scorefold.errors import InputError
from scorefold.planning.inspect_job import MeasureOptions
from scorefold.planning.truth import check_threshold, known_truth, truth_to_bytes
from scorefold.store.image_maps import ImageMaps

SHEETS = ("worst", "borderline", "good")


class Inspection:
    """What an inspection found; nothing is read before it is asked for.

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
        If no inspection is stored there.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        self._run = open_kind(self.location, InspectRun)

    @cached_property
    def images(self) -> pd.DataFrame:
        """One row per image: score, verdict, counts, pose; see ``tables/`` in the run for the columns' meaning.

        Raises
        ------
        StoreError
            If the run has not got that far.
        """
        return read_table(self._run, "images", self.location)

    @cached_property
    def defects(self) -> pd.DataFrame:
        """One row per defect: bounding box, area, peak, polarity, place; see ``tables/`` in the run.

        Raises
        ------
        StoreError
            If the run has not got that far.
        """
        return read_table(self._run, "defects", self.location)

    @property
    def threshold(self) -> float:
        """What is greater is anomalous."""
        return float(self.images["threshold"].iloc[0])

    @cached_property
    def metrics(self) -> pd.DataFrame | None:
        """How well scores tell what is known of the images, by metric; None if nothing is known.

        The columns ``images`` and ``pixels`` are NaN where a metric is not defined.

        Raises
        ------
        StoreError
            If the run has not got that far.
        """
        if committed_file(self._run, "tables/images.parquet") is None:
            raise unfinished(self.location)
        data = committed_file(self._run, "tables/metrics.csv")
        return None if data is None else pd.read_csv(io.BytesIO(data), index_col="metric")

    def scores(self, name: str) -> NDArray[Any]:
        """Return the score map of an image.

        Parameters
        ----------
        name : str
            Name of the image, as in `images`.

        Returns
        -------
        ndarray of float16 or float32, shape (H, W)
            Positive where the image is brighter than allowed, negative where it is darker; NaN where it does not
            count. In the coordinates of the template if parts were located. Maps of other tools are as they were.

        Raises
        ------
        KeyError
            If there is no such image, or it has no map.
        """
        return self._map(name, "scores")

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Return where an image is anomalous, in the coordinates of its score map; see `scores`."""
        return self._map(name, "masks") > 0

    def _map(self, name: str, what: str) -> NDArray[Any]:
        if name not in self._rows:
            raise KeyError(name)
        row = self._rows[name]
        verdict = self.images["verdict"].iloc[row]
        if verdict not in ("OK", "NG"):
            raise KeyError(f"{name}: {verdict}")
        leaf = self._run.plan.leaf_of(row)
        place = row - self._run.plan.group_of(leaf).first
        writer = self._run.score_key(leaf) if what == "scores" else self._run.measure_key(leaf)
        with repairable(self._run):
            record = self._run.store.read_commit(writer)
            if record is None:
                raise unfinished(self.location)
            block = next(b for b in record.summary["blocks"] if b["first"] <= place < b["stop"])
            maps = ImageMaps(self._run.store, block["array"]).read_block(writer, block)
        found: NDArray[Any] = maps[place - block["first"]]
        return found

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.images["name"])}

    @property
    def failures(self) -> dict[str, str]:
        """Images that could not be inspected, with the reason."""
        return self._run.failures()

    @property
    def report(self) -> str:
        """Path or URL of the HTML report."""
        return f"{self.location}/report.html"

    def picture(self, sheet: str = "worst") -> bytes:
        """Return a sheet of images as PNG.

        Parameters
        ----------
        sheet : {"worst", "borderline", "good"}
            The highest scores, those next to the threshold, or images without a defect.

        Raises
        ------
        KeyError
            If there is none.
        """
        return read_picture(self._run, f"{sheet}-000")

    def remeasure(self, *, render: bool = True, **options: Any) -> "Inspection":
        """Find the defects again with another threshold; no score map is computed anew.

        Parameters
        ----------
        render : bool
            Whether pictures and the report are made again.
        **options
            `threshold`, `min_area`.

        Returns
        -------
        Inspection
            With the new defects and verdicts.

        Raises
        ------
        InputError
            For an unknown option, a value out of range, or a threshold that needs labels where none are known.
        """
        check_options(options, MeasureOptions)
        measure = dataclasses.replace(self._run.job.measure, **measure_texts(options))
        finish(change_measure(self._run, measure), render=render)
        return Inspection(self.location)

    def evaluate(
        self, *, masks: str | Path | None = None, labels: str | Path | None = None, render: bool = True
    ) -> "Inspection":
        """Compare with what is known of the images; no score map is computed anew.

        Parameters
        ----------
        masks : path, optional
            Folder of masks named as the images.
        labels : path, optional
            csv file of names and labels.
        render : bool
            Whether pictures and the report are made again.

        Returns
        -------
        Inspection
            With `metrics`.

        Raises
        ------
        InputError
            If not one of them is given, or it cannot be used.
        """
        truths = known_truth(list(self._run.images), masks, labels)
        if truths is None:
            raise InputError("masks and labels: give one of them.")
        check_threshold(self._run.job.measure, truths, maps=self._run.job.source == "maps")
        data = truth_to_bytes(truths)
        finish(change_truth(self._run, data, hashlib.sha256(data).hexdigest()), render=render)
        return Inspection(self.location)

    def __repr__(self) -> str:
        return f"<Inspection: {self._run.title}, at {self.location!r}>"

    def _repr_html_(self) -> str:
        def worst() -> pd.DataFrame:
            columns = ["name", "score", "threshold", "verdict", "defects", "area", "failure"]
            return self.images.sort_values("score", ascending=False, kind="stable")[columns]

        return html_page(self, self._run, [f"{SHEETS[0]}-000"], worst)
