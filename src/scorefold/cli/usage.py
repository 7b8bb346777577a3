"""Usage errors in one line: which argument, what is wrong with it, what to type instead."""

import difflib
import re
from collections.abc import Sequence
from typing import Any


def usage_message(error: Any, arguments: Sequence[str]) -> str:
    """Describe an error that the command line parser raised.

    Parameters
    ----------
    error : Exception
        With a ``format_message`` method. Its class is not named here: typer has kept its parser in several places.
    arguments : sequence of str
        What the user typed.

    Returns
    -------
    str
        One line that ends by naming the help that applies.
    """
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "scorefold"
    return f"{_problem(error, context, arguments)} See {command} --help."


def _problem(error: Any, context: Any, arguments: Sequence[str]) -> str:
    text = error.format_message().rstrip(".")
    option = getattr(error, "option_name", "")
    parameter = getattr(error, "param", None)
    if hasattr(error, "possibilities"):
        known = [name for p in context.command.params for name in p.opts if name.startswith("-")]
        return f'option "{option}": unknown.{suggestion(option, known)}'
    if option:
        return f"option {option}: {'takes no value' if 'not take' in text else 'needs a value'}."
    if parameter is not None:
        return _bad_parameter(parameter, text, arguments)
    unknown = re.match(r"No such command '(.*?)'", text, re.DOTALL)
    if unknown:
        return f'command "{unknown[1]}": unknown.{suggestion(unknown[1], context.command.list_commands(context))}'
    return f"{text}."


def _bad_parameter(parameter: Any, text: str, arguments: Sequence[str]) -> str:
    names = [name for name in parameter.opts if name.startswith("-")]
    name = max(names, key=len) if names else str(parameter.metavar or parameter.name).upper()
    if text.startswith("Missing"):
        return f"{name}: missing. {parameter.help}"
    kind = (
        "a whole number" if "integer" in text else "a number" if "number" in text or "float" in text else None
    )
    value = _value_of(names, arguments)
    shown = name if value is None else f'{name} "{value}"'
    return f"{shown}: give {kind}." if kind else f"{shown}: {text.split(': ', 1)[-1]}."


def _value_of(names: Sequence[str], arguments: Sequence[str]) -> str | None:
    """Return what was typed last for an option."""
    value = None
    for position, argument in enumerate(arguments):
        given, separator, attached = argument.partition("=")
        if given in names and separator:
            value = attached
        elif argument in names and position + 1 < len(arguments):
            value = arguments[position + 1]
    return value


def suggestion(given: str, known: Sequence[str]) -> str:
    """Return a question after what was meant, with a space before it; nothing if nothing is like it."""
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""
