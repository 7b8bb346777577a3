"""The `scorefold` command: its subcommands, and how errors and interrupts end it."""

import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import typer

from scorefold import __version__
from scorefold.cli import demo, gc, match, plan, render, resume, status, verify
from scorefold.cli.execution import Interrupted
from scorefold.errors import ScorefoldError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

application = typer.Typer(
    name="scorefold",
    help="Find a template at every rotation and position in huge collections of images and volumes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

for command in (match, plan, status, resume, verify, gc, render):
    application.command(command.__name__.rsplit(".", 1)[1])(command.command)
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
) -> None:
    """Find a template at every rotation and position in huge collections of images and volumes."""


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the `scorefold` command and exit: 0 done, 1 some targets failed, 2 bad input, 130 interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        sys.exit(_run(arguments))
    except (KeyboardInterrupt, typer.Abort, Interrupted) as error:
        _fail(str(error) or "interrupted", EXIT_INTERRUPTED)
    except ScorefoldError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except Exception as error:
        if hasattr(error, "format_message"):  # usage errors; typer has had their classes in several places
            _fail(f"{error.format_message()} (see scorefold --help)", EXIT_BAD_INPUT)
        if debug:
            raise
        text = " ".join(str(error).split())
        _fail(
            f"internal error: {type(error).__name__}: {text} (run again with --debug for details)",
            EXIT_BAD_INPUT,
        )


def _run(arguments: list[str]) -> int:
    result: Any = application(arguments, standalone_mode=False)
    return int(result or 0)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"scorefold: {' '.join(message.split())}\n")
    sys.exit(code)
