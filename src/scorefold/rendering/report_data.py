"""What a report shows: the job, its targets and picks, its failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rendering.page import check_picture
from scorefold.rendering.pick import DrawnPick, check_dimensions


@dataclass(frozen=True)
class ReportTarget:
    """One searched target.

    Parameters
    ----------
    name : str
        As the user named it; any text.
    shape : tuple of ints
        Lengths along the array axes.
    picks : int
        How many picks it has.
    best_score : float or None
        Highest score of its picks, None without picks.
    picture : bytes or None
        PNG of its overlay. A report of thousands of targets should carry only some pictures: they are
        embedded in the page.
    """

    name: str
    shape: tuple[int, ...]
    picks: int
    best_score: float | None = None
    picture: bytes | None = None


@dataclass(frozen=True)
class Failure:
    """A target that could not be searched, and why."""

    target: str
    reason: str


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """How often each score occurred over all targets: n counts between n + 1 increasing edges."""

    counts: NDArray[Any]
    edges: NDArray[Any]


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything on the page of a matching job.

    Texts may hold anything; they are escaped when the page is written.

    Parameters
    ----------
    title : str
        Heading of the page.
    dimensions : {2, 3}
        Axes of the targets; decides the columns of the table and the stated convention.
    template, mask, rotation_set, score : str
        What was searched for and how, in a few words each.
    threshold : float
        Score above which a position is a pick; NaN where none was found because every target failed.
    threshold_source : str
        Where the threshold came from, such as "expected false positives: 1 per target".
    fingerprint : str
        The job's fingerprint.
    versions : mapping of str to str
        Versions of scorefold and of the libraries that decide the numbers.
    targets : sequence of ReportTarget
        In the order to be shown.
    picks : sequence of DrawnPick
        In the order to be shown, best first.
    failures : sequence of Failure
        Shown first, if any.
    histogram : ScoreHistogram or None
        Scores at all positions.
    template_picture : bytes or None
        PNG of the template.
    contact_sheets : sequence of bytes
        PNG pages, from `contact_sheets` and `encode_png`.

    Raises
    ------
    InputError
        If `dimensions` is not 2 or 3, a pick has another number of axes, or a picture is not a PNG.
    """

    title: str
    dimensions: Literal[2, 3]
    template: str
    mask: str
    rotation_set: str
    score: str
    threshold: float
    threshold_source: str
    fingerprint: str
    versions: Mapping[str, str]
    targets: Sequence[ReportTarget]
    picks: Sequence[DrawnPick]
    failures: Sequence[Failure] = ()
    histogram: ScoreHistogram | None = None
    template_picture: bytes | None = None
    contact_sheets: Sequence[bytes] = ()

    def __post_init__(self) -> None:
        if self.dimensions not in {2, 3}:
            raise InputError(f"report of a job in {self.dimensions} dimensions: give 2 or 3.")
        check_dimensions(self.picks, self.dimensions)
        pictures = [self.template_picture, *(target.picture for target in self.targets), *self.contact_sheets]
        for picture in pictures:
            if picture is not None:
                check_picture(picture)
