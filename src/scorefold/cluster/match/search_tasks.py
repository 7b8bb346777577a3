"""The tasks of the search: score a leaf, merge partials, write result maps. They take and return keys, never arrays."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import AnalyzerProduct, ApproximateMoments, Coverage, ExactSum, Moments
from scorefold.cluster.live import is_heard, tell, told_failures
from scorefold.cluster.match.preview import preview
from scorefold.cluster.match.run import MatchRun
from scorefold.cluster.run import one_line
from scorefold.cluster.suspects import find_killers
from scorefold.errors import DamagedPartialError, InputError
from scorefold.events import LeafEvent
from scorefold.io import ome_multiscales_metadata
from scorefold.planning.job import Target
from scorefold.planning.node import Node
from scorefold.scoring.score import TargetTile
from scorefold.scoring.tile import Tile
from scorefold.store import Commit, ResultMaps
from scorefold.store.results import level_shapes

CHECKPOINT_SECONDS = 60.0

TOLD_TILES = 4
"""Tiles of a leaf of which the dashboard is shown the scores: a scheduler keeps the last thousand events."""

Tiles = list[tuple[int, Tile]]
Arrays = dict[str, NDArray[Any]]


def score_leaf(run: MatchRun, node: Node) -> str:
    """Fold a block of rotations over a batch of tiles and commit the partial, or the result maps if it is all of them.

    An interrupted leaf goes on from its last checkpoint. A target that cannot be read any more is noted in the record,
    and the other tiles of the batch are scored.
    """
    started = time.monotonic()
    tiles = run.plan.batch_tiles(node.batch)
    analyzers = [run.analyzer(tile) for _, tile in tiles]
    coverage = Coverage.empty(run.region(node.batch))
    results = [analyzer.result(analyzer.init_state()) for analyzer in analyzers]
    failures: dict[str, str] = {}
    checkpoint = _read_checkpoint(run, node)
    if checkpoint is not None:
        arrays, record = checkpoint
        results, coverage = _unpack(arrays, analyzers), record.coverage or coverage
        failures |= record.summary["failures"]
    states = [analyzer.resume(result) for analyzer, result in zip(analyzers, results, strict=True)]

    failures |= find_killers(run.store, node, _one_by_one(run, node, failures))
    readable, pixels = _read_tiles(run, tiles, failures)
    if readable:
        engine = run.engine(run.plan.group_of(node.batch).tiling.fft_shape)
        batch = engine.prepare([tiles[i][1] for i in readable], pixels, [analyzers[i] for i in readable])
        del pixels
        saved = time.monotonic()
        for first, stop in coverage.missing(*node.rotations):
            for step in range(first, stop):
                for position, state in zip(
                    readable, batch.fold(step, [states[i] for i in readable]), strict=True
                ):
                    states[position] = state
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    done = coverage.union(Coverage.of(coverage.region, first, step + 1))
                    so_far = _pack(_results(states, analyzers), analyzers)
                    _save_checkpoint(run, node, so_far, done, failures)
                    saved = time.monotonic()
            coverage = coverage.union(Coverage.of(coverage.region, first, stop))
    else:
        coverage = Coverage.of(coverage.region, *node.rotations)
    found = _results(states, analyzers)
    summary = {"failures": failures, "seconds": round(time.monotonic() - started, 3)}
    if run.plan.is_direct(node.batch):
        written = {"tiles": _write_tiles(run, node.batch, found, failures)}
        run.store.commit(node.key, coverage=coverage, summary=summary | written)
    else:
        run.store.commit(node.key, arrays=_pack(found, analyzers), coverage=coverage, summary=summary)
    run.store.drop_checkpoint(node.key)
    _tell(run, node, [(*tiles[i], found[i][0].scores) for i in readable], summary)
    return node.key


def _read_tiles(run: MatchRun, tiles: Tiles, failures: dict[str, str]) -> tuple[list[int], list[TargetTile]]:
    """Return which tiles can be read and their pixels; note why others cannot."""
    readable, pixels = [], []
    for position, (target, tile) in enumerate(tiles):
        if str(target) in failures:
            continue  # the checkpoint lacks it, whether or not it can be read again
        try:
            pixels.append(run.pixels(run.job.targets[target], tile))
            readable.append(position)
        except (InputError, OSError) as error:
            failures[str(target)] = one_line(error)
    return readable, pixels


def _tell(
    run: MatchRun, node: Node, found: list[tuple[int, Tile, NDArray[Any]]], summary: dict[str, Any]
) -> None:
    """Tell the dashboard of a leaf: its targets, with the best scores of some of them."""
    if not is_heard():
        return
    first, stop = node.rotations
    targets = len(found) / len(run.plan.group_of(node.batch).tiles)
    event = LeafEvent(
        run.store.location,
        node.stage,
        summary["seconds"],
        targets * run.plan.rotation_count * (stop - first) / run.plan.step_count,
        [
            preview(run.job.targets[index].name, scores, tile.start, tile.target_shape)
            for index, tile, scores in found[:TOLD_TILES]
        ],
        failures=told_failures({run.job.targets[int(i)].name: why for i, why in summary["failures"].items()}),
    )
    tell(event)


def _one_by_one(
    run: MatchRun, node: Node, failures: dict[str, str]
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the targets of a batch, and what does with one of them what a leaf does with all, for one rotation."""

    def score(target: int) -> None:
        engine = run.engine(run.plan.group_of(node.batch).tiling.fft_shape)
        for tile in (tile for index, tile in run.plan.batch_tiles(node.batch) if index == target):
            analyzer = run.analyzer(tile)
            batch = engine.prepare([tile], [run.pixels(run.job.targets[target], tile)], [analyzer])
            batch.fold(node.rotations[0], [analyzer.init_state()])

    for target in run.plan.targets_of(node.batch):
        if str(target) not in failures:
            yield str(target), partial(score, target)


