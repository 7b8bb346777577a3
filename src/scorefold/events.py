"""What runs tell of themselves while they are at work, for whoever watches: a live estimate, never the truth."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

TOPIC = "scorefold"
"""Under which events are logged with a Dask scheduler."""

PREVIEW_CELLS = 64
"""Cells of a preview along its longer side, at most."""

WORKING, FINISHED, STOPPED = "working", "finished", "stopped"


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
        return {"what": self.what, **asdict(self)}

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Self:
        """Return the event that `message` took apart; values that this version does not know are left out."""
        return cls(**{name: message[name] for name in (f.name for f in fields(cls)) if name in message})


@dataclass(frozen=True)
class DriverEvent(Event):
    """Where a run stands, as its driver sees it.

    Attributes
    ----------
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
        Name, searched fraction and state of the targets that changed last.
    target_states : dict of str to int
        Number of targets by state.
    reason : str
        Why it stopped.
    """

    what = "driver"

    kind: str = ""
    title: str = ""
    state: str = WORKING
    done: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    seconds_left: float | None = None
    targets: list[tuple[str, float, str]] = field(default_factory=list)
    target_states: dict[str, int] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class LeafEvent(Event):
    """What a worker found in a piece of work.

    Attributes
    ----------
    stage : str
        Of the work.
    seconds : float
        How long it took.
    rotations : int
        Pairs of a target and a rotation that it scored.
    previews : list of Preview messages
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
    seconds: float = 0.0
    rotations: int = 0
    previews: list[dict[str, Any]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=dict)
    worst: list[tuple[str, float]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


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
    best: float
    grid: tuple[int, int]
    start: tuple[int, int]
    shape: tuple[int, int]
    cells: bytes
