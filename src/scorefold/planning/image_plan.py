"""The plan of an inspection: images cut into leaves, and the tree in which the leaves' states are merged."""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

from scorefold.planning.node import Node, merge_tree, root_key

Shape = tuple[int, int]


@dataclass(frozen=True)
class ImageGroup:
    """Images with score maps of one shape; their ids are consecutive.

    Attributes
    ----------
    shape : (int, int)
        Of their score maps.
    first, count : int
        The first id, and how many there are.
    chunk_images : int
        Images whose maps are stored, and read, together.
    leaf_images : int
        Images of a leaf, a multiple of `chunk_images`.
    """

    shape: Shape
    first: int
    count: int
    chunk_images: int
    leaf_images: int

    @property
    def leaf_count(self) -> int:
        """Number of leaves."""
        return -(-self.count // self.leaf_images)


@dataclass(frozen=True)
class ImagePlan:
    """How images are cut into leaves.

    Attributes
    ----------
    groups : tuple of ImageGroup
        In the order of image ids.
    memory_limit : int
        Bytes per worker that the plan was made for.
    worker_bytes : int
        Bytes that a worker is expected to need.
    max_pixels : int
        Larger images are not decoded: they would not fit.
    """

    groups: tuple[ImageGroup, ...]
    memory_limit: int
    worker_bytes: int = 0
    max_pixels: int = 2**26

    @cached_property
    def _first_leaves(self) -> list[int]:
        return [0, *itertools.accumulate(group.leaf_count for group in self.groups)]

    @cached_property
    def _first_images(self) -> list[int]:
        return [group.first for group in self.groups]

    @property
    def leaf_count(self) -> int:
        """Number of leaves of one pass over the images."""
        return self._first_leaves[-1]

    @property
    def image_count(self) -> int:
        """Number of images."""
        return sum(group.count for group in self.groups)

    def group_of(self, leaf: int) -> ImageGroup:
        """Return the group of a leaf."""
        return self.groups[self.group_index(leaf)]

    def group_index(self, leaf: int) -> int:
        """Return the position of a leaf's group."""
        return bisect.bisect_right(self._first_leaves, leaf) - 1

    def images_of(self, leaf: int) -> range:
        """Return the ids of a leaf's images."""
        position = self.group_index(leaf)
        group = self.groups[position]
        first = group.first + (leaf - self._first_leaves[position]) * group.leaf_images
        return range(first, min(first + group.leaf_images, group.first + group.count))

    def leaf_of(self, image_id: int) -> int:
        """Return the leaf of an image."""
        position = bisect.bisect_right(self._first_images, image_id) - 1
        group = self.groups[position]
        return self._first_leaves[position] + (image_id - group.first) // group.leaf_images

    def leaves(self, stage: str, *, after: Sequence[str] = (), each_after: str = "") -> list[Node]:
        """Return one node a leaf.

        Parameters
        ----------
        stage : str
            What is done; options that decide it may follow a "-" and become part of the keys.
        after : sequence of str
            Keys that all leaves need.
        each_after : str
            A stage, with its options, of which each leaf needs the leaf of the same images.
        """
        name = stage.split("-", 1)[0]
        return [
            Node(
                name,
                f"{stage}-{leaf:07d}",
                (*after, *((f"{each_after}-{leaf:07d}",) if each_after else ())),
                batch=leaf,
            )
            for leaf in range(self.leaf_count)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        groups = tuple(ImageGroup(**{**group, "shape": tuple(group["shape"])}) for group in value["groups"])
        return cls(**{**value, "groups": groups})


def merged(stage: str, leaves: Sequence[Node], name: str) -> tuple[list[Node], str]:
    """Return the merges of leaves' states, and the key that holds the state of all: the only leaf's, or a merge's."""
    if len(leaves) == 1:
        return [], leaves[0].key
    return merge_tree(stage, leaves, name), root_key(stage, len(leaves), name)
