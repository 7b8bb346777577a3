"""`scorefold demo`: searches of which the truth is known, on data that needs no download."""

import typer

application = typer.Typer(help="Run a search of which the truth is known.", no_args_is_help=True)
