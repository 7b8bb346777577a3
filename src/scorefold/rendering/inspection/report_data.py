"""What the page of an inspection shows: the run, its verdicts, scores, pictures and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rendering.inspection.curves import EvaluationCurve
from scorefold.rendering.inspection.image import VERDICTS, Verdict
from scorefold.rendering.page import check_picture
from scorefold.rendering.report_data import Failure


@dataclass(frozen=True)
class ReportImage:
    """A row of the table of images.

    Parameters
    ----------
    name : str
        As the user named it; any text.
    verdict : {"OK", "NG", "NOT_FOUND", "ERROR"}
        What was decided.
    score : float
        Score of the image; NaN if it has none.
    defects : int
        How many it has.
    area : int
        Anomalous pixels.
    label : str or None
        Known class, if any.
    note : str
        What is special about it, such as the reason of an error.
    """

    name: str
    verdict: Verdict
    score: float
    defects: int = 0
    area: int = 0
    label: str | None = None
    note: str = ""


@dataclass(frozen=True)
class ReportDefect:
    """A row of the table of defects.

    Parameters
    ----------
    image : str
        Name of the image.
    box : (int, int, int, int)
        Bounding box y0, x0, y1, x1 in pixels of the image; y1 and x1 are outside.
    area : int
        Pixels.
    peak : float
        Highest magnitude of the score within it.
    polarity : {"bright", "dark"} or None
        Brighter or darker than allowed.
    """

    image: str
    box: tuple[int, int, int, int]
    area: int
    peak: float
    polarity: Literal["bright", "dark"] | None = None


@dataclass(frozen=True)
class Metric:
    """How well scores separate, by one measure; None where it was not taken.

    Parameters
    ----------
    name : str
        Such as "AUROC".
    images, pixels : float or None
        Its value at image and at pixel level.
    """

    name: str
    images: float | None = None
    pixels: float | None = None


@dataclass(frozen=True, eq=False)
class ReportSheet:
    """Some of the images in pictures.

    Parameters
    ----------
    heading : str
        Such as "Highest scores".
    caption : str
        How they were chosen.
    pages : sequence of bytes
        PNG files, from `sheet_pages` and `encode_png`.
    """

    heading: str
    caption: str
    pages: Sequence[bytes]


@dataclass(frozen=True, eq=False)
class InspectionReport:
    """Everything on the page of an inspection.

    Texts may hold anything; they are escaped when the page is written.

    Parameters
    ----------
    title : str
        Heading of the page.
    model : str
        What the images were compared with, in a few words.
    threshold : float
        Images and pixels above it are anomalous; NaN where there is none because every image failed.
    threshold_rule : str
        Where it came from, such as "quantile 0.999 of good images".
    score_range : (float, float) or None
        Scores at the ends of the colour map, the same in all pictures.
    verdicts : mapping of verdict to int
        How many images there are of each; their sum is the number of images.
    fingerprint : str
        The job's fingerprint.
    versions : mapping of str to str
        Versions of scorefold and of the libraries that decide the numbers.
    facts : mapping of str to str
        More to know about the run, by name: images per second, workers, location.
    scores : mapping of str to (n,) array
        Image scores by what is known of the images ("normal", "anomalous", "unlabelled").
    curves : sequence of EvaluationCurve
        If the truth is known.
    metrics : sequence of Metric
        If the truth is known.
    sheets : sequence of ReportSheet
        In the order to be shown.
    density_picture : bytes or None
        PNG, from `draw_density`.
    images : sequence of ReportImage
        All of them, or the worst of very many.
    defects : sequence of ReportDefect
        All of them, or the worst of very many.
    number_of_defects : int or None
        In all images; by default the length of `defects`.
    failures : sequence of Failure
        Images that could not be inspected, and why; or the first of very many.
    not_found : sequence of Failure
        Images without the part, and how it was missed; or the first of very many.
    tables : str
        Where all rows are, such as "tables/images.parquet and tables/defects.parquet".
    signed : bool
        Whether scores tell what is brighter than allowed from what is darker.

    Raises
    ------
    InputError
        If a verdict is unknown, or a picture is not a PNG.
    """

    title: str
    model: str
    threshold: float
    threshold_rule: str
    score_range: tuple[float, float] | None
    verdicts: Mapping[Verdict, int]
    fingerprint: str
    versions: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    curves: Sequence[EvaluationCurve] = ()
    metrics: Sequence[Metric] = ()
    sheets: Sequence[ReportSheet] = ()
    density_picture: bytes | None = None
    images: Sequence[ReportImage] = ()
    defects: Sequence[ReportDefect] = ()
    number_of_defects: int | None = None
    failures: Sequence[Failure] = ()
    not_found: Sequence[Failure] = ()
    tables: str = "the run's tables"
    signed: bool = True

    def __post_init__(self) -> None:
        unknown = sorted({*self.verdicts, *(row.verdict for row in self.images)} - set(VERDICTS))
        if unknown:
            raise InputError(f'verdict "{unknown[0]}" in a report: give some of {VERDICTS}.')
        for sheet in self.sheets:
            for page in sheet.pages:
                check_picture(page)
        if self.density_picture is not None:
            check_picture(self.density_picture)

    @property
    def number_of_images(self) -> int:
        """Return how many images were given, inspected or not."""
        return sum(self.verdicts.values())
