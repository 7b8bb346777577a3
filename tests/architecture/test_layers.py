"""The shape of the source: imports point downwards, every module says what it is for, files stay short."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "scorefold"
MODULES = sorted(SOURCE.rglob("*.py"))

LONGEST_FILE = 450


def name(path):
    return path.relative_to(SOURCE).as_posix()


def test_import_contracts_hold():
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout, "contracts were read from pyproject.toml and checked"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_in_its_first_line_what_it_is_for(path):
    documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert documentation, f"{name(path)}: no docstring"
    first = documentation.splitlines()[0]
    assert len(first.split()) >= 3, f"{name(path)}: {first!r} says nothing"
    assert first.endswith("."), f"{name(path)}: {first!r} is no sentence on one line"
    assert first[0].isupper() or not first[0].isalpha(), f"{name(path)}: {first!r}"


def test_files_stay_short():
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_folders_are_named_for_the_domain():
    vague = {"utils", "util", "helpers", "common", "misc", "core", "tools"}
    assert [name(path) for path in MODULES if {*path.relative_to(SOURCE).parts[:-1], path.stem} & vague] == []
