"""What every task of a run needs, loaded once a process from the store."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from scorefold.analyzer import AnalyzerProduct, Coverage, MaxScoreOverRotations, RotationTable, ScoreMoments
from scorefold.errors import InputError, StoreError
from scorefold.io import TargetSource, read_region
from scorefold.planning.job import MatchJob, Target, canonical_digest, file_stamp
from scorefold.planning.plan import Plan
from scorefold.planning.planner import search_template
from scorefold.scoring.engine import ExactEngine
from scorefold.scoring.fft import FourierProvider, provider
from scorefold.scoring.score import Score, TargetTile, get_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile
from scorefold.store import RunStore

Read = Callable[[tuple[slice, ...]], NDArray[Any]]

TARGETS = "job/targets.json"
PLAN = "job/plan.json"
FAILURES = "job/unreadable.json"


@dataclass(frozen=True)
class RunReference:
    """What a task is told of its run: where it is, and what must be found there.

    Attributes
    ----------
    location : str
        Absolute directory, or URL.
    fingerprint : str
        Of the job.
    revision : str
        Digest of plan and pick options; with others, keys of one job name other work.
    """

    location: str
    fingerprint: str
    revision: str


class RunContext:
    """A run as a task sees it: store, job, plan, template, rotation set; expensive parts are made when first used.

    Parameters
    ----------
    location : str
        Where the run is stored.
    """

    def __init__(self, location: str) -> None:
        # Workers may have another working directory.
        self.store = RunStore(location if "://" in location else str(Path(location).absolute()))
        try:
            targets = json.loads(self.store.blobs.get(TARGETS) or b"null")
            plan = json.loads(self.store.blobs.get(PLAN) or b"null")
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
            return lambda region: np.asarray(array[region])
        source = TargetSource.from_json(target.source)
        stamp = file_stamp(source.path)
        if stamp is not None and target.stamp is not None and stamp != target.stamp:
            raise InputError(
                f'target "{target.name}": the file changed after the run was planned. Put it back and resume, '
                "or start a new run."
            )
        return lambda region: read_region(source, region)

    def engine(self, fft_shape: tuple[int, ...]) -> ExactEngine:
        """Return the engine for one transform shape."""
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
            MaxScoreOverRotations(
                tile.shape,
                offset=np.array(tile.start),
                score_threshold=self.job.search.score_threshold,
                rotations=self.rotation_table,
                dtype=self.job.search.dtype,
            ),
            ScoreMoments(),
        )

    def pixels(self, target: Target, tile: Tile) -> TargetTile:
        """Read what a tile needs of its target."""
        read_weights: Read | None = None
        if self.job.target_mask is not None:
            mask = zarr.open_array(self.store.zarr_store, path="target_mask", mode="r")
            read_weights = lambda region: np.asarray(mask[region])  # noqa: E731
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
        return Coverage.of(self.region(batch), 0, self.plan.rotation_count)


def unreadable_targets(run: RunContext) -> dict[str, str]:
    """Return the targets that were left out when the job was made, with the reason."""
    found: dict[str, str] = json.loads(run.store.blobs.get(FAILURES) or b"{}")
    return found


_contexts: dict[str, RunContext] = {}


def context(reference: RunReference) -> RunContext:
    """Return the context of a run, from this process's memory if it is the run used last.

    Parameters
    ----------
    reference : RunReference
        The run; another one at the same place is not mistaken for it.

    Raises
    ------
    StoreError
        If another run is stored there.
    """
    known = _contexts.get(reference.location)
    if known is None or known.reference != reference:
        known = RunContext(reference.location)
        if known.reference != reference:
            raise StoreError(
                f'run "{reference.location}": it is not the one that was submitted. '
                "Was the folder replaced, or were its picks called anew meanwhile? Submit again."
            )
        _contexts.clear()
        _contexts[reference.location] = known
    return known
