"""Measures the loop that people write with scikit-image: rotate the template, match_template, keep the best."""

import json
import sys
import time

import numpy as np
from skimage.feature import match_template
from skimage.transform import rotate


def search(data, angles):
    """Return the best (score, angle, y, x) of all angles."""
    image, template = data["image"], data["template"]
    best = (-np.inf, 0.0, 0.0, 0.0)
    for angle in angles:
        part = rotate(template, angle, resize=True, order=1)
        scores = match_template(image, part)
        y, x = np.unravel_index(np.argmax(scores), scores.shape)
        height, width = part.shape
        best = max(best, (float(scores[y, x]), float(angle), y + (height - 1) / 2, x + (width - 1) / 2))
    return best


def main():
    """Answer every line of the input with one measurement: seconds per angle, and the best pose."""
    options = json.loads(sys.argv[1])
    data = dict(np.load(options["data"]))
    for _ in sys.stdin:
        start = time.perf_counter()
        best = search(data, options["angles"])
        seconds = (time.perf_counter() - start) / len(options["angles"])
        print(json.dumps({"seconds": seconds, "best": best}), flush=True)


if __name__ == "__main__":
    main()
