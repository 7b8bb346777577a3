"""Measure how far any rotation can be from the nearest member of a rotation set."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from scorefold.errors import InputError
from scorefold.rotations.symmetry import symmetry_group
from scorefold.rotations.validation import check_rotations

_CLIMBERS = 256
_TRIALS = 16
_ROUNDS = 20


def covering_radius(
    rotations: ArrayLike, symmetry: str = "C1", samples: int = 100_000, seed: int = 0
) -> float:
    """Return the largest geodesic angle from any rotation to the nearest member of a 3D rotation set.

    Random rotations are compared with the set; from the worst of them, random steps of shrinking length climb
    to the centre of the hole they lie in. The result is therefore a lower bound. It misses at most 0.1 % of
    the exact radius, which the convex hull of the quaternions gives, for sets of up to 5 000 rotations, and
    1 % for 15 000; larger sets have more holes than the default number of samples can visit.

    Parameters
    ----------
    rotations : array_like, shape (n, 3, 3)
        Rotation set on (z, y, x) vectors.
    symmetry : str, default "C1"
        The template's symmetry: R and R·g count as the same rotation for every g in the group.
    samples : int, default 100_000
        Number of random rotations.
    seed : int, default 0
        Seed of the random rotations; the same seed gives the same result.

    Returns
    -------
    float
        Degrees, in [0, 180].

    Raises
    ------
    InputError
        If the set, the symmetry's name or the number of samples cannot be used.

    Examples
    --------
    The 24 rotations of a cube leave no rotation farther away than 62.8°:

    >>> from scorefold.rotations import symmetry_group
    >>> round(covering_radius(symmetry_group("O"), samples=1000), 1)
    62.8
    """
    if samples < 1:
        raise InputError(f"samples {samples}: must be at least 1.")
    members = check_rotations(rotations, 3)[:, np.newaxis] @ symmetry_group(symmetry)
    quaternions = Rotation.from_matrix(members.reshape(-1, 3, 3)).as_quat()
    # q and −q are the same rotation.
    tree = KDTree(np.concatenate([quaternions, -quaternions]))
    generator = np.random.default_rng(seed)
    probes = _unit(generator.standard_normal((samples, 4)))
    distance = tree.query(probes)[0]
    worst = np.argsort(-distance, kind="stable")[:_CLIMBERS]
    place, height = probes[worst], distance[worst]
    reach = height[0]
    for _ in range(_ROUNDS):
        trials = _unit(place[:, np.newaxis] + reach * generator.standard_normal((len(place), _TRIALS, 4)))
        heights = tree.query(trials)[0]
        best = heights.argmax(axis=1)
        rows = np.arange(len(place))
        better = heights[rows, best] > height
        place = np.where(better[:, np.newaxis], trials[rows, best], place)
        height = np.maximum(height, heights[rows, best])
        reach *= 0.7
    # A chord between unit quaternions of rotations ω apart is 2 sin(ω/4).
    return float(np.degrees(4 * np.arcsin(height.max() / 2)))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
