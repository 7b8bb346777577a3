"""The command line: one file a command."""

from scorefold.cli.application import main

__all__ = ["main"]
