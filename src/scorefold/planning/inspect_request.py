"""What a user asks of an inspection, before any file was opened: every option with its default."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scorefold.planning.request import DEFAULT_MEMORY_LIMIT

if TYPE_CHECKING:  # the command line reads the defaults without loading what does the work
    from scorefold.inspection.learned import LearnedModel
    from scorefold.planning.inspect_job import MeasureOptions


def _usual_measure() -> "MeasureOptions":
    from scorefold.planning.inspect_job import MeasureOptions  # noqa: PLC0415

    return MeasureOptions()


@dataclass(frozen=True)
class TrainRequest:
    """A model as asked for.

    Attributes
    ----------
    images : sequence of str or path
        Good images: files, directories, globs. None are needed where models are added.
    add : sequence of LearnedModel
        Models whose images are learned, too; they must have been learned in the same way.
    method : str, optional
        "standard", "robust", "single" or "gaussian". Default: that of the first model in `add`, else "standard".
    template : str or path, optional
        A picture of the part, if it has to be located in the images.
    mask : str or path
        Where the part is in the picture: "none", "disk", "ellipse", "box" or a file of weights.
    angle_range : tuple of (float, float)
        Angles at which the part may lie, in degrees.
    angle_step : float, optional
        Their spacing in the first search.
    min_score : float
        Least correlation of a part that counts as found.
    absolute, factor, tolerance, polarity, jitter, cell, gain_offset, kernel_size
        See `scorefold.inspection.recipe.Recipe`.
    value_range : tuple of (float, float), optional
        Darkest and brightest grey level, for images of types that do not tell.
    channel, gray
        How colour images are read.
    max_pixels : int, optional
        Images with more pixels are not decoded. Default: `scorefold.io.MAX_DECODED_PIXELS`.
    memory_limit : int
        Bytes per worker.
    workers : int
        Number of workers to plan for.
    """

    images: Sequence[Any]
    add: "Sequence[LearnedModel]" = ()
    method: str | None = None
    template: Any = None
    mask: Any = "none"
    angle_range: tuple[float, float] = (0.0, 360.0)
    angle_step: float | None = None
    min_score: float = 0.5
    absolute: float | None = None
    factor: float = 2.0
    tolerance: int = 0
    polarity: str = "both"
    jitter: float = 1.0
    cell: int = 8
    gain_offset: bool = False
    kernel_size: int = 1
    value_range: tuple[float, float] | None = None
    channel: int | None = None
    gray: bool = False
    max_pixels: int | None = None
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    workers: int = 1


@dataclass(frozen=True)
class InspectRequest:
    """An inspection as asked for.

    Attributes
    ----------
    images : sequence of str or path
        What is inspected; the images that belong to `maps`, if maps are given.
    model : LearnedModel, optional
        What images are compared with.
    maps : sequence of str or path
        Anomaly maps of another tool, instead of a model.
    polarity : str, optional
        What counts as anomalous; default: as the model says. Maps have no sign.
    kernel_size : int, optional
        Radius of the opening that removes specks; default: as the model says, 1 for maps.
    precision : str
        "half" or "single".
    measure : MeasureOptions
        How defects and verdicts follow.
    masks : str or path, optional
        Folder of ground-truth masks, named as the images are.
    truth_table : str or path, optional
        Table (csv) of names and labels.
    export : tuple of str
        "maps", "masks": what is written as files.
    channel, gray
        How colour images are read.
    max_pixels : int, optional
        Images with more pixels are not decoded. Default: `scorefold.io.MAX_DECODED_PIXELS`.
    memory_limit : int
        Bytes per worker.
    workers : int
        Number of workers to plan for.
    """

    images: Sequence[Any] = ()
    model: "LearnedModel | None" = None
    maps: Sequence[Any] = ()
    polarity: str | None = None
    kernel_size: int | None = None
    precision: str = "half"
    measure: "MeasureOptions" = field(default_factory=_usual_measure)
    masks: Any = None
    truth_table: Any = None
    export: tuple[str, ...] = ()
    channel: int | None = None
    gray: bool = False
    max_pixels: int | None = None
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    workers: int = 1
