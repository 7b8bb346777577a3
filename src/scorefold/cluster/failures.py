"""What the driver does about work that failed: it is put up again, done with care, done without, or stops the run."""

import errno
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from scorefold.cluster.run import Run, one_line
from scorefold.cluster.suspects import Note, read_note, suspect
from scorefold.errors import DamagedPartialError, ScorefoldError, StoreError, resume_command
from scorefold.planning.node import Node

ATTEMPTS = 3
"""How often work is tried before the run stops."""

NOT_BEGUN = 0.125
"""What it counts as if workers died that had some work before they began it."""

OUR_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
)
"""Errors of a program, not of the machine it runs on: they come again as often as the work is tried."""


class Failures:
    """The failures of a run so far.

    What is the fault of an input never gets here: tasks note it, and go on with the others. Damaged partials, and what
    a machine may do better the next time, are put up again; errors of the program end the run at once.

    Parameters
    ----------
    run : Run
        The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tries: defaultdict[str, float] = defaultdict(float)
        self._suspects: dict[str, Note] = {}
        self._blamed: set[str] = set()

    def next_wave(self, wave: Sequence[Node]) -> list[Node]:
        """Return a wave in which work that workers died of is done with care."""
        self._blamed.clear()
        return [replace(node, suspected=True) if node.key in self._suspects else node for node in wave]

    def add(self, node: Node, error: BaseException, *, killed: bool) -> None:
        """Make work due again that failed, or whose result is damaged.

        Parameters
        ----------
        node : Node
            The work.
        error : BaseException
            How it failed.
        killed : bool
            Whether its workers died.

        Raises
        ------
        StoreError
            If it fails again and again, or by an error that says that it always will, and the run cannot do without.
        """
        key = error.key if isinstance(error, DamagedPartialError) else node.key
        if key in self._blamed:  # several tasks of a wave may stumble over one damaged partial
            return
        self._blamed.add(key)
        for_good = False
        if isinstance(error, DamagedPartialError):
            self._run.store.discard(key, error.reason)
            self._tries[key] += 1
        elif killed:
            self._tries[key] += self._guilt(key)
        else:
            self._tries[key] += 1
            for_good = isinstance(error, (ScorefoldError, *OUR_ERRORS))
        if (for_good or self._tries[key] >= ATTEMPTS) and not self._run.give_up(node, one_line(error)):
            raise StoreError(f"{key}: {self._told(key, error)}. {how_to_go_on(self._run, error)}") from error

    def _guilt(self, key: str) -> float:
        """Tell what a death counts for work that was with a worker that died, and note what is suspected."""
        store, before = self._run.store, self._suspects.get(key)
        if before is None:
            suspect(store, key)
            self._suspects[key] = Note()
            return 0
        now = self._suspects[key] = read_note(store, key)
        if now.known > before.known:
            return 0
        return 1 if now.begun > before.begun else NOT_BEGUN

    def _told(self, key: str, error: BaseException) -> str:
        if isinstance(error, OUR_ERRORS):
            return f"internal error, {type(error).__name__}: {one_line(error)}"
        return f"failed {self._tries[key]:.0f} times ({one_line(error)})"


def how_to_go_on(run: Run, error: BaseException) -> str:
    """Return the end of a message about a run that stops by an error."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    begin = "Free space there, then go" if full else "Go"
    return f"What is done is kept. {begin} on with: {resume_command(run.store.location)}"
