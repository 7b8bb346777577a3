"""`scorefold inspect`: learn what good images look like, and find what is wrong in others; one file a command."""

import typer

from scorefold.cli.inspect import maps, run, train

application = typer.Typer(
    help="Find what is wrong in images: learn from good ones, then inspect others.", no_args_is_help=True
)


@application.callback()
def _group() -> None:
    """Find what is wrong in images: learn from good ones, then inspect others."""


for command in (train, run, maps):
    application.command(command.__name__.rsplit(".", 1)[1], epilog=command.EXAMPLES)(command.command)
