"""Pieces of work: their names, their stages, and the tree in which partials are merged."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

FAN_IN = 8
"""Partials that one merge task unites."""

STAGES = {
    "match": (
        "compress",
        "score_leaf",
        "merge",
        "write_result",
        "find_candidates",
        "refine",
        "call_picks",
        "render",
        "report",
    ),
    "train": ("fold_images", "merge_images", "learn", "calibrate", "merge_calibrations", "report"),
    "inspect": (
        "score_images",
        "merge_scores",
        "evaluate",
        "merge_evaluations",
        "set_threshold",
        "measure",
        "render",
        "report",
    ),
}
"""Kinds of work, by kind of run, in the order in which they become possible."""

STAGE_TITLES = {
    "compress": "compress",
    "score_leaf": "score",
    "merge": "merge",
    "write_result": "write maps",
    "find_candidates": "candidates",
    "refine": "refine",
    "call_picks": "call picks",
    "fold_images": "fold",
    "merge_images": "merge folds",
    "learn": "learn",
    "calibrate": "calibrate",
    "merge_calibrations": "merge scores",
    "score_images": "score",
    "merge_scores": "merge",
    "evaluate": "evaluate",
    "merge_evaluations": "merge truth",
    "set_threshold": "threshold",
    "measure": "measure",
    "render": "draw",
    "report": "report",
}
"""What stages are called where people read of them."""

PRIORITY = {
    stage: position - len(stages) for stages in STAGES.values() for position, stage in enumerate(stages)
}
"""Later stages go first, so that what is finished does not wait for what is not begun."""


@dataclass(frozen=True)
class Node:
    """One piece of work, named by a key.

    Attributes
    ----------
    stage : str
        One of the stages of its kind of run.
    key : str
        Unique in the run.
    inputs : tuple of str
        Keys of the work that must be done before.
    batch : int
        The tile batch it works on, or -1.
    target : int
        The target it works on, or -1.
    rotations : tuple of (int, int)
        Half-open range of what a leaf folds: rotation ids, or cells of the rotation set.
    suspected : bool
        Whether workers died that had it, so that it is done with care.
    """

    stage: str
    key: str
    inputs: tuple[str, ...] = ()
    batch: int = -1
    target: int = -1
    rotations: tuple[int, int] = (0, 0)
    suspected: bool = False


def merge_tree(stage: str, leaves: Sequence[Node], name: str, *, batch: int = -1) -> list[Node]:
    """Return the merges that unite leaves into one partial, every merge after its inputs.

    Parameters
    ----------
    stage : str
        Stage of the merges; the level in the tree is part of their keys.
    leaves : sequence of Node
        In the order in which they are merged.
    name : str
        What is merged, for the keys.
    batch : int
        The batch the merges work on.

    Examples
    --------
    >>> leaves = [Node("leaf", f"leaf-{i}") for i in range(9)]
    >>> [(node.key, len(node.inputs)) for node in merge_tree("merge", leaves, "all")]
    [('merge_l0-all-000000', 8), ('merge_l0-all-000001', 1), ('merge_l1-all-000000', 2)]
    """
    merges: list[Node] = []
    level = [node.key for node in leaves]
    for depth in itertools.count():
        if len(level) <= 1:
            break
        nodes = [
            Node(stage, f"{stage}_l{depth}-{name}-{index:06d}", tuple(level[i : i + FAN_IN]), batch=batch)
            for index, i in enumerate(range(0, len(level), FAN_IN))
        ]
        merges += nodes
        level = [node.key for node in nodes]
    return merges


def root_key(stage: str, leaves: int, name: str) -> str:
    """Return the key of the last merge of `merge_tree` over that many leaves, two or more.

    Examples
    --------
    >>> root_key("merge", 9, "all")
    'merge_l1-all-000000'
    """
    depth = 0
    while leaves > FAN_IN:
        leaves, depth = math.ceil(leaves / FAN_IN), depth + 1
    return f"{stage}_l{depth}-{name}-{0:06d}"


def merge_count(leaves: int) -> int:
    """Return the number of merges over that many leaves.

    Examples
    --------
    >>> [merge_count(n) for n in (1, 2, 8, 9)]
    [0, 1, 1, 3]
    """
    total = 0
    while leaves > 1:
        leaves = math.ceil(leaves / FAN_IN)
        total += leaves
    return total
