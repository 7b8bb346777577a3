"""The plan: a job cut into leaves and a fixed merge tree, as arithmetic rather than as a list."""

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scorefold.planning.node import Node, merge_count, merge_tree, root_key
from scorefold.planning.tiling import Tiling
from scorefold.scoring.tile import Tile

BASES_OF_A_PARTIAL = 4
"""Bases that are made by one task and kept in one partial."""


@dataclass(frozen=True)
class TileGroup:
    """Targets of one shape, cut alike.

    Attributes
    ----------
    tiling : Tiling
        How each target is cut.
    targets : tuple of int
        Indices of the targets in the job.
    batch_tiles : int
        Tiles folded together by one leaf, so that a rotated template and its spectra serve all of them.
    rotation_block : int
        Rotations of one leaf, or cells of them.
    """

    tiling: Tiling
    targets: tuple[int, ...]
    batch_tiles: int
    rotation_block: int

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles of one target."""
        return tuple(self.tiling.tiles())

    @cached_property
    def target_positions(self) -> dict[int, int]:
        """Place of every target within the group."""
        return {target: position for position, target in enumerate(self.targets)}

    @property
    def tile_count(self) -> int:
        """Tiles of all targets of the group."""
        return len(self.tiles) * len(self.targets)

    @property
    def batch_count(self) -> int:
        """Number of batches."""
        return -(-self.tile_count // self.batch_tiles)


@dataclass(frozen=True)
class Plan:
    """How a job is run.

    Attributes
    ----------
    box : tuple of int
        The search box.
    rotation_count : int
        Length of the rotation set.
    groups : tuple of TileGroup
        The targets by shape.
    memory_limit : int
        Bytes per worker that the plan was made for.
    wisdom : str
        Choice of the Fourier provider, the same for every worker.
    cell_count : int or None
        Number of cells of the rotation set that are folded as wholes; None where every rotation is folded alone.
    cell_turns : int
        How many cells have the same bases, turned.
    direct : bool
        Whether a leaf of all rotations writes the result maps of its batch itself, so that no state is stored.
    """

    box: tuple[int, ...]
    rotation_count: int
    groups: tuple[TileGroup, ...]
    memory_limit: int
    wisdom: str = field(default="", repr=False)
    cell_count: int | None = None
    cell_turns: int = 1
    direct: bool = False

    @cached_property
    def _first_batches(self) -> list[int]:
        return [0, *itertools.accumulate(group.batch_count for group in self.groups)]

    @cached_property
    def _groups_of_targets(self) -> dict[int, int]:
        return {target: i for i, group in enumerate(self.groups) for target in group.targets}

    @property
    def step_count(self) -> int:
        """Number of what leaves fold one after the other: rotations, or cells of them."""
        return self.rotation_count if self.cell_count is None else self.cell_count

    @property
    def batch_count(self) -> int:
        """Number of tile batches."""
        return self._first_batches[-1]

    @property
    def leaf_count(self) -> int:
        """Number of leaves."""
        return sum(g.batch_count * self._blocks(g) for g in self.groups)

    @property
    def merge_count(self) -> int:
        """Number of merges."""
        return sum(g.batch_count * merge_count(self._blocks(g)) for g in self.groups)

    @property
    def write_count(self) -> int:
        """Number of batches whose result maps are not written by their leaf."""
        return sum(group.batch_count for group in self.groups if not self.writes_directly(group))

    def group_of(self, batch: int) -> TileGroup:
        """Return the group that a batch belongs to."""
        return self.groups[bisect.bisect_right(self._first_batches, batch) - 1]

    def batch_tiles(self, batch: int) -> list[tuple[int, Tile]]:
        """Return (index of the target, tile) for the tiles of a batch."""
        position = bisect.bisect_right(self._first_batches, batch) - 1
        group = self.groups[position]
        first = (batch - self._first_batches[position]) * group.batch_tiles
        last = min(first + group.batch_tiles, group.tile_count)
        per_target = len(group.tiles)
        return [(group.targets[i // per_target], group.tiles[i % per_target]) for i in range(first, last)]

    def batches_of(self, target: int) -> range:
        """Return the batches that contain tiles of a target."""
        if target not in self._groups_of_targets:
            raise IndexError(target)
        position = self._groups_of_targets[target]
        group, first_batch = self.groups[position], self._first_batches[position]
        first = group.target_positions[target] * len(group.tiles)
        last = first + len(group.tiles) - 1
        return range(first_batch + first // group.batch_tiles, first_batch + last // group.batch_tiles + 1)

    def targets_of(self, batch: int) -> list[int]:
        """Return the targets that have tiles in a batch, in order."""
        return list(dict.fromkeys(target for target, _ in self.batch_tiles(batch)))

    def root_key(self, batch: int) -> str:
        """Return the key of the partial that covers a batch completely."""
        blocks = self._blocks(self.group_of(batch))
        if blocks == 1:
            return f"score_leaf-b{batch:07d}-r{0:07d}"
        return root_key("merge", blocks, f"b{batch:07d}")

    def search_nodes(self, batch: int) -> list[Node]:
        """Return the leaves and merges of a batch, every node after its inputs."""
        block = self.group_of(batch).rotation_block
        starts = range(0, self.step_count, block)
        nodes = [
            Node(
                "score_leaf",
                f"score_leaf-b{batch:07d}-r{start:07d}",
                tuple(node.key for node in self._bases(start, min(start + block, self.step_count))),
                batch=batch,
                rotations=(start, min(start + block, self.step_count)),
            )
            for start in starts
        ]
        return [*nodes, *merge_tree("merge", nodes, f"b{batch:07d}", batch=batch)]

    def is_direct(self, batch: int) -> bool:
        """Tell whether the only leaf of a batch writes its result maps."""
        return self.writes_directly(self.group_of(batch))

    def writes_directly(self, group: TileGroup) -> bool:
        """Tell whether batches of a group have one leaf, which writes their result maps."""
        return self.direct and self._blocks(group) == 1

    def write_node(self, batch: int) -> Node:
        """Return the work that writes a batch into the result maps."""
        if self.is_direct(batch):
            return self.search_nodes(batch)[0]
        inputs = (self.root_key(batch), *(node.key for node in self.compress_nodes()))
        return Node("write_result", self._written_key(batch), inputs, batch=batch)

    def _written_key(self, batch: int) -> str:
        """Return the key of the work that writes a batch into the result maps."""
        return self.root_key(batch) if self.is_direct(batch) else f"write_result-b{batch:07d}"

    def compress_nodes(self) -> list[Node]:
        """Return the work that makes the bases of all cells; none if rotations are folded alone."""
        return [] if self.cell_count is None else self._bases(0, self.cell_count)

    def compress_node(self, cell: int) -> Node:
        """Return the work that makes the basis of a cell, or the one it is a turn of, and those of its block."""
        return self._bases(cell, cell + 1)[0]

    def _bases(self, first: int, stop: int) -> list[Node]:
        """Return the work that makes the bases of a range of cells."""
        if self.cell_count is None:
            return []
        cells = BASES_OF_A_PARTIAL * self.cell_turns
        starts = [block * cells for block in range(first // cells, -(-stop // cells))]
        return [
            Node(
                "compress",
                f"compress-c{start:07d}",
                rotations=(start, min(start + cells, self.cell_count)),
            )
            for start in starts
        ]

    def candidate_node(self, target: int, options: str) -> Node:
        """Return the work that finds where picks of a target may be; `options` names the pick options."""
        inputs = tuple(self._written_key(batch) for batch in self.batches_of(target))
        return Node("find_candidates", f"find_candidates-{options}-t{target:07d}", inputs, target=target)

    def refine_node(self, batch: int, options: str) -> Node:
        """Return the work that scores the candidates in the tiles of a batch once more, and refines them."""
        inputs = tuple(self.candidate_node(target, options).key for target in self.targets_of(batch))
        inputs += tuple(node.key for node in self.compress_nodes())
        return Node("refine", f"refine-{options}-b{batch:07d}", inputs, batch=batch)

    def pick_node(self, target: int, options: str) -> Node:
        """Return the work that makes the picks of a target of its candidates."""
        inputs = tuple(self.refine_node(batch, options).key for batch in self.batches_of(target))
        return Node("call_picks", f"call_picks-{options}-t{target:07d}", inputs, target=target)

    def render_node(self, target: int, options: str) -> Node:
        """Return the work that draws a target."""
        pick = f"call_picks-{options}-t{target:07d}"
        return Node("render", f"render-{options}-t{target:07d}", (pick,), target=target)

    def report_node(self, options: str, *, render: bool) -> Node:
        """Return the last work: tables of all targets; with pictures also contact sheets and the report."""
        last = self.render_node if render else self.pick_node
        inputs = tuple(last(target, options).key for target in self.target_order())
        return Node("report", f"report-{options}" if render else f"tables-{options}", inputs)

    def target_order(self) -> Iterator[int]:
        """Yield target indices in the order of their batches."""
        for group in self.groups:
            yield from group.targets

    def _blocks(self, group: TileGroup) -> int:
        return -(-self.step_count // group.rotation_block)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "box": list(self.box),
            "rotation_count": self.rotation_count,
            "memory_limit": self.memory_limit,
            "wisdom": self.wisdom,
            "cell_count": self.cell_count,
            "cell_turns": self.cell_turns,
            "direct": self.direct,
            "groups": [
                {
                    "tiling": group.tiling.to_json(),
                    "targets": list(group.targets),
                    "batch_tiles": group.batch_tiles,
                    "rotation_block": group.rotation_block,
                }
                for group in self.groups
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Plan":
        """Read what `to_json` wrote."""
        groups = tuple(
            TileGroup(
                Tiling.from_json(group["tiling"]),
                tuple(group["targets"]),
                group["batch_tiles"],
                group["rotation_block"],
            )
            for group in value["groups"]
        )
        return cls(
            tuple(value["box"]),
            value["rotation_count"],
            groups,
            value["memory_limit"],
            value["wisdom"],
            value["cell_count"],
            value["cell_turns"],
            value["direct"],
        )


def group_targets(shapes: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], list[int]]:
    """Return the indices of targets by shape, in the order in which shapes appear.

    Examples
    --------
    >>> group_targets([(4, 4), (5, 4), (4, 4)])
    {(4, 4): [0, 2], (5, 4): [1]}
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, shape in enumerate(shapes):
        groups.setdefault(tuple(shape), []).append(index)
    return groups
