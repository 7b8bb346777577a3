"""Measures the loop that people write with OpenCV: turn template and mask, matchTemplate, keep the best."""

import json
import sys
import time

import cv2
import numpy as np

cv2.setNumThreads(1)


def turned(array, angle, size):
    """Return an array turned counter-clockwise about its centre, in the middle of a larger square."""
    height, width = array.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    matrix[:, 2] += (size - 1) / 2 - (width - 1) / 2, (size - 1) / 2 - (height - 1) / 2
    return cv2.warpAffine(array, matrix, (size, size), flags=cv2.INTER_LINEAR)


def search(data, angles, method_mask):
    """Return the best (score, angle, y, x) of all angles."""
    image, template, mask = data["image"], data["template"], data["mask"]
    size = int(np.ceil(np.hypot(*template.shape))) + 1
    best = (-np.inf, 0.0, 0, 0)
    for angle in angles:
        part, weights = turned(template, angle, size), turned(mask, angle, size)
        weights = (weights > 0.5).astype(np.float32)
        scores = cv2.matchTemplate(image, part, cv2.TM_CCOEFF_NORMED, mask=weights if method_mask else None)
        scores[~np.isfinite(scores)] = -1
        _, score, _, (x, y) = cv2.minMaxLoc(scores)
        best = max(best, (float(score), float(angle), y + (size - 1) / 2, x + (size - 1) / 2))
    return best


def main():
    """Answer every line of the input with one measurement: seconds per angle, and the best pose."""
    options = json.loads(sys.argv[1])
    data = dict(np.load(options["data"]))
    for _ in sys.stdin:
        start = time.perf_counter()
        best = search(data, options["angles"], options["masked"])
        seconds = (time.perf_counter() - start) / len(options["angles"])
        print(json.dumps({"seconds": seconds, "best": best}), flush=True)


if __name__ == "__main__":
    main()
