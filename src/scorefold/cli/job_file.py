"""Job files: a command and its options as YAML, which can be kept, submitted, and read by others."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from scorefold.cli.console import say
from scorefold.cli.options import RESOURCES, with_options
from scorefold.cli.parameters import PATHS, WORD_OR_PATH, Parameter, parameters_of
from scorefold.cli.usage import suggestion
from scorefold.credentials import check_url
from scorefold.errors import InputError, in_one_line
from scorefold.object_stores import is_url

_WRITE_JOB = Annotated[
    str | None,
    typer.Option(
        "--write-job",
        help="Write a job file for scorefold submit, and do nothing else.",
        metavar="JOB",
        rich_help_panel=RESOURCES,
    ),
]


@cache
def commands() -> dict[str, Callable[..., Any]]:
    """Return the commands of which there are job files, by their words."""
    from scorefold.cli import evaluate, inspect, match, render, resume

    return {
        "match": match.command,
        "inspect train": inspect.train.command,
        "inspect run": inspect.run.command,
        "inspect maps": inspect.maps.command,
        "render": render.command,
        "evaluate": evaluate.command,
        "resume": resume.command,
    }


def keys_of(command: str) -> list[Parameter]:
    """Return what job files of a command may hold: all that it takes, but what is for a terminal."""
    return [p for p in parameters_of(commands()[command]) if p.name not in ("write_job", "as_json")]


@dataclass(frozen=True)
class Job:
    """A command with its options.

    Attributes
    ----------
    command : str
        Such as ``match`` or ``inspect run``.
    values : mapping
        What is given, by Python name; paths are absolute.
    """

    command: str
    values: Mapping[str, Any]

    @property
    def location(self) -> str:
        """Where the run is, or will be."""
        return str(self.values.get("out") or self.values["run"])

    def with_values(self, given: Mapping[str, Any]) -> "Job":
        """Return the job with other values; None takes one away."""
        values = {name: value for name, value in {**self.values, **given}.items() if value is not None}
        return replace(self, values=values)

    def arguments(self) -> list[str]:
        """Return what would be typed."""
        parameters = [p for p in keys_of(self.command) if p.name in self.values]
        options = [text for p in parameters if not p.positional for text in _typed(p, self.values[p.name])]
        words = [text for p in parameters if p.positional for text in _texts(self.values[p.name])]
        return [*self.command.split(), *options, "--", *words]


def read_job(path: str) -> Job:
    """Read a job file.

    Paths that are not absolute are taken from the folder of the file.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    InputError
        If it cannot be read, names no command, or has keys or values that the command does not take.
    """
    import yaml

    try:
        read = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise InputError(f'job "{path}": {error.strerror or error}. Give a file of YAML.') from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f'job "{path}": it is not YAML ({in_one_line(error)}).') from None
    said = read.get("command") if isinstance(read, dict) else None
    if not isinstance(said, str) or said not in commands():
        problem = "names no command" if said is None else f"command {in_one_line(said)!r} is unknown"
        raise InputError(f'job "{path}": {problem}. Begin with command: {", ".join(commands())}.')
    command = read.pop("command")
    parameters = keys_of(command)
    values = _validated(path, parameters, read)
    folder = Path(path).absolute().parent
    return Job(
        command, {p.name: _from_folder(p, values[p.name], folder) for p in parameters if p.name in values}
    )


def _validated(path: str, parameters: Sequence[Parameter], given: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values of a job file by Python name."""
    from pydantic import ValidationError

    try:
        model = _model(tuple(parameters)).model_validate(
            {str(key).replace("_", "-"): v for key, v in given.items()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        keys = [p.key for p in parameters]
        if first["type"] == "extra_forbidden":
            problem = f"unknown key.{suggestion(key, keys)}"
        elif first["type"] == "missing":
            problem = f"missing. {next(p.help for p in parameters if p.key == key)}"
        else:
            said = (
                first["input"]
                if isinstance(first["input"], str | int | float)
                else type(first["input"]).__name__
            )
            check_url(str(said))  # before it is repeated
            problem = f"{in_one_line(said, 40)!r}: {first['msg'].removeprefix('Input ')}."
        more = f" ({error.error_count() - 1} more problems)" if error.error_count() > 1 else ""
        raise InputError(f'job "{path}": {key}: {problem}{more}') from None
    return {name: value for name, value in model.model_dump(exclude_unset=True).items() if value is not None}


@cache
def _model(parameters: tuple[Parameter, ...]) -> Any:
    """Return the pydantic model of a command's job files."""
    from pydantic import ConfigDict, Field, create_model

    fields: dict[str, Any] = {
        p.name: (
            _kind(p) if p.required else _kind(p) | None,
            Field(default=... if p.required else None, alias=p.key),
        )
        for p in parameters
    }
    return create_model("JobFile", __config__=ConfigDict(extra="forbid", strict=True), **fields)


def _kind(parameter: Parameter) -> Any:
    """Return the type of a key's values."""
    from pydantic import BeforeValidator

    if parameter.name == "cluster_config":
        return Annotated[str | dict[str, Any], "a file, or what would be in it"]
    if parameter.type is str and not parameter.many:
        return Annotated[str, BeforeValidator(_text)]
    if parameter.many:
        return Annotated[
            list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
        ]
    return parameter.type


def _text(value: Any) -> Any:
    """Return numbers, alone or several, as the command line has them."""
    if isinstance(value, list) and all(isinstance(part, int | float) for part in value):
        return ",".join(str(part) for part in value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _typed(parameter: Parameter, value: Any) -> Iterator[str]:
    if parameter.type is bool:
        if value or parameter.default is not False:
            yield parameter.option if value else parameter.off or f"--no-{parameter.key}"
        return
    for text in _texts(value):
        yield f"{parameter.option}={text}"


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        import json

        return [json.dumps(value, default=str)]
    return [str(part) for part in value] if isinstance(value, list) else [str(value)]


def absolute_paths(command: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values that were typed, less those that were not, with their paths absolute."""
    known = {parameter.name: parameter for parameter in keys_of(command)}
    return {n: _from_folder(known[n], value, Path.cwd()) for n, value in given.items() if value is not None}


def _from_folder(parameter: Parameter, value: Any, folder: Path) -> Any:
    """Return a value with its paths absolute: those of a folder, or of somebody's home."""
    if isinstance(value, list):
        return [_from_folder(replace(parameter, many=False), part, folder) for part in value]
    if not isinstance(value, str) or not _is_path(parameter, value, folder):
        return value
    return os.path.normpath(folder / Path(value).expanduser())


def _is_path(parameter: Parameter, value: str, folder: Path) -> bool:
    if is_url(value):
        check_url(value)
        return False
    if parameter.metavar != WORD_OR_PATH:
        return parameter.metavar in PATHS
    from scorefold.scoring.masks import MASK_SHAPES

    return value not in MASK_SHAPES and (folder / value).exists()


def write_job(path: str, command: str, given: Mapping[str, Any]) -> None:
    """Write a job file with what differs from the defaults.

    Parameters
    ----------
    path : str
        The file; it must not exist.
    command : str
        Such as ``inspect run``.
    given : mapping
        Values by Python name; paths are those of the working directory.

    Raises
    ------
    InputError
        If the file exists, or cannot be written.
    """
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(_text_of(command, given, Path(path).absolute().parent))
    except OSError as error:
        raise InputError(f'job "{path}": cannot be written ({error.strerror or error}).') from None


def keep_job(job: Job, path: Path) -> None:
    """Write a job for whoever carries it out, in place of an earlier one; only this user may read it.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(_text_of(job.command, job.values, path.parent), encoding="utf-8")
    except OSError as error:
        raise InputError(f'job "{path}": cannot be written ({error.strerror or error}).') from None


def _text_of(command: str, given: Mapping[str, Any], folder: Path) -> str:
    """Return a job file of a folder."""
    import yaml

    lines: dict[str, Any] = {"command": command}
    for parameter in keys_of(command):
        value = given.get(parameter.name)
        if value is not None and value != parameter.default:
            lines[parameter.key] = _for_folder(parameter, value, folder)
    text: str = yaml.safe_dump(lines, sort_keys=False, allow_unicode=True)
    return text


def _for_folder(parameter: Parameter, value: Any, folder: Path) -> Any:
    """Return a value of the command line as it is in a file of a folder."""
    if isinstance(value, list):
        return [_for_folder(replace(parameter, many=False), part, folder) for part in value]
    if not isinstance(value, str) or Path(value).is_absolute() or not _is_path(parameter, value, Path.cwd()):
        return value
    return os.path.relpath(value, folder)


def with_job_file(command: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that lets a command be written into a job file instead of being carried out.

    Parameters
    ----------
    command : str
        Its words.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*, path: str | None, **given: Any) -> int:
            if path is None:
                return int(function(**given))
            write_job(path, command, given)
            say(f"wrote  {path}; submit it with: scorefold submit {path}")
            return 0

        option = {"write_job": _WRITE_JOB}
        return with_options(option, {"write_job": None}, keyword="path", made=lambda write_job: write_job)(
            wrapper
        )

    return decorate
