"""What a training has learned, as Python sees it."""

from functools import cached_property
from pathlib import Path

import pandas as pd

from scorefold.api.running import html_page, read_picture, read_table
from scorefold.cluster import (
    TrainRun,
    open_kind,
)
from scorefold.errors import DamagedPartialError, StoreError, repair_command
from scorefold.inspection.learned import LearnedModel
from scorefold.inspection.recipe import Recipe


class Model:
    """What good images look like, as it was learned; nothing is read before it is asked for.

    Parameters
    ----------
    location : str or path
        Directory or URL of the training.

    Attributes
    ----------
    location : str
        Where the training is stored.

    Raises
    ------
    StoreError
        If no training is stored there.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        self._run = open_kind(self.location, TrainRun)

    @property
    def recipe(self) -> Recipe:
        """How it was learned."""
        return self._run.recipe

    @cached_property
    def images(self) -> pd.DataFrame:
        """The good images, each with its score by the model of the others, or why it could not be used.

        Raises
        ------
        StoreError
            If the training has not got that far.
        """
        return read_table(self._run, "images", self.location)

    @property
    def failures(self) -> dict[str, str]:
        """Good images that could not be used, with the reason."""
        return self._run.failures()

    def picture(self, name: str = "reference") -> bytes:
        """Return a picture of what was learned, as PNG.

        Parameters
        ----------
        name : {"reference", "tolerance"}
            What a good image looks like, or how much it may vary. A Gaussian model has neither.

        Raises
        ------
        KeyError
            If there is none.
        """
        return read_picture(self._run, name)

    def __repr__(self) -> str:
        return f"<Model: {self._run.title}, at {self.location!r}>"

    def _repr_html_(self) -> str:
        return html_page(self, self._run, ("reference", "tolerance"), lambda: self.images)


def open_model(location: str | Path) -> LearnedModel:
    """Return what a training has learned, verified.

    Raises
    ------
    StoreError
        If no training is stored there, or it is not finished or damaged.
    """
    try:
        return open_kind(str(location), TrainRun).model()
    except DamagedPartialError as error:
        raise StoreError(
            f'model "{location}": it is damaged ({error}). Repair it with: {repair_command(str(location))}'
        ) from error
