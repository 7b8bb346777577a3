"""Work that its workers did not survive: its inputs are tried one by one, to find out which of them kills.

A cluster blames all work that was on a worker when it died, begun or not. So suspected work writes down that it begins,
and which input it tries, before it does; who comes after a death knows of what.
"""

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from scorefold.planning.node import Node
from scorefold.store import RunStore
from scorefold.store.lease import is_running, this_process

DEATHS = 2
"""How often a worker must die while it tries an input before the input is left out."""

REASON = f"its worker died {DEATHS} times while it was tried alone"


@dataclass
class Note:
    """What is known of suspected work.

    Attributes
    ----------
    begun : int
        How often it was begun.
    passed : list of str
        Inputs that did not kill.
    trying : str or None
        The input that is tried, or was when the worker died.
    deaths : dict of str to int
        How many workers died of an input.
    process : dict
        Who tries, or tried.
    """

    begun: int = 0
    passed: list[str] = field(default_factory=list)
    trying: str | None = None
    deaths: dict[str, int] = field(default_factory=dict)
    process: dict[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> int:
        """How much is found out; it grows with every input that passes or kills."""
        return len(self.passed) + sum(self.deaths.values()) + (self.trying is not None)


def suspect(store: RunStore, key: str) -> None:
    """Begin to note what suspected work does."""
    _write(store, key, Note())


def read_note(store: RunStore, key: str) -> Note:
    """Return what is known of suspected work; nothing if the note was damaged."""
    try:
        note = Note(**json.loads(store.blobs.get(_name(key)) or b"{}"))
        shapes = ((note.begun, int), (note.passed, list), (note.deaths, dict), (note.process, dict))
        sound = all(isinstance(value, kind) for value, kind in shapes) and all(
            isinstance(count, int) for count in note.deaths.values()
        )
    except (TypeError, ValueError, RecursionError):
        return Note()
    return note if sound else Note()


def note_begin(store: RunStore, node: Node) -> None:
    """Write down that work begins, if it is suspected."""
    if node.suspected:
        note = read_note(store, node.key)
        note.begun += 1
        _write(store, node.key, note)


def find_killers(
    store: RunStore, node: Node, inputs: Iterable[tuple[str, Callable[[], object]]]
) -> dict[str, str]:
    """Try the inputs of suspected work; return those that kill, with the reason.

    Parameters
    ----------
    store : RunStore
        The run.
    node : Node
        The work; if it is not suspected, nothing is tried.
    inputs : iterable of (str, callable)
        Names of inputs, and what does with each alone what the work does with all. An error that is raised there is
        raised again, and dealt with, when the work itself is done.
    """
    if not node.suspected:
        return {}
    note = read_note(store, node.key)
    # A store may have failed while an input was tried, or a worker was given up that is still at it.
    if note.trying is not None and not is_running(note.process):
        note.deaths[note.trying] = note.deaths.get(note.trying, 0) + 1
    note.process = this_process()
    killers = {}
    for name, attempt in inputs:
        if note.deaths.get(name, 0) >= DEATHS:
            killers[name] = REASON
        elif name not in note.passed:
            note.trying = name
            _write(store, node.key, note)
            with contextlib.suppress(Exception):
                attempt()
            note.passed.append(name)
    note.trying = None
    _write(store, node.key, note)
    return killers


def _name(key: str) -> str:
    return f"suspects/{key}.json"


def _write(store: RunStore, key: str, note: Note) -> None:
    store.blobs.put(_name(key), json.dumps(asdict(note)).encode())
