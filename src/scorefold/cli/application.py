"""The `scorefold` command: its subcommands, and how errors and interrupts end it."""

import contextlib
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO

import typer

from scorefold import __version__
from scorefold.cli import (
    cancel,
    demo,
    evaluate,
    gc,
    inspect,
    match,
    plan,
    render,
    resume,
    status,
    submit,
    verify,
)
from scorefold.cli.console import say
from scorefold.cli.interrupts import EXIT_INTERRUPTED, Interrupted
from scorefold.cli.usage import usage_message
from scorefold.cli.wording import one_line
from scorefold.credentials import check_url, without_credentials
from scorefold.errors import ScorefoldError, ScorefoldWarning

EXIT_BAD_INPUT = 2

PURPOSE = "Find a template at every rotation and position, or what is wrong, in huge collections of images."

application = typer.Typer(
    name="scorefold",
    help=PURPOSE,
    epilog="Start with: scorefold demo match, scorefold demo inspect",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

for command in (match, plan, evaluate, render, submit, status, cancel, resume, verify, gc):
    application.command(command.__name__.rsplit(".", 1)[1], epilog=command.EXAMPLES)(command.command)
application.add_typer(inspect.application, name="inspect")
application.add_typer(demo.application, name="demo")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"scorefold {__version__}")
        raise typer.Exit


@application.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
    ),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks; may stand anywhere."),
) -> None:
    pass


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the `scorefold` command and exit: 0 done, 1 some images failed, 2 bad input, 130 interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup ignores it, which is to stay so
        signal.signal(signal.SIGHUP, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        _write_anything(stream)
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        for argument in arguments:  # before any message repeats it
            check_url(argument)
        with _warnings(everything=debug):
            sys.exit(_run(arguments))
    except (KeyboardInterrupt, typer.Abort, Interrupted) as error:
        _fail(str(error) or "interrupted", EXIT_INTERRUPTED)
    except ScorefoldError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except Exception as error:
        if hasattr(error, "format_message"):
            _fail_usage(error, arguments)
        if debug:
            raise
        _fail(_unexpected(error), EXIT_BAD_INPUT)


def _run(arguments: list[str]) -> int:
    result: Any = application(arguments, standalone_mode=False)
    return int(result or 0)


@contextlib.contextmanager
def _warnings(*, everything: bool) -> Iterator[None]:
    """Show our own warnings in a line each, and those of libraries only when debugging."""
    with warnings.catch_warnings():
        if not everything:
            # Of what else fails where one of several requests to a store has failed, the first is told.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ScorefoldWarning)
            warnings.showwarning = _show_warning
        yield


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"warning  {message}", error=True)


def _write_anything(stream: TextIO) -> None:
    """Let a stream escape what the terminal's encoding lacks, such as bytes of file names that are no text."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _fail_usage(error: Any, arguments: list[str]) -> NoReturn:
    if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: the help is the answer
        text = error.format_message()
        if text:
            sys.stdout.write(f"{text}\n")
        sys.exit(EXIT_BAD_INPUT)
    _fail(usage_message(error, arguments), EXIT_BAD_INPUT)


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f'"{error.filename}": '
        return f"{place}{error.strerror}. Free space or change permissions, then try again."
    return f"internal error: {type(error).__name__}: {error} (run again with --debug for details)"


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"scorefold: {one_line(without_credentials(message))}\n")
    sys.exit(code)
