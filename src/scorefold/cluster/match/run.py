"""A search as its driver and tasks see it: job, plan, template and rotation set, loaded from the store."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from scorefold.analyzer import (
    AnalyzerProduct,
    ApproximateScoreMoments,
    Coverage,
    MaxScoreOverRotations,
    RotationTable,
    ScoreMoments,
)
from scorefold.cluster.match.bases import StoredBases, StoredMaskBases
from scorefold.cluster.run import Run, RunReference, keys_with_failures, not_superseded, unfinished
from scorefold.errors import InputError, StoreError
from scorefold.io import TargetSource, read_region
from scorefold.planning.content import examine
from scorefold.planning.job import MatchJob, Target, canonical_digest, file_stamp
from scorefold.planning.node import Node
from scorefold.planning.plan import Plan
from scorefold.planning.planner import search_template
from scorefold.rotations import rotation_cells, rotation_spacing
from scorefold.scoring.cell_filters import CellFilters
from scorefold.scoring.compressed import CompressedEngine
from scorefold.scoring.engine import Engine, ExactEngine
from scorefold.scoring.fft import FourierProvider, provider
from scorefold.scoring.score import Score, TargetTile, get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile
from scorefold.store import RunStore, check_free

Read = Callable[[tuple[slice, ...]], NDArray[Any]]

TARGETS = "job/targets.json"
PLAN = "job/plan.json"
FAILURES = "job/unreadable.json"

OUTPUTS = ("find_candidates-", "refine-", "call_picks-", "render-", "report-", "tables-")
"""How the keys begin of what depends on the pick options."""


class MatchRun(Run):
    """A search: store, job, plan, template, rotation set; expensive parts are made when first used.

    Parameters
    ----------
    store : RunStore
        Where the run is stored.
    """

    kind = "match"

    def __init__(self, store: RunStore) -> None:
        super().__init__(store)
        self._content: dict[tuple[str, tuple[int, int] | None], str] = {}
        location = store.location
        try:
            targets = json.loads(self.store.read_given(TARGETS) or b"null")
            plan = json.loads(self.store.read_given(PLAN) or b"null")
            self.job = MatchJob.from_json(
                self.store.attributes["job"], [Target.from_json(t) for t in targets]
            )
            self.plan = Plan.from_json(plan)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f'run "{location}": its job cannot be read ({error!r}).') from None
        if self.job.fingerprint != self.store.fingerprint:
            raise StoreError(
                f'run "{location}": the stored job has fingerprint {self.job.fingerprint[:12]}, the run '
                f"{self.store.fingerprint[:12]}. The store was changed by hand; start a new run."
            )

    @cached_property
    def reference(self) -> RunReference:
        """How tasks refer to this run."""
        revision = canonical_digest({"plan": self.plan.to_json(), "picks": asdict(self.job.picks)})
        return RunReference(self.store.location, self.store.fingerprint, revision)

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Index of every target by its name."""
        return {target.name: index for index, target in enumerate(self.job.targets)}

    @cached_property
    def rotations(self) -> NDArray[np.float64]:
        """The rotation set."""
        return self.store.read_array("rotations", self.job.rotations)

    @cached_property
    def rotation_table(self) -> RotationTable:
        """The rotation set as analyzers use it, shared by the tiles of a leaf."""
        return RotationTable(self.rotations)

    @cached_property
    def template_values(self) -> NDArray[np.float64]:
        """The template as the user gave it."""
        return self.store.read_array("template", self.job.template)

    @cached_property
    def mask(self) -> NDArray[np.float32]:
        """The template mask."""
        return self.store.read_array("mask", self.job.mask)

    @cached_property
    def target_mask(self) -> NDArray[Any]:
        """Where targets count, for a search that has such a mask."""
        return self.store.read_array("target_mask", self.job.target_mask or "")

    @cached_property
    def template(self) -> Template:
        """The template as the engine rotates it."""
        return search_template(self.template_values, self.mask, self.rotations, self.job.search)

    @cached_property
    def score(self) -> Score:
        """The score."""
        return get_score(self.job.search.score)

    @cached_property
    def transforms(self) -> FourierProvider:
        """The Fourier provider with the plan's wisdom."""
        return provider(self.job.search.fft, self.plan.wisdom)

    def reader(self, target: Target) -> Read:
        """Return what reads regions of a target, from its file or from the run's own copy."""
        if target.source["format"] == "stored":
            array = zarr.open_array(self.store.zarr_store, path=target.source["path"], mode="r")
            stored: Read = lambda region: np.asarray(array[region])  # noqa: E731
            self._check_content(target, stored, None)  # a chunk that was lost reads as zeros
            return stored
        source = TargetSource.from_json(target.source)
        read = partial(read_region, source)
        stamp = file_stamp(source.path)
        if stamp is not None and target.stamp is not None and stamp != target.stamp:
            self._check_content(target, read, stamp)
        return read

    def _check_content(self, target: Target, read: Read, stamp: tuple[int, int] | None) -> None:
        """Refuse what was written again since the run was planned, unless its pixels are the same."""
        if (target.name, stamp) not in self._content:
            try:
                digest = examine(read, target.shape, target.name).digest
            except InputError:  # as they are now, they would not have been taken
                digest = ""
            self._content[target.name, stamp] = digest
        found = self._content[target.name, stamp]
        if found != target.digest:
            now = f"is {found[:16]}…, and " if found else ""
            raise InputError(
                f'target "{target.name}": its pixels changed after the run was planned: their SHA-256 {now}'
                f"was {target.digest[:16]}…. Put them back and resume, or start a new run."
            )

    @property
    def compressed(self) -> bool:
        """Whether score maps are synthesised from bases."""
        return self.job.search.engine == "compressed"

    @cached_property
    def filters(self) -> CellFilters:
        """The cells of the rotation set and their filters, for the compressed engine."""
        if self.job.search.cell_angle is None:
            raise ValueError("a search without cells")
        turned = self.plan.cell_turns > 1
        cells = rotation_cells(self.rotations, self.job.search.cell_angle, turned=turned)
        return CellFilters(self.template, self.rotations, self.score, cells)

    @cached_property
    def refining_step(self) -> float:
        """Degrees by which rotations are turned at first to refine them; 0 where they stay as they are."""
        # A single rotation was asked for as it is.
        refines = self.job.picks.refine and len(self.rotations) > 1
        return rotation_spacing(self.rotations) / 2 if refines else 0.0

    @cached_property
    def residuals(self) -> tuple[float, float]:
        """Root mean square of the residuals of all bases, and the largest one."""
        return self.bases.residuals()

    @cached_property
    def bases(self) -> StoredBases:
        """The committed bases of the cells, for the compressed engine."""
        return StoredBases(self.store, self.plan, self.filters)

    @cached_property
    def finer_bases(self) -> StoredBases:
        """The committed bases by which candidates are looked at."""
        return StoredBases(self.store, self.plan, self.filters, "finer")

    @cached_property
    def mask_bases(self) -> StoredMaskBases:
        """The committed bases of masks that turn with the template."""
        return StoredMaskBases(self.store, self.plan, self.filters)

    def engine(self, fft_shape: tuple[int, ...]) -> Engine:
        """Return the engine for one transform shape."""
        exact = self.exact_engine(fft_shape)
        if not self.compressed:
            return exact
        return CompressedEngine(exact, self.filters, self.bases.of_cell, self.mask_bases.of_cell)

    def exact_engine(self, fft_shape: tuple[int, ...]) -> ExactEngine:
        """Return the exact engine for one transform shape."""
        return ExactEngine(
            self.template,
            self.rotations,
            self.score,
            self.transforms,
            fft_shape,
            dtype=self.job.search.dtype,
            pad_edges=self.job.search.pad_edges,
        )

    def analyzer(self, tile: Tile) -> AnalyzerProduct:
        """Return the analyzer of one tile: the best score over rotations, and the moments of all scores."""
        return AnalyzerProduct(
            self.maximum(tile), ApproximateScoreMoments() if self.compressed else ScoreMoments()
        )

    def maximum(self, tile: Tile) -> MaxScoreOverRotations:
        """Return the analyzer of the best score of one tile over rotations."""
        return MaxScoreOverRotations(
            tile.shape,
            offset=np.array(tile.start),
            score_threshold=self.job.search.score_threshold,
            rotations=self.rotation_table,
            dtype=self.job.search.dtype,
        )

    def pixels(self, target: Target, tile: Tile) -> TargetTile:
        """Read what a tile needs of its target."""
        read_weights: Read | None = None
        if self.job.target_mask is not None:
            read_weights = lambda region: self.target_mask[region]  # noqa: E731
        return tile.read(
            self.reader(target),
            self.template.box,
            mean=target.mean,
            std=target.std,
            margin=self.score.margin,
            pad_edges=self.job.search.pad_edges,
            read_weights=read_weights,
        )

    def region(self, batch: int) -> str:
        """Return the name of a batch in coverages."""
        return f"batch-{batch}"

    def whole_coverage(self, batch: int) -> Coverage:
        """Return what the root of a batch must cover."""
        return Coverage.of(self.region(batch), 0, self.plan.step_count)

    # What there is to do.

    @property
    def memory_limit(self) -> int:
        """Bytes that the work of a worker may take."""
        return self.plan.memory_limit

    @property
    def title(self) -> str:
        """What is searched for in how many targets."""
        targets = len(self.job.targets)
        return f"{self.job.labels['template']} in {targets:,} target{'' if targets == 1 else 's'}"

    def totals(self, *, render: bool) -> dict[str, int]:
        """Return the number of pieces of work by stage."""
        targets = len(self.job.targets)
        return {
            "compress": len(self.plan.compress_nodes()),
            "score_leaf": self.plan.leaf_count,
            "merge": self.plan.merge_count,
            "write_result": self.plan.write_count,
            "find_candidates": targets,
            "refine": self.plan.batch_count,
            "call_picks": targets,
            "render": targets if render else 0,
            "report": 1,
        }

    def missing(self, committed: set[str], *, render: bool) -> Iterator[Node]:
        """Yield the work that is neither committed nor superseded; see `Run.missing`."""
        yield from self._missing_bases(committed)
        options = self.job.picks.digest
        next_batch = refined = 0
        waiting: deque[int] = deque()
        for target in self.plan.target_order():
            stop = self.plan.batches_of(target).stop
            for batch in range(next_batch, stop):
                write = self.plan.write_node(batch)
                if write.key not in committed:
                    yield from unfinished(self.plan.search_nodes(batch), write.inputs, committed)
                    yield write
            next_batch = max(next_batch, stop)
            waiting.append(target)
            later = [self.plan.candidate_node(target, options)]
            # The last batch may have tiles of the next target, too.
            complete = stop if self.plan.targets_of(stop - 1)[-1] == target else stop - 1
            later += [self.plan.refine_node(batch, options) for batch in range(refined, complete)]
            refined = max(refined, complete)
            while waiting and self.plan.batches_of(waiting[0]).stop <= refined:
                later.append(self.plan.pick_node(waiting[0], options))
                if render:
                    later.append(self.plan.render_node(waiting[0], options))
                waiting.popleft()
            yield from (node for node in later if node.key not in committed)
        report = self.plan.report_node(options, render=render)
        if report.key not in committed:
            yield report

    def _missing_bases(self, committed: set[str]) -> Iterator[Node]:
        """Yield the bases that are not committed, unless nothing needs them any more."""
        missing = [node for node in self.plan.compress_nodes() if node.key not in committed]
        if missing and not self._bases_are_used(committed):
            yield from missing

    def _bases_are_used(self, committed: set[str]) -> bool:
        """Tell whether all that bases are read for is done: maps and exact scores of candidates."""
        options = self.job.picks.digest
        return all(
            self.plan.write_node(batch).key in committed
            and self.plan.refine_node(batch, options).key in committed
            for batch in range(self.plan.batch_count)
        )

    def needed(self) -> set[str]:
        """Return the keys that are still needed; see `Run.needed`.

        Partials of a batch are superseded by the record of its result maps, and by the merge that united them; bases
        by the last picks that were scored with them.
        """
        committed = self.store.committed()
        started = committed | self.store.checkpoints()
        done = (
            ("score_leaf-", "merge_", "compress-")
            if self._bases_are_used(committed)
            else ("score_leaf-", "merge_")
        )
        needed = {key for key in committed if not key.startswith(done)}
        for batch in range(self.plan.batch_count):
            write = self.plan.write_node(batch)
            if write.key in committed:
                needed.add(write.key)
            else:
                needed |= not_superseded(self.plan.search_nodes(batch), committed, started)
        return needed

    def writers_of(self, file: str) -> Iterator[str]:
        """Yield the keys of the work that may have written a file; see `Run.writers_of`."""
        options = self.job.picks.digest
        index = self.index_of.get(file.removeprefix("figures/").removesuffix(".png"))
        if index is not None:
            yield self.plan.render_node(index, options).key
        for render in (True, False):
            yield self.plan.report_node(options, render=render).key

    def unreadable(self) -> dict[str, str]:
        """Return the targets that were left out when the job was made, with the reason."""
        found: dict[str, str] = json.loads(self.store.read_given(FAILURES) or b"{}")
        return found

    def failures(self) -> dict[str, str]:
        """Return every target that could not be searched, refined or drawn, with the reason."""
        found = self.unreadable()
        options = self.job.picks.digest
        for index, target in enumerate(self.job.targets):
            for node in (self.plan.pick_node(index, options), self.plan.render_node(index, options)):
                record = self.store.read_commit(node.key)
                told = {} if record is None else record.summary
                if "failure" in told or "not_refined" in told:
                    found[target.name] = told.get("failure") or told["not_refined"]
        return found

    def give_up(self, node: Node, reason: str) -> bool:
        """Do without the picture of a target that cannot be drawn; see `Run.give_up`."""
        if node.stage != "render":
            return False
        self.store.commit(node.key, summary={"failure": f"searched, but not drawn: {reason}"})
        return True

    def given(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what the run was given: also arrays, and targets that were arrays; see `Run.given`."""
        yield from super().given()
        arrays = {name: getattr(self.job, name) for name in ("template", "mask", "rotations", "target_mask")}
        for name, digest in arrays.items():
            if digest is not None:
                yield name, partial(self.store.read_array, name, digest)
        for target in self.job.targets:
            if target.source["format"] == "stored":
                yield target.source["path"], partial(self.reader, target)

    def retry_failed(self) -> "MatchRun":
        """Put the batches up again whose targets could not be read, in case they can be read by now."""
        check_free(self.store)
        failed = keys_with_failures(self.store, ("score_leaf-", "merge_", "write_result-", "refine-"))
        if failed:
            self.store.forget(failed)
            self.forget_outputs()
        elif undrawn := self._undrawn():
            report = self.plan.report_node(self.job.picks.digest, render=True).key
            self.store.forget([*undrawn, report])
        return MatchRun(RunStore(self.store.location))

    def _undrawn(self) -> list[str]:
        """Return the keys of pictures that could not be drawn of targets that were searched."""
        found = []
        for key in self.store.committed():
            if key.startswith("render-"):
                record = self.store.read_commit(key)
                if record is not None and "failure" in record.summary:
                    found.append(key)
        return found

    def forget_outputs(self) -> None:
        """Remove picks, tables, pictures and the report, so that none is left that does not belong to the others."""
        committed = self.store.committed()
        self.store.forget(key for key in committed if key.startswith(OUTPUTS))
        for name in ("tables", "figures"):
            self.store.blobs.delete_below(name)
        self.store.blobs.delete("report.html")