def _read_checkpoint(run: MatchRun, node: Node) -> tuple[Arrays, Commit] | None:
    try:
        if run.store.read_commit(node.key, checkpoint=True) is None:
            return None
        return run.store.read_partial(node.key, checkpoint=True)
    except DamagedPartialError as error:
        run.store.discard(node.key, error.reason, checkpoint=True)
        return None


def _save_checkpoint(
    run: MatchRun, node: Node, arrays: Arrays, coverage: Coverage, failures: dict[str, str]
) -> None:
    before = run.store.read_commit(node.key, checkpoint=True)
    summary = {"failures": failures}
    run.store.commit(node.key, arrays=arrays, coverage=coverage, summary=summary, checkpoint=True)
    if before is not None:
        run.store.forget_arrays(before)


def merge_states(run: MatchRun, node: Node) -> str:
    """Merge partials of one batch in the order of the plan's tree and commit the union."""
    started = time.monotonic()
    analyzers = [run.analyzer(tile) for _, tile in run.plan.batch_tiles(node.batch)]
    merged: list[Any] | None = None
    coverage = Coverage.empty(run.region(node.batch))
    failures: dict[str, str] = {}
    for key in node.inputs:
        arrays, record = run.store.read_partial(key)
        if record.coverage is None:
            raise DamagedPartialError(key, "its record has no coverage")
        coverage = coverage.union(record.coverage)
        failures |= record.summary.get("failures", {})
        results = _unpack(arrays, analyzers)
        merged = (
            results
            if merged is None
            else [
                analyzer.merge([left, right])
                for analyzer, left, right in zip(analyzers, merged, results, strict=True)
            ]
        )
    if merged is None:
        raise ValueError(f"{node.key}: a merge without inputs")
    summary = {"failures": failures, "seconds": round(time.monotonic() - started, 3)}
    run.store.commit(node.key, arrays=_pack(merged, analyzers), coverage=coverage, summary=summary)
    _let_go(run, node.inputs)
    return node.key


def _let_go(run: MatchRun, keys: Sequence[str]) -> None:
    """Remove the partials that what was just committed contains, so that a run never holds all of them at once."""
    if not run.store.attributes.get("keep_states"):
        run.store.let_go(keys)


def write_result(run: MatchRun, node: Node) -> str:
    """Write the tiles of a batch into the result maps and commit their digests and score moments."""
    root = node.inputs[0]
    arrays, record = run.store.read_partial(root)
    if record.coverage != run.whole_coverage(node.batch):
        raise DamagedPartialError(root, f"it covers {record.coverage}, not every rotation")
    failures: dict[str, str] = record.summary.get("failures", {})
    results = _unpack(arrays, [run.analyzer(tile) for _, tile in run.plan.batch_tiles(node.batch)])
    written = _write_tiles(run, node.batch, results, failures)
    run.store.commit(node.key, summary={"tiles": written, "failures": failures})
    _let_go(run, [root])
    return node.key


def _write_tiles(
    run: MatchRun, batch: int, results: list[Any], failures: dict[str, str]
) -> list[dict[str, Any]]:
    """Write the tiles of a batch into the result maps; return their digests and score moments."""
    tiling, tiles = run.plan.group_of(batch).tiling, run.plan.batch_tiles(batch)
    fill = run.job.search.score_threshold
    written = []
    maps_of: dict[int, ResultMaps] = {}
    for (index, tile), (maximum, moments) in zip(tiles, results, strict=True):
        if str(index) in failures:
            continue
        target = run.job.targets[index]
        if index not in maps_of:
            create_maps(run, index)
            maps_of[index] = ResultMaps(run.store, target.name)
        maps = maps_of[index]
        start, scores, rotations = _fill_cell(tile, tiling.cell, maximum, fill)
        written.append(
            {
                "index": index,
                "target": target.name,
                "start": list(start),
                "shape": list(scores.shape),
                "digests": maps.write_tile(start, scores, rotations),
                "moments": _moments_to_json(moments),
            }
        )
    return written


