"""Hypothesis strategies for what analyzers are given: score maps, rotations, streams of both, merge trees."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Result = TypeVar("Result")

MergeTree = int | tuple["MergeTree", ...]
"""The number of a part, or the parts of one merge."""

SCORE_ALPHABET = (
    0.0,
    0.5,
    1.0,
    -0.4,
    -0.0,
    0.1,
    np.nextafter(np.float32(0.1), np.float32(1)),
    1e7,
    np.nan,
    -np.inf,
)
"""Few scores, for many ties: some are easily mistaken for each other, some make sums round."""


def _example_rotations() -> dict[int, NDArray[np.float64]]:
    """Return stacks of rotation matrices by dimension."""
    quarter_turns, others = (0, 90, 180, -90), (30.0, 12.34)
    angles = {
        2: [(angle, 0, 0) for angle in (*quarter_turns, *others)],
        3: [(0, 0, 0), (90, 0, 0), (0, 90, 0), (-90, 180, 90), (30, 40, 50), (12.34, 90, 0)],
    }
    stacks = {}
    for dimensions, triples in angles.items():
        matrices = Rotation.from_euler("ZYZ", triples, degrees=True).as_matrix()[:, :dimensions, :dimensions]
        exact = np.rint(matrices)
        stack = np.where(np.isclose(matrices, exact), exact, matrices)
        stack.setflags(write=False)
        stacks[dimensions] = stack
    return stacks


_ROTATIONS = _example_rotations()


class Observation(NamedTuple):
    """One step of a stream: a score map, its rotation, that rotation's row if there is a set, further keywords."""

    scores: NDArray[Any]
    rotation_matrix: NDArray[np.float64]
    rotation_id: int | None
    keywords: Mapping[str, Any] = {}


def score_maps(
    shape: tuple[int, ...], alphabet: Sequence[float] = SCORE_ALPHABET
) -> st.SearchStrategy[NDArray[np.float32]]:
    """Return a strategy for read-only float32 score maps.

    Parameters
    ----------
    shape : tuple of int
        Shape of every map.
    alphabet : sequence of float, optional
        The scores that occur; by default few, NaN, −∞ and −0.0 among them.
    """
    letters = np.array(alphabet, dtype=np.float32)
    size = int(np.prod(shape))

    def spell(code: bytes) -> NDArray[np.float32]:
        indices = np.frombuffer(code, dtype=np.uint8) % len(letters)
        scores: NDArray[np.float32] = letters[indices].reshape(shape)
        scores.setflags(write=False)
        return scores

    return st.binary(min_size=size, max_size=size).map(spell)


def rotation_matrices(dimensions: int) -> st.SearchStrategy[NDArray[np.float64]]:
    """Return a strategy for read-only rotation matrices in 2D or 3D.

    Quarter turns, which are exact and full of negative zeros, are mixed with arbitrary rotations.
    """
    return st.sampled_from(list(_ROTATIONS[dimensions]))


def rotation_stacks(
    dimensions: int, min_size: int = 1, max_size: int = 5
) -> st.SearchStrategy[NDArray[np.float64]]:
    """Return a strategy for (n, d, d) stacks of rotation matrices in 2D or 3D; rows may repeat."""
    return st.lists(rotation_matrices(dimensions), min_size=min_size, max_size=max_size).map(np.stack)


def observations(
    shape: tuple[int, ...],
    rotations: NDArray[np.float64] | None = None,
    max_size: int = 6,
    scores: st.SearchStrategy[NDArray[Any]] | None = None,
    keywords: st.SearchStrategy[Mapping[str, Any]] | None = None,
) -> st.SearchStrategy[list[Observation]]:
    """Return a strategy for streams of score maps.

    Parameters
    ----------
    shape : tuple of int
        Shape of the score maps.
    rotations : ndarray of shape (n, d, d), optional
        The job's rotation set, of which each rotation is a row; its id is sometimes given. By default
        rotations are those of `rotation_matrices`, without ids.
    max_size : int, optional
        Largest number of score maps.
    scores : strategy, optional
        Score maps; `score_maps` by default.
    keywords : strategy, optional
        Further keywords of the analyzer's call, such as labels; none by default.
    """
    rotation: st.SearchStrategy[tuple[NDArray[np.float64], int | None]]
    if rotations is None:
        rotation = st.tuples(rotation_matrices(len(shape)), st.none())
    else:
        rotation = st.sampled_from(
            [(rotations[row], shown) for row in range(len(rotations)) for shown in (row, None)]
        )
    step = st.builds(
        lambda drawn, turned, named: Observation(drawn, turned[0], turned[1], named),
        score_maps(shape) if scores is None else scores,
        rotation,
        st.just({}) if keywords is None else keywords,
    )
    return st.lists(step, max_size=max_size)


@st.composite
def merge_trees(draw: st.DrawFn, parts: int) -> MergeTree:
    """Draw a tree of merges, of any fan-in, whose leaves are the numbers of the parts in any order."""
    nodes: list[MergeTree] = list(draw(st.permutations(range(parts))))
    while len(nodes) > 1:
        start = draw(st.integers(0, len(nodes) - 2))
        stop = draw(st.integers(start + 2, len(nodes)))
        nodes[start:stop] = [tuple(nodes[start:stop])]
    return nodes[0]


def merge_along(tree: MergeTree, parts: Sequence[Result], merge: Callable[[list[Result]], Result]) -> Result:
    """Return the merge of parts along a tree."""
    if isinstance(tree, int):
        return parts[tree]
    return merge([merge_along(branch, parts, merge) for branch in tree])
