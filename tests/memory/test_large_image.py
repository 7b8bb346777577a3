"""One image a hundred times as large as the others: no worker exceeds its limit, and all others are done."""

import subprocess
import sys
import threading

import cv2
import numpy as np
import pandas as pd
import pytest

import scorefold
from scorefold.testing.memory import peak_memory_of_workers

LIMIT_MIB = 600
USUAL, LARGE = (320, 400), (3200, 4000)
INTERVAL = 0.05


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good images, and as many to look at with a large one among them, and a piece of them all."""
    made = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(9)
    surface = rng.uniform(60, 180, USUAL)
    for part in ("good", "test"):
        (made / part).mkdir()
        for index in range(8):
            cv2.imwrite(str(made / part / f"{index}.png"), np.uint8(surface + rng.normal(0, 3, USUAL)))
    large = rng.uniform(60, 180, LARGE)
    large[1000:1320, 2000:2400] = surface
    cv2.imwrite(str(made / "test" / "large.png"), np.uint8(large))
    np.save(made / "piece.npy", surface[100:140, 200:250].astype(np.float32))
    scorefold.train([made / "good"], out=made / "model")
    return made


def run_on_workers(*command):
    """Run a command on two workers; return its exit code, what it says, and the highest peak of a worker in MiB."""
    words = [sys.executable, "-m", "scorefold", *command, "--workers", "2", "-q", "--no-render"]
    peaks: dict[int, int] = {}
    pause = threading.Event()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None:
            for worker, peak in peak_memory_of_workers(process.pid).items():
                peaks[worker] = max(peaks.get(worker, 0), peak)
            pause.wait(INTERVAL)
        return process.returncode, process.stdout.read(), max(peaks.values()) / 1024


@pytest.mark.long
@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("engine", "step"), [("exact", 90), ("compressed", 6)])
def test_a_large_target_among_small_ones_is_searched_within_the_limit(folder, tmp_path, engine, step):
    code, said, peak = run_on_workers(
        "match", str(folder / "test"), "-t", str(folder / "piece.npy"), "--mask", "disk", "--step", str(step),
        "--engine", engine, "--threshold", "0.8", "--memory-limit", f"{LIMIT_MIB}MiB", "-o", str(tmp_path / "run"),
    )  # fmt: skip
    assert (code, said) == (0, "")
    print(f"peak of a worker: {peak:.0f} of {LIMIT_MIB} MiB")
    assert peak < LIMIT_MIB
    picks = scorefold.open_run(tmp_path / "run").picks
    best = picks.sort_values("score").groupby("target").tail(1).set_index("target")
    assert len(best) == 9
    # The piece begins at (100, 200), and its centre is (shape - 1) / 2 from there.
    assert np.allclose(best.drop("large")[["y", "x"]], (119.5, 224.5), atol=0.5)
    assert np.allclose(best.loc["large", ["y", "x"]].astype(float), (1119.5, 2224.5), atol=0.5)


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_an_image_too_large_for_the_limit_is_told_of_and_the_others_are_inspected(folder, tmp_path):
    code, said, peak = run_on_workers(
        "inspect", "run", str(folder / "test"), "--model", str(folder / "model"),
        "--memory-limit", f"{LIMIT_MIB}MiB", "-o", str(tmp_path / "run"),
    )  # fmt: skip
    assert code == 1
    assert said.startswith("failed  large: it has 13 million pixels, and ")
    assert said.count("\n") == 1
    print(f"peak of a worker: {peak:.0f} of {LIMIT_MIB} MiB")
    assert peak < LIMIT_MIB
    images = pd.read_parquet(tmp_path / "run/tables/images.parquet").set_index("name")
    assert set(images.index[images["verdict"] == "ERROR"]) == {"large"}
    assert images.drop("large")["score"].notna().all()