def _moments_to_json(moments: Moments | ApproximateMoments) -> dict[str, Any]:
    """Write exact sums as hexadecimal integers in units of 2^-1074."""
    if isinstance(moments, ApproximateMoments):
        parts = {"scores": moments.scores, "sample": moments.sample, "exact": moments.exact}
        return {name: _moments_to_json(part) for name, part in parts.items()}
    return {
        "count": moments.count,
        "total": f"{moments.total.units:x}",
        "total_of_squares": f"{moments.total_of_squares.units:x}",
    }


def moments_from_json(value: dict[str, Any]) -> Moments | ApproximateMoments:
    """Return the moments that a record of written tiles carries."""
    if "sample" in value:
        return ApproximateMoments(*(_exact_moments(value[name]) for name in ("scores", "sample", "exact")))
    return _exact_moments(value)


def _exact_moments(value: dict[str, Any]) -> Moments:
    return Moments(
        value["count"], ExactSum(int(value["total"], 16)), ExactSum(int(value["total_of_squares"], 16))
    )


def _fill_cell(tile: Tile, cell: tuple[int, ...], maximum: Any, fill: float) -> tuple[Any, Any, Any]:
    """Extend a tile to its whole cell, so that a tile is a whole chunk of the result maps."""
    start = tuple(a // c * c for a, c in zip(tile.start, cell, strict=True))
    stop = tuple(min(a + c, n) for a, c, n in zip(start, cell, tile.target_shape, strict=True))
    before = [a - b for a, b in zip(tile.start, start, strict=True)]
    after = [e - a - n for e, a, n in zip(stop, tile.start, tile.shape, strict=True)]
    padding = list(zip(before, after, strict=True))
    scores = np.pad(maximum.scores, padding, constant_values=fill)
    return start, scores, np.pad(maximum.rotations, padding, constant_values=-1)


def create_maps(run: MatchRun, index: int) -> dict[str, str]:
    """Create the result maps of a target unless they are there; return the SHA-256 of their descriptions."""
    target = run.job.targets[index]
    cell = run.plan.group_of(run.plan.batches_of(index).start).tiling.cell
    return ResultMaps(run.store, target.name).create(
        target.shape, cell, _map_attributes(run, target), run.job.search.score_threshold
    )


def _map_attributes(run: MatchRun, target: Target) -> dict[str, dict[str, Any]]:
    axes = "zyx"[-len(target.shape) :]
    size = target.pixel_size or (1.0,) * len(axes)
    scales = [[float(2**level)] * len(axes) for level in range(len(level_shapes(target.shape)))]
    made = _how_made(run)
    return {
        name: ome_multiscales_metadata(
            f"{target.name} {name}",
            axes,
            target.pixel_size,
            target.pixel_unit,
            scales,
            [h * s for h, s in zip(run.job.half_voxel, size, strict=True)],
        )
        | made
        for name in ("scores", "rotations")
    }


def _how_made(run: MatchRun) -> dict[str, Any]:
    """Return what result maps say of scores that are not exact."""
    if not run.compressed:
        return {}
    typical, largest = run.residuals
    return {
        "scorefold": {
            "engine": "compressed",
            "tolerance": run.job.search.tolerance,
            "cell_angle": run.job.search.cell_angle,
            "residual_rms": typical,
            "residual_largest": largest,
            "error": "A score is off by at most the residual of its rotation, if scores lie in [-1, 1]; on noise by "
            "the residual times the standard deviation of the scores. Picks are scored exactly.",
        }
    }


def _results(states: list[Any], analyzers: list[AnalyzerProduct]) -> list[Any]:
    return [analyzer.result(state) for analyzer, state in zip(analyzers, states, strict=True)]


def _pack(results: list[Any], analyzers: list[AnalyzerProduct]) -> Arrays:
    """Lay the states of all tiles end to end, one flat array per field."""
    fields: dict[str, list[NDArray[Any]]] = {}
    for analyzer, result in zip(analyzers, results, strict=True):
        for name, array in analyzer.to_arrays(result).items():
            fields.setdefault(name, []).append(array.ravel())
    return {name: np.concatenate(parts) for name, parts in fields.items()}


def _unpack(arrays: Arrays, analyzers: list[AnalyzerProduct]) -> list[Any]:
    """Take apart what `_pack` laid end to end; shapes follow from the plan."""
    results = []
    offsets = dict.fromkeys(arrays, 0)
    for analyzer in analyzers:
        empty = analyzer.to_arrays(analyzer.result(analyzer.init_state()))
        own = {}
        for name, example in empty.items():
            first = offsets[name]
            offsets[name] = first + example.size
            own[name] = arrays[name][first : first + example.size].reshape(example.shape)
        results.append(analyzer.from_arrays(own))
    return results
