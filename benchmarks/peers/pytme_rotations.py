"""Measures pyTME: seconds per rotation, as the difference between a long and a short search."""

import json
import sys
import time

import numpy as np
from scipy.spatial.transform import Rotation
from tme.analyzer import MaxScoreOverRotations
from tme.matching_data import MatchingData
from tme.matching_exhaustive import MATCHING_EXHAUSTIVE_REGISTER, match_exhaustive


def search(options, data, count):
    """Search at `count` rotations; return seconds."""
    rotations = Rotation.random(count, random_state=1).as_matrix()
    matching = MatchingData(
        target=data["target"], template=data["template"], template_mask=data["mask"], rotations=rotations
    )
    setup, score = MATCHING_EXHAUSTIVE_REGISTER[options["score"]]
    start = time.perf_counter()
    match_exhaustive(
        matching_data=matching,
        matching_setup=setup,
        matching_score=score,
        callback_class=MaxScoreOverRotations,
        interpolation_order=options["order"],
        n_jobs=1,
    )
    return time.perf_counter() - start


def main():
    """Answer every line of the input with one measurement."""
    options = json.loads(sys.argv[1])
    data = dict(np.load(options["data"]))
    few, many = options["few"], options["many"]
    for _ in sys.stdin:
        seconds = (search(options, data, many) - search(options, data, few)) / (many - few)
        print(json.dumps({"seconds": max(seconds, 1e-9)}), flush=True)


if __name__ == "__main__":
    main()
