"""The errors and warnings a user meets; each message is one line: what, where, what to do."""


class ScorefoldError(Exception):
    """Base of every error that scorefold raises on purpose.

    The command line prints its message as one line and exits with `exit_code`.
    """

    exit_code = 2


class InputError(ScorefoldError, ValueError):
    """A file, array or option that cannot be used; the message says what to change."""


class StoreError(ScorefoldError):
    """A run's store that cannot be read, written or trusted."""


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

    def __reduce__(self) -> tuple[type["DamagedPartialError"], tuple[str, str]]:
        return type(self), (self.key, self.reason)


class ScorefoldWarning(UserWarning):
    """A value that was accepted but probably not meant."""
