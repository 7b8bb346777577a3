"""A target larger than a worker's memory: every worker stays below the limit, and the result is right."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

import scorefold
from scorefold.rotations import angle_to_matrix
from scorefold.testing.memory import peak_memory_of_workers
from scorefold.testing.planting import plant, scattered

SIDE = 12_000
LIMIT_MIB = 600
TEMPLATE = 48
COPIES = 40


def make_target(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write noise with copies of a patch, a few rows of chunks at a time; return the patch and the positions."""
    rng = np.random.default_rng(5)
    patch = rng.normal(size=(TEMPLATE, TEMPLATE))
    image = zarr.create_array(path, shape=(SIDE, SIDE), chunks=(1000, 1000), dtype="float32")
    positions = scattered(rng, (SIDE, SIDE), COPIES, distance=200, margin=100)
    rotations = angle_to_matrix(30.0 * rng.integers(12, size=COPIES))
    rows = 2000
    for start in range(0, SIDE, rows):
        low, high = max(start - 100, 0), min(start + rows + 100, SIDE)
        slab = np.random.default_rng(start).normal(size=(high - low, SIDE))
        near = (positions[:, 0] > low) & (positions[:, 0] < high)
        plant(slab, patch, np.ones_like(patch), positions[near] - (low, 0), rotations[near])
        image[start : start + rows] = slab[start - low : start - low + min(rows, SIDE - start)]
    return patch, positions


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_target_larger_than_memory_stays_below_the_limit_of_every_worker(tmp_path):
    patch, positions = make_target(tmp_path / "large.zarr")
    np.save(tmp_path / "patch.npy", patch)
    command = [sys.executable, "-m", "scorefold", "match", str(tmp_path / "large.zarr")]
    command += [
        "--template",
        str(tmp_path / "patch.npy"),
        "--mask",
        "disk",
        "--step",
        "30",
        "--threshold",
        "0.5",
    ]
    command += ["--out", str(tmp_path / "run"), "--workers", "2", "--memory-limit", f"{LIMIT_MIB}MiB"]
    peaks: dict[int, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None:
            for pid, peak in peak_memory_of_workers(process.pid).items():
                peaks[pid] = max(peaks.get(pid, 0), peak)
            time.sleep(0.1)  # a sampling interval, not a wait for something to happen
        output = process.stdout.read()
    assert process.returncode == 0, output
    print("peak MiB by worker:", {pid: peak // 1024 for pid, peak in peaks.items()})
    workers = {pid: peak for pid, peak in peaks.items() if peak > 100 * 1024}
    assert len(workers) >= 2
    assert max(workers.values()) < LIMIT_MIB * 1024

    found = scorefold.open_run(tmp_path / "run")
    picked = found.picks[["y", "x"]].to_numpy()
    assert len(picked) == COPIES
    nearest = np.abs(picked[:, None] - positions[None]).max(axis=2).min(axis=1)
    assert nearest.max() < 1.0

    image = zarr.open_array(tmp_path / "large.zarr")
    corner = (slice(3000, 3600), slice(5000, 5700))
    cropped = scorefold.match(
        np.asarray(image[corner]),
        patch,
        mask="disk",
        step=30,
        threshold=0.5,
        render=False,
        out=tmp_path / "crop",
    )
    inner = (slice(30, -30), slice(30, -30))
    expected = np.asarray(cropped.scores["array-0000"])[inner]
    large = np.asarray(found.scores["large"][corner])[inner]
    # Both are float32 correlations of differently cut data: rounding of the transforms.
    np.testing.assert_allclose(large, expected, atol=1e-5)
