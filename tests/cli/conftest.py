"""Running `scorefold` in this process as a shell would see it, and small images to run it on."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from scorefold.cli import main

SIDE = 48
PART = (slice(12, 23), slice(20, 31))
"""Where the template lies in an image; its centre is at (17, 25)."""


@dataclass(frozen=True)
class Finished:
    """What a command left in the terminal, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Finished]


@pytest.fixture
def scorefold(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """The command in this process: same entry point, output at the level of file descriptors."""
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["scorefold", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        return Finished(int(ended.value.code or 0), captured.out, captured.err)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def scorefold_process(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The console script that the package installs, in a process of its own."""
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)

    def run(*arguments: object) -> Finished:
        script = Path(sys.executable).with_name("scorefold")
        done = subprocess.run(
            [script, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def photograph() -> np.ndarray:
    """Structured noise: smooth enough to be found between pixels, different everywhere."""
    rng = np.random.default_rng(5)
    noise = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), 1.2)
    return np.clip(128 + 250 * noise, 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photograph: np.ndarray) -> Path:
    """The working directory of the command, with a template, an image that holds it and one that holds it shifted."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    cv2.imwrite("part.png", photograph[PART])
    cv2.imwrite("good.png", photograph)
    cv2.imwrite("shifted.png", np.roll(photograph, (5, 3), axis=(0, 1)))
    return work


QUICK = ("--step", "90", "--threshold", "0.9", "--scheduler", "serial")


@pytest.fixture
def quick() -> tuple[str, ...]:
    """Options of a search that takes a moment."""
    return QUICK


@pytest.fixture
def finished_run(folder: Path, scorefold: Run) -> Path:
    """A run that is done, with pictures and report."""
    ended = scorefold("match", "good.png", "shifted.png", "-t", "part.png", "-o", "run", *QUICK)
    assert ended.code == 0, ended.err
    return folder / "run"
