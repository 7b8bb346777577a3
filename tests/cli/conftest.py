"""Running `scorefold` in this process as a shell would see it, and small images to run it on."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from scorefold import inspect, match, train
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


def _contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes | None]]:
    """Return every file's bytes below a folder, and None for every folder."""
    return _contents


@pytest.fixture
def check_refused() -> Callable[[Finished, Iterable[str]], None]:
    """Check that a command ended with exit code 2 and one line that says certain things."""

    def check(ended: Finished, fragments: Iterable[str]) -> None:
        assert ended.code == 2, (ended.out, ended.err)
        assert ended.out == ""
        assert ended.err.startswith("scorefold: ")
        assert ended.err.endswith("\n")
        assert ended.err.count("\n") == 1
        assert "Traceback" not in ended.err
        assert "internal error" not in ended.err
        for fragment in fragments:
            assert fragment in ended.err
        # What is wrong, then what to do: at least two sentences or clauses.
        assert any(mark in ended.err.removeprefix("scorefold: ").rstrip()[:-1] for mark in (". ", "; ", ": "))

    return check


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


DEFECT = (slice(20, 26), slice(30, 37))
"""Where the bad images of a lot have a bright defect."""


def save_lot(folder: Path) -> None:
    """Write good images, a lot of which every second has a defect, its masks and labels, and a part to locate."""
    rng = np.random.default_rng(7)
    surface = 128 + 200 * cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE + 8)), (0, 0), 1.5)

    def photograph() -> np.ndarray:
        return surface + rng.normal(0, 2, surface.shape)

    def save(name: str, image: np.ndarray) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(path), np.clip(np.rint(image), 0, 255).astype(np.uint8))

    for number in range(6):
        save(f"good/g{number}.png", photograph())
    labels = ["name,label"]
    for number in range(4):
        image, mask = photograph(), np.zeros(surface.shape)
        if number % 2:
            image[DEFECT] += 60
            mask[DEFECT] = 255
            save(f"masks/t{number}_mask.png", mask)
        labels.append(f"t{number}.png,{('good', 'bad')[number % 2]}")
        save(f"lot/t{number}.png", image)
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    save("part.png", surface[10:30, 12:36])


@pytest.fixture
def lot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_inspection: Path) -> Path:
    """The working directory of the command, with good/, lot/, masks/, labels.csv, part.png and a trained model."""
    work = tmp_path / "work"
    shutil.copytree(
        made_inspection, work, ignore=shutil.ignore_patterns("inspected"), copy_function=shutil.copy2
    )
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def inspected(lot: Path, made_inspection: Path) -> Path:
    """A finished inspection of its own for a test: ``inspected`` in the working directory."""
    return Path(shutil.copytree(made_inspection / "inspected", lot / "inspected"))


@pytest.fixture(scope="session")
def made_inspection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of `save_lot`, the model of the good ones and the inspection of the others."""
    work = tmp_path_factory.mktemp("made-inspection")
    save_lot(work)
    model = train(work / "good", out=work / "model")
    inspect(work / "lot", model, out=work / "inspected")
    return work
