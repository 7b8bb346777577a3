"""What runs tell of themselves while they are at work, for whoever watches: a live estimate, never the truth."""

import math
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

TOPIC = "scorefold"
"""Under which events are logged with a Dask scheduler."""

PREVIEW_CELLS = 64
"""Cells of a preview along its longer side, at most."""

MOST_TOLD = 4096
"""Entries of a list or mapping in an event, at most."""

WORKING: Final = "working"
FINISHED: Final = "finished"
STOPPED: Final = "stopped"
State = Literal["working", "finished", "stopped"]

# What a receiver checks, since anybody on a cluster may log anything.
Count = Annotated[int, Field(ge=0, le=2**53)]
Number = Annotated[float, Field(ge=-1e100, le=1e100)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Cell = Annotated[int, Field(ge=0, lt=PREVIEW_CELLS)]
Cells = Annotated[int, Field(gt=0, le=PREVIEW_CELLS)]
Told = Field(max_length=MOST_TOLD)


@dataclass(frozen=True)
class Event:
    """Base of events: messages of plain values.

    Attributes
    ----------
    run : str
        Location of the run.
    """

    what: ClassVar[str]

    run: str

    def message(self) -> dict[str, Any]:
        """Return the event as it travels."""
        return {"what": self.what, **_travelling(asdict(self))}


def _travelling(value: Any) -> Any:
    """Return a value whose texts can be encoded: names of files may hold bytes that are no text."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_travelling(key): _travelling(item) for key, item in value.items()}
    return [_travelling(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class DriverEvent(Event):
    """Where a run stands, as its driver sees it.

    Attributes
    ----------
    driver : str
        Which driver of the run this is: one that goes on with a run is another.
    kind : str
        Kind of the run: match, train or inspect.
    title : str
        What it is about.
    state : {"working", "finished", "stopped"}
        Whether its driver is at work.
    done, total : dict of str to int
        Pieces of work by stage.
    seconds_left : float or None
        How long the stage that takes longest may take.
    targets : list of (str, float, str)
        Name, searched fraction and state of some targets: those that changed last.
    target_states : dict of str to int
        Number of targets by state.
    reason : str
        Why it stopped.
    """

    what = "driver"

    driver: str = ""
    kind: str = ""
    title: str = ""
    state: State = WORKING
    done: Annotated[dict[str, Count], Told] = field(default_factory=dict)
    total: Annotated[dict[str, Count], Told] = field(default_factory=dict)
    seconds_left: Seconds | None = None
    targets: Annotated[list[tuple[str, Number, str]], Told] = field(default_factory=list)
    target_states: Annotated[dict[str, Count], Told] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Preview:
    """The best scores of a part of a target so far, in few cells.

    Attributes
    ----------
    target : str
        Name of the target.
    best : float
        The best score in the part.
    grid : (int, int)
        Rows and columns of the whole target's preview.
    start : (int, int)
        Where the part begins in it.
    shape : (int, int)
        Rows and columns of the part.
    cells : bytes
        The best score of each cell, float32 in C order, little-endian.
    """

    target: str
    best: Number
    grid: tuple[Cells, Cells]
    start: tuple[Cell, Cell]
    shape: tuple[Cells, Cells]
    cells: bytes

    def __post_init__(self) -> None:
        """Refuse a part that sticks out, or has another number of cells."""
        ends = (start + length for start, length in zip(self.start, self.shape, strict=True))
        if any(end > whole for end, whole in zip(ends, self.grid, strict=True)):
            raise ValueError(f"preview from {self.start}, {self.shape} cells: it sticks out of {self.grid}")
        if len(self.cells) != 4 * math.prod(self.shape):
            raise ValueError(f"preview of {self.shape} cells: {len(self.cells)} bytes")


@dataclass(frozen=True)
class LeafEvent(Event):
    """What a worker found in a piece of work.

    Attributes
    ----------
    stage : str
        Of the work.
    seconds : float
        How long it took.
    rotations : float
        Pairs of a target and a rotation that it scored; of a target that is cut in tiles, their share of it.
    previews : list of Preview
        Of the targets it worked on, or some of them.
    scores : list of float
        Of the images it worked on.
    verdicts : dict of str to int
        Number of its images by verdict.
    worst : list of (str, float)
        Names and scores of its most anomalous images.
    failures : dict of str to str
        Inputs that failed, with the reason.
    """

    what = "leaf"

    stage: str = ""
    seconds: Seconds = 0.0
    rotations: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    previews: Annotated[list[Preview], Told] = field(default_factory=list)
    scores: Annotated[list[Number], Told] = field(default_factory=list)
    verdicts: Annotated[dict[str, Count], Told] = field(default_factory=dict)
    worst: Annotated[list[tuple[str, Number]], Told] = field(default_factory=list)
    failures: Annotated[dict[str, str], Told] = field(default_factory=dict)
