"""Write reference.md, the page of all commands and options, from the commands themselves.

Run it when a command has changed: ``python docs/reference.py``.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from scorefold.cli.application import application
from scorefold.cli.job_file import commands
from scorefold.cli.options import RESOURCES
from scorefold.cli.parameters import Parameter, parameters_of

PAGE = Path(__file__).with_name("reference.md")

BEGINNING = """# Commands, options, job files

This page is written by `python docs/reference.py` from the commands themselves.

A **job file** is a command with its options as YAML. Its keys are the options without their dashes; arguments have
keys, too. Where an option may be repeated, or an argument takes several, the value may be a list; where it takes
numbers with commas, so it may. What can be switched off has the value `false`. Paths are taken from the folder of the
file. Commands with job files are {commands}; each writes one with `--write-job JOB`, and `scorefold submit JOB` carries
it out.

```yaml
command: match
targets: [images/*.png]
template: part.png
mask: disk
mask-radius: 22
angle-range: [0, 180]
refine: false
out: s3://bucket/found
scheduler: tls://host:8786
```

`scorefold --version` prints the version; `--debug`, anywhere, shows tracebacks; `--help` explains a command. Exit
codes: 0 done, 1 some inputs failed (they are listed), 2 bad input or usage, 130 interrupted or cancelled.
"""


def all_commands(group: typer.Typer, words: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the commands of a group with their words."""
    for registered in group.registered_commands:
        if registered.callback is not None:
            yield f"{words}{registered.name or registered.callback.__name__}", registered.callback
    for below in group.registered_groups:
        if below.typer_instance is not None:
            yield from all_commands(below.typer_instance, f"{words}{below.name} ")


def section(words: str, command: Callable[..., Any]) -> str:
    """Return the part of the page about a command."""
    parameters = parameters_of(command)
    arguments = " ".join(p.metavar if p.required else f"[{p.metavar}]" for p in parameters if p.positional)
    job = " Has job files." if words in commands() else ""
    lines = [f"## scorefold {words}", "", f"`scorefold {words} {arguments} [OPTIONS]`", ""]
    lines += [f"{inspect.getdoc(command)}{job}", ""]
    panels: dict[str, list[Parameter]] = {}
    for parameter in parameters:
        panels.setdefault(parameter.panel, []).append(parameter)
    lines += ["| | default | |", "|---|---|---|"]
    for panel in sorted(panels, key=lambda name: (name == RESOURCES, bool(name))):
        if panel:
            lines.append(f"| **{panel}** | | |")
        lines += [line(parameter, words) for parameter in panels[panel]]
    return "\n".join([*lines, ""])


def line(parameter: Parameter, words: str) -> str:
    """Return the row of an argument or option."""
    if parameter.positional:
        name = f"`{parameter.metavar}`" + (f" (key `{parameter.key}`)" if words in commands() else "")
    elif parameter.type is bool:
        name = f"`{parameter.option}`" + (f", `{parameter.off}`" if parameter.off else "")
    else:
        name = f"`{parameter.option} {parameter.metavar}`"
    default = parameter.default
    shown = (
        ""
        if default is None or default == ""
        else f"{default}".lower()
        if isinstance(default, bool)
        else f"`{default}`"
    )
    shown = "required" if parameter.required else shown
    return f"| {name.replace('|', chr(92) + '|')} | {shown} | {parameter.help} |"


def page() -> str:
    """Return the whole page."""
    names = ", ".join(f"`{name}`" for name in commands())
    parts = [section(words, command) for words, command in all_commands(application)]
    return "\n".join([BEGINNING.format(commands=names), *parts])


if __name__ == "__main__":
    PAGE.write_text(page())
