"""The benchmarks run, at tiny sizes, so that they cannot rot; what they measure is not looked at."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``python -m benchmarks`` in this process and return what it printed."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(ROOT)

    def make(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments, "--tiny", "--repeats", "1", "--no-peers"])
        with mock.patch.dict(os.environ):
            runpy.run_module("benchmarks", run_name="__main__")
        return capsys.readouterr().out

    return make


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        pytest.param(
            "volumes",
            [
                "inverse transform, scipy",
                "scorefold, scipy",
                "scorefold, scipy, padded",
                "scorefold, compressed 0.3, σ 0.8",
                "scorefold, compressed 0.3, σ 1.3, padded",
            ],
            marks=pytest.mark.system,
        ),
        pytest.param(
            "masks", ["scorefold, scipy", "scorefold, compressed 0.3, σ 0.8"], marks=pytest.mark.system
        ),
        (
            "images",
            [
                "scorefold, scipy",
                "scorefold, compressed 0.3",
                "scorefold, compressed 0.3, disk",
                "OpenCV, masked",
                "OpenCV, not masked",
                "scikit-image, not masked",
            ],
        ),
        ("bases", ["tolerance 0.3, 90°"]),
        ("tiles", ["40×40×40, 1 tile", "40×40×15, 4 tiles"]),
        ("figures", ["scorefold", "matplotlib"]),
        ("merges", ["leaf", "merges, share of a leaf"]),
        pytest.param("units", ["piece of work without work"], marks=pytest.mark.system),
        pytest.param(
            "workers", ["bare loop over the leaves", "2 workers, whole run"], marks=pytest.mark.system
        ),
        pytest.param("rescored", ["scorefold, compressed, the whole run"], marks=pytest.mark.system),
        pytest.param("rescored_masks", ["scorefold, compressed, the whole run"], marks=pytest.mark.system),
        pytest.param("lowpass", ["scorefold, exact", "scorefold, compressed"], marks=pytest.mark.system),
        pytest.param("recall", ["exact, σ 0.8", "compressed, σ 1.3"], marks=pytest.mark.long),
        pytest.param("throughput", ["floor, 12 images", "inspect run, 12 images"], marks=pytest.mark.long),
    ],
)
def test_a_benchmark_prints_its_rows(run, name, rows):
    printed = run(name)
    for row in rows:
        assert f"| {row} |" in printed


def test_tables_replace_those_of_their_title_between_the_markers(run, tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(
        "before\n<!-- begin: python -m benchmarks -->\n\n"
        "### A figure of five panels of 256 × 256 pixels\n\nstale\n\n### Another\n\nkept\n\n"
        "<!-- end: python -m benchmarks -->\nafter\n"
    )
    for _ in range(2):  # again, it changes nothing but numbers
        run("figures", "--write", str(page))
        text = page.read_text()
        assert text.startswith("before\n<!-- begin: python -m benchmarks -->\n\n### A figure")
        assert text.endswith("\n<!-- end: python -m benchmarks -->\nafter\n")
        assert text.count("| matplotlib |") == text.count("Measured on ") == 1
        assert "\n\n### Another\n\nkept\n" in text
        assert "stale" not in text
        assert "\n\n\n" not in text


@pytest.mark.system
def test_a_wrong_name_is_refused_with_the_names_there_are():
    command = [sys.executable, "-m", "benchmarks", "rotation"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert (
        "volumes, masks, images, bases, figures, throughput, workers, units, merges, rescored, rescored_masks, "
        "lowpass, recall, tiles" in done.stderr
    )
