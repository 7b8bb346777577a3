"""Inspection: images a second beside the floor, memory that does not grow, and pictures beside matplotlib's."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.measuring import Row, Table, alternate, compare
from scorefold.rendering.inspection import InspectedImage, draw_panels
from scorefold.testing.memory import peak_memory_of_workers

WORKERS = 2

FIVE_PANELS = """
import json, sys, time
import numpy as np
import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot
rng = np.random.default_rng(0)
image, scores = rng.uniform(size=(2, 256, 256))
for _ in sys.stdin:
    start = time.perf_counter()
    figure, axes = pyplot.subplots(1, 5, figsize=(12.5, 2.5))
    panels = (("Image", image, "gray"), ("Truth", scores > 0.9, "gray"), ("Heat", scores, "jet"),
              ("Mask", scores > 0.9, "gray"), ("Contours", image, "gray"))
    for axis, (title, panel, colours) in zip(axes, panels):
        axis.axis("off"); axis.imshow(panel, cmap=colours); axis.set_title(title)
    figure.canvas.draw()
    pyplot.close(figure)
    print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
"""


def figures(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:
    """Compare a figure of five panels with the same by matplotlib, both to pixels in memory."""
    rng = np.random.default_rng(0)
    image = (255 * rng.uniform(size=(256, 256))).astype(np.uint8)
    scores = gaussian_filter(rng.normal(size=(256, 256)), 8).astype(np.float32)
    scores /= scores.std()
    inspected = InspectedImage(
        "part-0001", image, scores, np.abs(scores) > 2, 3.0, 2.0, "NG", truth=scores > 2
    )
    with subprocess.Popen(
        [sys.executable, "-c", FIVE_PANELS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout

        def theirs() -> float:
            asked.write("again\n")
            asked.flush()
            return float(json.loads(told.readline())["seconds"])

        def ours() -> float:
            start = time.perf_counter()
            draw_panels(inspected, gray_range=(0, 255), score_range=(0, 4))
            return time.perf_counter() - start

        medians = alternate({"scorefold": ours, "matplotlib": theirs}, 2 if tiny else 4 * repeats)
        process.kill()
    notes = {
        "scorefold": "drawn with OpenCV, with text, contours and boxes",
        "matplotlib": "imshow, no contours",
    }
    return [
        Table("A figure of five panels of 256 × 256 pixels", "figure", compare(medians, ["scorefold"], notes))
    ]


def make_images(folder: Path, count: int, edge: int, distinct: int = 100) -> None:
    """Write photographs of one surface with noise; there are `distinct` of them, linked under many names."""
    rng = np.random.default_rng(0)
    surface = gaussian_filter(rng.normal(size=(edge, edge)), 3)
    surface = 128 + 40 * surface / surface.std()
    folder.mkdir()
    for number in range(count):
        path = folder / f"image-{number:06d}.png"
        if number < distinct:
            noisy = np.clip(surface + rng.normal(0, 4, surface.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(path), noisy)
        else:
            os.link(folder / f"image-{number % distinct:06d}.png", path)


def decode_and_encode(paths: list[str]) -> None:
    """Read images and compress them again: what no inspection can do without."""
    cv2.setNumThreads(1)
    for path in paths:
        cv2.imencode(".png", cv2.imread(path, cv2.IMREAD_UNCHANGED))


def floor_seconds(paths: list[str]) -> float:
    """Return how long `WORKERS` processes take to decode and encode all images; starting them does not count."""
    parts = [paths[first : first + 50] for first in range(0, len(paths), 50)]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        list(pool.map(decode_and_encode, [[]] * WORKERS))
        start = time.perf_counter()
        list(pool.map(decode_and_encode, parts))
        return time.perf_counter() - start


def throughput(_python: str | None, *, tiny: bool, repeats: int) -> list[Table]:  # noqa: ARG001
    """Inspect many images on two workers; print images a second beside the floor, and the workers' memory."""
    counts, edge = ([12], 64) if tiny else ([5_000, 20_000], 512)
    rows, remarks = [], []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_images(root / "good", 8 if tiny else 40, edge)
        _scorefold(
            "inspect", "train", str(root / "good"), "--out", str(root / "model"), "--workers", str(WORKERS)
        )
        for count in counts:
            make_images(root / f"images-{count}", count, edge)
            paths = sorted(str(path) for path in (root / f"images-{count}").iterdir())
            floor = floor_seconds(paths) / count
            command = ["inspect", "run", str(root / f"images-{count}"), "--model", str(root / "model")]
            command += ["--out", str(root / f"run-{count}"), "--workers", str(WORKERS), "--no-render"]
            start = time.perf_counter()
            peaks = _scorefold(*command, "--memory-limit", "700MiB")
            seconds = (time.perf_counter() - start) / count
            rows.append(Row(f"floor, {count:,} images", floor, {"floor": 1.0}, "decode and encode"))
            rows.append(
                Row(
                    f"inspect run, {count:,} images",
                    seconds,
                    {"floor": seconds / floor},
                    "with start, plan and tables; maps and masks stored",
                )
            )
            remarks.append(
                f"{count:,} images: {1 / seconds:.0f} images/s, {100 * floor / seconds:.0f} % of the floor's "
                f"{1 / floor:.0f}; largest resident set of a worker {max(peaks, default=0) / 2**10:.0f} MiB of 700."
            )
    return [Table(f"Images of {edge} × {edge} pixels, {WORKERS} workers", "image", rows, remarks)]


def _scorefold(*arguments: str) -> list[int]:
    """Run a command; return the largest resident sets (KiB) of its worker processes."""
    peaks: dict[int, int] = {}
    command = [sys.executable, "-m", "scorefold", *arguments, "--quiet"]
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            for pid, peak in peak_memory_of_workers(process.pid).items():
                peaks[pid] = max(peaks.get(pid, 0), peak)
            time.sleep(0.2)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}")
    return list(peaks.values())


BENCHMARKS: dict[str, Callable[..., list[Table]]] = {"figures": figures, "throughput": throughput}
"""Benchmarks by the name that users give."""
