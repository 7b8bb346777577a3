"""The errors and warnings a user meets; each message is one line: what, where, what to do."""

import shlex


class ScorefoldError(Exception):
    """Base of every error that scorefold raises on purpose.

    The command line prints its message as one line and exits with `exit_code`.
    """

    exit_code = 2


class InputError(ScorefoldError, ValueError):
    """A file, array or option that cannot be used; the message says what to change."""


class StoreError(ScorefoldError):
    """A run's store that cannot be read, written or trusted."""


class RunCancelled(ScorefoldError):  # noqa: N818 - not an error: somebody wished so
    """A run that its driver was asked to leave; what is done is kept."""

    exit_code = 130


class DamagedPartialError(StoreError):
    """A stored partial whose bytes disagree with its commit record.

    Parameters
    ----------
    key : str
        Key of the partial; whoever catches the error may recompute it.
    reason : str
        What disagrees.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"partial {key!r}: {reason}")
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple[type["DamagedPartialError"], tuple[str, str], dict[str, object]]:
        return type(self), (self.key, self.reason), self.__dict__


class ScorefoldWarning(UserWarning):
    """A value that was accepted but probably not meant."""


def resume_command(location: str) -> str:
    """Return what to type to go on with a run."""
    return f"scorefold resume {shlex.quote(location)}"


def status_command(location: str) -> str:
    """Return what to type to watch a run."""
    return f"scorefold status {shlex.quote(location)} --watch"


def cancel_command(location: str) -> str:
    """Return what to type to have the driver of a run stop."""
    return f"scorefold cancel {shlex.quote(location)}"


def repair_command(location: str) -> str:
    """Return what to type to have damaged results of a run made again."""
    return f"scorefold verify --discard {shlex.quote(location)}, then {resume_command(location)}"


def in_one_line(value: object, longest: int = 100) -> str:
    r"""Return what somebody else wrote as a message can hold it: on one line, and no more than its beginning.

    Parameters
    ----------
    value : object
        Text, or an error, whose text is taken.
    longest : int
        Number of characters from which on the text is cut.

    Returns
    -------
    str
        The text without line breaks; characters that cannot be printed are written as Python does.

    Examples
    --------
    >>> in_one_line("bad\nvalue"), in_one_line("a" * 99, longest=8)
    ('bad value', 'aaaaaaa…')
    """
    words = " ".join(str(value)[: 4 * longest].split())
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in words)
    return text if len(text) <= longest else text[: longest - 1] + "…"
