"""What scoring left of a leaf's images: scores, poses, reasons of failures, and the score maps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.cluster.inspect.inspect_run import InspectRun
from scorefold.inspection.pose import Pose
from scorefold.store.image_maps import Block, ImageMaps

Array = NDArray[Any]

SCORED, NOT_FOUND, ERROR = 0, 1, 2
"""What became of an image."""


@dataclass(frozen=True, eq=False)
class ScoredLeaf:
    """What a record of `score_images` holds, image by image.

    Attributes
    ----------
    status : ndarray of uint8
        `SCORED`, `NOT_FOUND` or `ERROR`.
    scores : ndarray
        Score of the image; NaN without one.
    poses : ndarray of float64, shape (n, 4)
        Centre (y, x), angle and correlation of the part; NaN if it was not located.
    failures : dict of str to str
        Reasons, by name.
    blocks : list of Block
        What is recorded of the maps.
    key : str
        Of the work that wrote them.
    maps : ImageMaps
        Where they are.
    """

    status: Array
    scores: Array
    poses: Array
    failures: dict[str, str]
    blocks: list[Block]
    key: str
    maps: ImageMaps

    def read(self, block: Block) -> Array:
        """Return the maps of a block, verified."""
        return self.maps.read_block(self.key, block)


def read_leaf(run: InspectRun, leaf: int) -> ScoredLeaf:
    """Return what is recorded of a leaf's images.

    Raises
    ------
    DamagedPartialError
        If it cannot be trusted.
    """
    key = run.score_key(leaf)
    arrays, record = run.store.read_partial(key)
    return ScoredLeaf(
        status=arrays["status"],
        scores=arrays["scores"],
        poses=arrays["poses"],
        failures=record.summary["failures"],
        blocks=record.summary["blocks"],
        key=key,
        maps=ImageMaps(run.store, run.map_path(leaf, "scores")),
    )


def leaf_maps(run: InspectRun, leaf: int, scored: ScoredLeaf) -> Iterator[tuple[int, Array]]:
    """Yield row and signed score map of every scored image of a leaf, verified."""
    for block in scored.blocks:
        yield from block_maps(run, leaf, scored, block)


def block_maps(run: InspectRun, leaf: int, scored: ScoredLeaf, block: Block) -> Iterator[tuple[int, Array]]:
    """Yield row and signed score map of every scored image of a block, verified."""
    first = run.plan.group_of(leaf).first + block["first"] - run.plan.images_of(leaf).start
    rows = range(first, first + block["stop"] - block["first"])
    if (scored.status[first : rows.stop] != SCORED).all():
        return
    maps = scored.read(block)
    yield from ((row, maps[row - first]) for row in rows if scored.status[row] == SCORED)


def one_map(run: InspectRun, image_id: int) -> tuple[ScoredLeaf, int, Array | None]:
    """Return an image's leaf, its row there, and its score map; None if it has none."""
    leaf = run.plan.leaf_of(image_id)
    scored = read_leaf(run, leaf)
    row = image_id - run.plan.images_of(leaf).start
    if scored.status[row] != SCORED:
        return scored, row, None
    place = image_id - run.plan.group_of(leaf).first
    block = next(b for b in scored.blocks if b["first"] <= place < b["stop"])
    return scored, row, scored.read(block)[place - block["first"]]


def pose_of(scored: ScoredLeaf, row: int) -> Pose | None:
    """Return where the part lies in an image; None if it was not located."""
    y, x, angle, score = scored.poses[row].tolist()
    return None if np.isnan(y) else Pose((y, x), angle, score)
