"""How an interrupted command ends: with what is done kept, and the command that goes on."""

import contextlib
from collections.abc import Iterator

from scorefold.errors import resume_command

EXIT_INTERRUPTED = 130


class Interrupted(Exception):  # noqa: N818 - not an error
    """The user or the machine asked to stop; the message says how to go on."""


@contextlib.contextmanager
def resumable(location: str) -> Iterator[None]:
    """Turn an interrupt of work on a run into a message that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        message = f"interrupted; what is done is kept. Go on with: {resume_command(location)}"
        raise Interrupted(message) from None
