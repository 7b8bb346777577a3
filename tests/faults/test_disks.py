"""Disks that are full, read-only or gone: one line says so, and the run goes on, with the same bytes, afterwards."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from scorefold.cluster import drive, open_run
from scorefold.cluster.executor import SerialExecutor
from scorefold.errors import StoreError

pytestmark = pytest.mark.timeout(170)

SCOREFOLD = str(Path(sys.executable).with_name("scorefold"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Images, a template, and a model."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(4)
    for part in ("images", "good"):
        (folder / part).mkdir()
    for index in range(4):  # of four shapes, so that they are four pieces of work
        image = rng.normal(size=(300, 400 + index))
        np.save(folder / "images" / f"{index}.npy", image.astype(np.float32))
    np.save(folder / "part.npy", np.load(folder / "images" / "0.npy")[100:116, 50:70])
    surface = rng.uniform(60, 180, (300, 400))
    for index in range(24):
        image = np.uint8(surface + rng.normal(0, 3, surface.shape))
        cv2.imwrite(str(folder / "good" / f"{index:02d}.png"), image)
    command(folder, "inspect", "train", str(folder / "good"), "-o", str(folder / "model"))
    return folder


def command(folder, *words):
    return subprocess.run(
        [SCOREFOLD, *words, "--scheduler", "serial", "-q"], check=True, capture_output=True, cwd=folder
    )


def words_of(kind, inputs, place):
    if kind == "match":
        search = ("-t", str(inputs / "part.npy"), "--mask", "disk", "--step", "40", "--fft", "scipy")
        return ("match", str(inputs / "images"), *search, "--threshold", "0.6", "-o", place)
    return ("inspect", "run", str(inputs / "good"), "--model", str(inputs / "model"), "-o", place)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("kind", "free"),
    [("match", 3_000_000), pytest.param("inspect", 6_000_000, marks=pytest.mark.long)],
)
def test_a_run_on_a_disk_that_fills_up_goes_on_when_there_is_space(inputs, tmp_path, kind, free, namespaced):
    command(tmp_path, *words_of(kind, inputs, str(tmp_path / "whole")))
    disk = tmp_path / "disk"
    disk.mkdir()
    script = str(Path(__file__).with_name("small_disk.py"))
    asked = json.dumps([SCOREFOLD, *words_of(kind, inputs, "DISK"), "--scheduler", "serial", "-q"])
    ended = subprocess.run(
        [*namespaced("--mount"), sys.executable, script, str(disk), str(free), asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)

    assert found["partials"] > 0, found
    assert found["full"]["code"] == 2
    assert found["full"]["err"].count("\n") == 1
    assert "No space left on device" in found["full"]["err"]
    assert "Free space" in found["full"]["err"]
    assert f"scorefold resume {disk}/run" in found["full"]["err"]

    assert found["read only"]["code"] == 2
    assert found["read only"]["err"].count("\n") == 1
    assert "Read-only file system" in found["read only"]["err"]

    assert (found["freed"]["code"], found["freed"]["err"]) == (0, "")
    assert found["files"] == {
        str(path.relative_to(tmp_path / "whole")): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in ("results", "tables", "figures")
        for path in sorted((tmp_path / "whole" / part).rglob("*"))
        if path.is_file()
    }


def test_a_run_whose_store_vanishes_ends_with_a_line(new_run):
    run = new_run(rotation_block=6)

    def vanish(progress):
        if progress.done["score_leaf"] == 3:
            shutil.rmtree(run.store.location, ignore_errors=True)

    with pytest.raises(StoreError) as caught:
        drive(run, SerialExecutor(), render=False, on_progress=vanish)
    assert "\n" not in str(caught.value)
    assert run.store.location in str(caught.value)
    with pytest.raises(StoreError, match="no scorefold run is stored there"):
        open_run(run.store.location)
