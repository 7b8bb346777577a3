"""Ctrl-C and SIGTERM in the middle of a run: it ends soon, says how to go on, and ends with the same results."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scorefold import match

SCRIPT = Path(sys.executable).with_name("scorefold")

PATIENCE = 60.0
"""Seconds after which a test gives up waiting; workers import slowly on a busy machine."""

WITHIN = 10.0
"""Seconds in which an interrupted command must end."""

# FFTW times its algorithms anew in every run, so that two runs differ in the last bit; pocketfft has but one.
SEARCH = ("--step", "2", "--mask", "ellipse", "--mask-radius", "11,7", "--fft", "scipy", "--no-render")


@pytest.fixture(autouse=True)
def interrupts_that_are_heard() -> Iterator[None]:
    """Do not hand on to commands that Ctrl-C is ignored, as it is where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    """Wait until a condition holds while the process is alive."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if condition():
            return
        assert process.poll() is None, "ended before it was interrupted"
        pause.wait(0.05)
    pytest.fail("nothing was committed in time")


def results(run: Path) -> dict[str, str]:
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in ("results", "tables")
        for path in sorted((run / part).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and the run that nobody interrupted."""
    work = tmp_path_factory.mktemp("long")
    rng = np.random.default_rng(2)
    images = rng.normal(size=(2, 256, 256)).astype(np.float32)
    for index, image in enumerate(images):
        np.save(work / f"image-{index}.npy", image)
    np.save(work / "part.npy", images[0, 50:75, 60:85])
    options = {"step": 2.0, "mask": "ellipse", "mask_radius": (11.0, 7.0), "fft": "scipy"}
    match(
        [work / "image-0.npy", work / "image-1.npy"],
        work / "part.npy",
        out=work / "whole",
        render=False,
        **options,
    )
    return work


def command(work: Path, out: str, *options: str) -> list[str]:
    targets = [str(work / f"image-{index}.npy") for index in range(2)]
    return [
        str(SCRIPT), "match", *targets, "-t", str(work / "part.npy"), "-o", str(work / out), *SEARCH, *options
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "number", "to_group"),
    [
        (("--scheduler", "serial"), signal.SIGINT, True),
        pytest.param(("--workers", "1"), signal.SIGINT, True, marks=pytest.mark.system),
        pytest.param(("--workers", "1"), signal.SIGTERM, False, marks=pytest.mark.system),
    ],
    ids=["Ctrl-C, serial", "Ctrl-C, worker", "SIGTERM, worker"],
)
def test_an_interrupted_run_ends_soon_and_is_resumed(undisturbed, scorefold, place, number, to_group):
    run = undisturbed / f"{place[-1]}-{number.name}"
    process = subprocess.Popen(
        command(undisturbed, run.name, *place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal sends Ctrl-C to all processes of the group
    )
    leaves = run / "commits"
    wait_for(lambda: leaves.is_dir() and any(leaves.glob("score_leaf-*.json")), process)
    assert not list(leaves.glob("call_picks-*"))
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=WITHIN)
    assert process.returncode == 130, (out, err)
    assert err == f"scorefold: interrupted; what is done is kept. Go on with: scorefold resume {run}\n"

    resumed = scorefold("resume", run, "--scheduler", "serial", "--no-render")
    assert resumed.code == 0, resumed.err
    assert results(run) == results(undisturbed / "whole")
