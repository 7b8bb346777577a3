"""Running `scorefold` in this process as a shell would see it, and small images to run it on."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from scorefold import match
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

    def run(*arguments: object, stdout: int = subprocess.PIPE) -> Finished:
        script = Path(sys.executable).with_name("scorefold")
        done = subprocess.run(
            [script, *map(str, arguments)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        return Finished(done.returncode, done.stdout or "", done.stderr)

    return run


def save_images(folder: Path) -> None:
    """Write an image, the same shifted, and the template cut out of it."""
    noise = cv2.GaussianBlur(np.random.default_rng(5).normal(size=(SIDE, SIDE)), (0, 0), 1.2)
    photograph = np.clip(128 + 250 * noise, 0, 255).astype(np.uint8)
    images = {
        "good": photograph,
        "shifted": np.roll(photograph, (5, 3), axis=(0, 1)),
        "part": photograph[PART],
    }
    for name, image in images.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the command, with part.png, good.png that holds it and shifted.png."""
    work = tmp_path / "work"
    work.mkdir()
    save_images(work)
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def quick() -> tuple[str, ...]:
    """Options of a search that takes a moment."""
    return ("--step", "90", "--threshold", "0.9", "--scheduler", "serial")


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is done, with pictures and report, for all tests; they work on copies."""
    work = tmp_path_factory.mktemp("made")
    save_images(work)
    targets = [work / "good.png", work / "shifted.png"]
    match(targets, work / "part.png", out=work / "run", step=90.0, threshold=0.9, keep_states=True)
    return work / "run"


@pytest.fixture
def finished_run(folder: Path, made_run: Path) -> Path:
    """A finished run of its own for a test: ``run`` in the working directory."""
    return Path(shutil.copytree(made_run, folder / "run"))
