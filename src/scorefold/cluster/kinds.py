"""Opening a run of any kind, and the one that a process used last."""

from typing import TypeVar

from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.cluster.inspect.train_run import TrainRun
from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.run import Run, RunReference, absolute_location
from scorefold.errors import StoreError
from scorefold.store import RunStore

KINDS: dict[str, type[Run]] = {kind.kind: kind for kind in (MatchRun, TrainRun, InspectRun)}


def open_run(location: str) -> Run:
    """Open a run of any kind.

    Parameters
    ----------
    location : str
        Directory or URL.

    Raises
    ------
    StoreError
        If there is none, or it cannot be read.
    """
    store = RunStore(absolute_location(location))
    kind = store.attributes.get("kind")
    if kind not in KINDS:
        raise StoreError(f'run "{location}": its kind is {kind!r}; this version knows {", ".join(KINDS)}.')
    return KINDS[kind](store)


Kind = TypeVar("Kind", bound=Run)


def open_kind(location: str, kind: type[Kind]) -> Kind:
    """Open a run that must be of a certain kind.

    Raises
    ------
    StoreError
        If there is none, or it is of another kind.
    """
    run = open_run(location)
    if not isinstance(run, kind):
        raise StoreError(
            f'run "{location}": it is of kind {run.kind}, and one of kind {kind.kind} is needed.'
        )
    return run


def open_match(location: str) -> MatchRun:
    """Open a search; see `open_kind`."""
    return open_kind(location, MatchRun)


_used_last: dict[str, Run] = {}


def run_of(reference: RunReference) -> Run:
    """Return the run that a reference names, from this process's memory if it is the one used last.

    Parameters
    ----------
    reference : RunReference
        The run; another one at the same place is not mistaken for it.

    Raises
    ------
    StoreError
        If another run is stored there.
    """
    known = _used_last.get(reference.location)
    if known is None or known.reference != reference:
        known = open_run(reference.location)
        if known.reference != reference:
            raise StoreError(
                f'run "{reference.location}": it is not the one that was submitted. '
                "Was the folder replaced, or were its options changed meanwhile? Submit again."
            )
        _used_last.clear()
        _used_last[reference.location] = known
    return known
