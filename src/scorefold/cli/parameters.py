"""What a command takes, as its signature declares it: for job files, and for the reference."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args, get_origin

import typer

PATHS = {"FILE", "FOLDER", "RUN", "MODEL", "IMAGES", "IMAGES...", "TARGETS...", "GOOD", "MAPS..."}
"""What stands for a value that names files; a path that is not absolute depends on where it is read."""

WORD_OR_PATH = "WORD|FILE"
"""What stands for a value that is a word, or else names a file."""


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command.

    Attributes
    ----------
    name : str
        In Python.
    key : str
        In job files: the option without its dashes.
    type : type
        Of a value: bool, int, float or str.
    many : bool
        Whether it takes several values.
    positional : bool
        Whether it is an argument, not an option.
    required : bool
        Whether it must be given.
    default : object
        What it is if it is not given.
    off : str or None
        The option that switches it off.
    metavar : str
        What stands for its value in helps.
    help : str
        What it is.
    panel : str
        Heading under which helps list it.
    """

    name: str
    key: str
    type: type
    many: bool
    positional: bool
    required: bool
    default: Any
    off: str | None
    metavar: str
    help: str
    panel: str

    @property
    def option(self) -> str:
        """How it is typed."""
        return self.metavar if self.positional else f"--{self.key}"


def parameters_of(command: Callable[..., Any]) -> list[Parameter]:
    """Return what a command takes, arguments first."""
    found = [_parameter(declared) for declared in inspect.signature(command).parameters.values()]
    return sorted(found, key=lambda parameter: not parameter.positional)


def _parameter(declared: inspect.Parameter) -> Parameter:
    kind, info = get_args(declared.annotation)
    kinds = [part for part in get_args(kind) or (kind,) if part is not NoneType]
    many = get_origin(kinds[0]) is list or get_origin(kind) is list
    (value,) = get_args(kinds[0]) if get_origin(kinds[0]) is list else kinds
    required = declared.default is inspect.Parameter.empty
    # What typer is told first it keeps as the default, since in the signature it would be.
    told = (info.default, *(getattr(info, "param_decls", None) or ()))
    names = [text for text in told if isinstance(text, str) and text.startswith("--")]
    on, _, off = names[0].partition("/") if names else (f"--{declared.name.replace('_', '-')}", "", "")
    positional = isinstance(info, typer.models.ArgumentInfo)
    return Parameter(
        name=declared.name,
        key=declared.name.replace("_", "-") if positional else on.removeprefix("--"),
        type=value,
        many=many,
        positional=positional,
        required=required,
        default=None if required else declared.default,
        off=off or None,
        metavar=info.metavar or {str: "TEXT", int: "INTEGER", float: "NUMBER"}.get(value, ""),
        help=info.help or "",
        panel=info.rich_help_panel or "",
    )
