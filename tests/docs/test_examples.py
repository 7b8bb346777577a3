"""The code in README.md and docs/ runs, and links lead somewhere."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import scorefold
from scorefold.cli.application import application
from scorefold.cli.job_file import read_job

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "workflows/README.md",
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_score_of_the_extension_page_works_by_its_name():
    rng = np.random.default_rng(3)
    exec(blocks(ROOT / "docs/extending.md", "python")[0], {})
    image = rng.normal(size=(40, 50))
    template = image[10:21, 20:31].copy()
    found = scorefold.match(
        image, template, score="MyCC", step=90, mask="disk", threshold=0.0, top=1, render=False
    )
    assert found.picks[["y", "x", "angle"]].round(0).to_numpy().tolist() == [[15.0, 25.0, 0.0]]


def test_the_python_example_of_the_readme_runs(tmp_path, monkeypatch):
    import cv2

    rng = np.random.default_rng(4)
    photo = rng.integers(0, 255, (80, 90), np.uint8)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "photo-1.png"), photo)
    cv2.imwrite(str(tmp_path / "part.png"), photo[30:51, 40:61])
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(blocks(ROOT / "README.md", "python")[0], names)
    assert len(names["found"].picks) == 1


def test_every_option_and_command_that_the_pages_name_exists():
    import typer.main

    command = typer.main.get_command(application)
    groups = {name: getattr(sub, "commands", {name: sub}) for name, sub in command.commands.items()}
    known = {
        option
        for subs in groups.values()
        for sub in subs.values()
        for p in sub.params
        for option in p.opts + p.secondary_opts
    }
    for page in PAGES:
        text = page.read_text()
        for line in re.findall(r"`scorefold ([a-z]+)\b", text):
            assert line in command.commands
        ours = re.sub(r"(?:docker compose|apt-get)(?:(?!scorefold )[^\n`])*", "", text)
        for shown in re.findall(r"(?<![\w-])`?(--[a-z][a-z-]+)", ours):
            outside = {
                "--version",
                "--debug",
                "--help",
                "--nthreads",
                "--quiet",
                "--build",
                "--out",
                "--tiny",
                "--write",
                "--protocol",
                "--tls-ca-file",
                "--dashboard-address",
                "--preload",
                "--runs",
                "--lifetime",
                "--host",
                "--lifetime-stagger",
                "--me",
                "--partition",
                "--time",
                "--wrap",
                "--url",
            }
            assert shown in known | outside, f"{page.name}: {shown}"


def test_ci_runs_the_test_command_of_the_readme():
    command = next(
        line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines() if "pytest" in line
    )
    script = (ROOT / ".ci" / "run").read_text()
    assert "pip install --quiet -e '.[test]' && .venv/bin/pytest" in command
    assert 'bash -c "$test_command"' in script
    assert "README.md" in script


def test_the_page_of_commands_and_options_is_what_they_are():
    """Written anew by ``python docs/reference.py``."""
    made = runpy.run_path(str(ROOT / "docs" / "reference.py"))
    assert (ROOT / "docs" / "reference.md").read_text() == made["page"]()


def test_the_job_file_of_that_page_is_one(tmp_path):
    (example,) = blocks(ROOT / "docs" / "reference.md", "yaml")
    path = tmp_path / "job.yaml"
    path.write_text(example)
    assert read_job(str(path)).arguments()[0] == "match"
