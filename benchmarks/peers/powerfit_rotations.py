"""Measures PowerFit: seconds per rotation, as the difference between a long and a short search."""

import json
import sys
import time

import numpy as np
from powerfit_em.correlators.cpu import CPUCorrelator
from scipy.spatial.transform import Rotation


def on_grid_of(array, shape):
    """Return an array in a larger one, with its centre at the origin, as PowerFit turns it about that."""
    grid = np.zeros(shape, np.float32)
    grid[tuple(slice(0, n) for n in array.shape)] = array
    return np.roll(grid, [-(n // 2) for n in array.shape], range(grid.ndim))


def search(data, count):
    """Search at `count` rotations; return seconds."""
    target = data["target"]
    template, mask = (on_grid_of(data[name], target.shape) for name in ("template", "mask"))
    correlator = CPUCorrelator(target, template, Rotation.random(count, random_state=1).as_matrix(), mask)
    start = time.perf_counter()
    correlator.scan()
    return time.perf_counter() - start


def main():
    """Answer every line of the input with one measurement."""
    options = json.loads(sys.argv[1])
    data = dict(np.load(options["data"]))
    few, many = options["few"], options["many"]
    for _ in sys.stdin:
        seconds = (search(data, many) - search(data, few)) / (many - few)
        print(json.dumps({"seconds": max(seconds, 1e-9)}), flush=True)


if __name__ == "__main__":
    main()
