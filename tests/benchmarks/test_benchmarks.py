"""The benchmarks run, at tiny sizes, so that they cannot rot; what they measure is not looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments, "--tiny", "--repeats", "1", "--no-peers"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=170)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("volumes", ["inverse transform, scipy", "scorefold, scipy", "scorefold, scipy, padded"]),
        ("images", ["scorefold, scipy", "OpenCV, masked", "OpenCV, not masked"]),
        ("figures", ["scorefold", "matplotlib"]),
        pytest.param("throughput", ["floor, 12 images", "inspect run, 12 images"], marks=pytest.mark.long),
    ],
)
def test_a_benchmark_prints_its_rows(name, rows):
    done = run(name)
    assert done.returncode == 0, done.stderr
    for row in rows:
        assert f"| {row} |" in done.stdout


def test_tables_replace_what_stands_between_the_markers(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(
        "before\n<!-- begin: python -m benchmarks -->\nstale\n<!-- end: python -m benchmarks -->\nafter\n"
    )
    assert run("figures", "--write", str(page)).returncode == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| matplotlib |" in text
    assert "stale" not in text


def test_a_wrong_name_is_refused_with_the_names_there_are():
    done = run("rotation")
    assert done.returncode == 2
    assert "volumes, images, figures, throughput" in done.stderr
