"""Learning a model as a run: what is folded, merged and learned, and the model it leaves."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from scorefold.analyzer import ScoreMoments
from scorefold.analyzer.statistics import ScoreHistogram
from scorefold.cluster.inspect.image_run import ImageRun
from scorefold.cluster.inspect.states import Analyzers, Arrays, Results, pack, read_whole, unpack
from scorefold.cluster.run import not_superseded, unfinished
from scorefold.errors import StoreError
from scorefold.inspection.inspector import Inspector
from scorefold.inspection.learned import LearnedModel
from scorefold.inspection.recipe import METHODS, Recipe
from scorefold.planning.image_plan import merged
from scorefold.planning.inspect_job import TrainJob
from scorefold.planning.node import Node, merge_count
from scorefold.store import RunStore, check_free

LEARN = "learn-model"
REPORT = "report-model"

WITH_FAILURES = ("fold_images-", "merge_images", "calibrate-")
"""Beginnings of the keys of work whose records list images that failed."""


class Learned(NamedTuple):
    """What a training learned.

    Attributes
    ----------
    attempt : str
        Of the record, by which it is told from what was learned before.
    inspector : Inspector
        What compares images with it.
    failures : mapping of str to str
        Images that are not part of it, with the reasons.
    images : int
        Number of images that are, those of added models included.
    """

    attempt: str
    inspector: Inspector
    failures: Mapping[str, str]
    images: int


class TrainRun(ImageRun):
    """Learning a model from good images.

    Parameters
    ----------
    store : RunStore
        Where the run is stored.
    """

    kind = "train"
    job_type = TrainJob
    job: TrainJob

    def __init__(self, store: RunStore) -> None:
        super().__init__(store)
        self._learned: Learned | None = None

    @property
    def memory_limit(self) -> int:
        """Bytes that the work of a worker may take."""
        return self.plan.memory_limit

    @property
    def title(self) -> str:
        """What is learned from how many images."""
        return f"{self.job.recipe.method} model of {self.job.image_count:,} images"

    @property
    def region(self) -> str:
        """Name of the data set in coverages."""
        return "good-images"

    @property
    def recipe(self) -> Recipe:
        """How the model is learned."""
        return self.job.recipe

    def fold_analyzers(self, band: int) -> Analyzers:
        """Return what folds a band of rows of the good images."""
        return {"band": METHODS[self.recipe.method].analyzer(self.recipe, self.recipe.bands[band])}

    @cached_property
    def calibration_analyzers(self) -> Analyzers:
        """Return what folds the scores of the good images."""
        return calibration_analyzers()

    @cached_property
    def aligner(self) -> Inspector:
        """What aligns images, before anything is learned."""
        names = [name for name in self.job.arrays if not name.startswith("added")]
        return Inspector(self.recipe, {name: self.array(name) for name in names}, self.job.location)

    def learned(self) -> Learned:
        """Return what was learned, verified; anew if it was learned again."""
        record = self.store.read_commit(LEARN)
        if self._learned is None or record is None or self._learned.attempt != record.attempt:
            arrays, record = self.store.read_partial(LEARN)
            inspector = Inspector(self.recipe, {**self.aligner.arrays, **arrays}, self.job.location)
            self._learned = Learned(
                record.attempt, inspector, record.summary["failures"], record.summary["images"]
            )
        return self._learned

    # What there is to do.

    def _folds(self, band: int) -> tuple[list[Node], str]:
        """Return the work on a band, and the key of its result."""
        if not self.plan.leaf_count:
            return [], ""
        leaves = [
            Node(node.stage, node.key, node.inputs, batch=node.batch, target=band)
            for node in self.plan.leaves(f"fold_images-band{band:04d}")
        ]
        merges, root = merged("merge_images", leaves, f"band{band:04d}")
        return [*leaves, *(Node(m.stage, m.key, m.inputs, target=band) for m in merges)], root

    def band_root(self, band: int) -> str:
        """Return the key of what was folded of a band; empty if there were no images."""
        return self._folds(band)[1]

    def _calibrations(self) -> tuple[list[Node], str]:
        leaves = self.plan.leaves("calibrate", after=(LEARN,))
        if not leaves:
            return [], ""
        merges, root = merged("merge_calibrations", leaves, "all")
        return [*leaves, *merges], root

    @property
    def calibration_root(self) -> str:
        """Key of the scores of all good images; empty if there were no images."""
        return self._calibrations()[1]

    def totals(self, *, render: bool) -> dict[str, int]:  # noqa: ARG002
        """Return the number of pieces of work by stage."""
        leaves, bands = self.plan.leaf_count, len(self.recipe.bands)
        return {
            "fold_images": leaves * bands,
            "merge_images": merge_count(leaves) * bands,
            "learn": 1,
            "calibrate": leaves,
            "merge_calibrations": merge_count(leaves),
            "report": 1,
        }

    def missing(self, committed: set[str], *, render: bool) -> Iterator[Node]:  # noqa: ARG002
        """Yield the work that is neither committed nor superseded; see `Run.missing`."""
        roots = []
        for band in range(len(self.recipe.bands)):
            nodes, root = self._folds(band)
            if root:
                roots.append(root)
                yield from unfinished(nodes, [root], committed)
        if LEARN not in committed:
            yield Node("learn", LEARN, tuple(roots))
        nodes, root = self._calibrations()
        needed = [root] if root else []
        if REPORT not in committed:  # which reads the scores of every leaf
            needed += [node.key for node in nodes if node.stage == "calibrate"]
        yield from unfinished(nodes, needed, committed)
        if REPORT not in committed:
            yield Node("report", REPORT, (LEARN, *needed))

    def writers_of(self, file: str) -> Iterator[str]:  # noqa: ARG002
        """Yield the keys of the work that may have written a file; see `Run.writers_of`."""
        yield REPORT

    def needed(self) -> set[str]:
        """Return the keys that are still needed: also what was folded, which a later training adds to."""
        committed = self.store.committed()
        needed = {key for key in committed if not key.startswith(("fold_images-", "merge_"))}
        folds = (self._folds(band) for band in range(len(self.recipe.bands)))
        for nodes, root in (*folds, self._calibrations()):
            needed |= not_superseded(nodes, committed, committed) | ({root} & committed)
        return needed

    def failures(self) -> dict[str, str]:
        """Return the good images that could not be used."""
        found = self.unreadable()
        for key in sorted(self.store.committed()):
            if key.startswith(WITH_FAILURES):
                found |= self.failures_of(key)
        return found

    def retry_failed(self) -> "TrainRun":
        """Learn again if images could not be read, in case they can be by now."""
        check_free(self.store)
        if self.keys_to_retry(WITH_FAILURES):
            self.store.forget(self.store.committed())
            for name in ("tables", "figures"):
                self.store.blobs.delete_below(name)
            self.store.blobs.delete("report.html")
        return TrainRun(RunStore(self.store.location))

    def model(self) -> LearnedModel:
        """Return the model that was learned.

        Raises
        ------
        StoreError
            If the run is not finished.
        """
        committed = self.store.committed()
        root = self.calibration_root
        if LEARN not in committed or (root and root not in committed):
            raise StoreError(
                f'model "{self.store.location}": its training is not finished. Go on with: '
                f"scorefold resume {self.store.location}"
            )
        learned = self.learned()
        return LearnedModel(
            fingerprint=self.store.fingerprint,
            recipe=self.recipe,
            location=self.job.location,
            arrays=learned.inspector.arrays,
            good=pack(self.calibration_analyzers, self.good_scores()),
            image_count=learned.images,
            folded=lambda band: self.fold_analyzers(band)["band"].to_arrays(self.folded(band)),
        )

    def folded(self, band: int) -> Any:
        """Return what was folded of a band: of the images, and of the models that were added."""
        analyzer = self.fold_analyzers(band)["band"]
        parts = [analyzer.from_arrays(self._added(number, f"band{band}")) for number in self._models]
        root = self.band_root(band)
        if root:
            parts.insert(0, read_whole(self.store, root, {"band": analyzer}, self.whole)["band"])
        return analyzer.merge(parts)

    def good_scores(self) -> Results:
        """Return the scores of the good images: of this training, and of the models that were added."""
        analyzers = self.calibration_analyzers
        parts = [unpack(analyzers, self._added(number, "good")) for number in self._models]
        root = self.calibration_root
        if root:
            parts.insert(0, read_whole(self.store, root, analyzers, self.whole))
        return {name: analyzers[name].merge([part[name] for part in parts]) for name in analyzers}

    @property
    def _models(self) -> range:
        return range(len(self.job.added))

    def _added(self, number: int, what: str) -> Arrays:
        """Return the arrays of a model that was added."""
        prefix = f"added{number}/{what}/"
        return {
            name.removeprefix(prefix): self.array(name) for name in self.job.arrays if name.startswith(prefix)
        }


def calibration_analyzers() -> Analyzers:
    """Return what folds the scores of good images: their pixels' scores, and one score each."""
    return {
        "pixels": ScoreHistogram("float16"),
        "images": ScoreHistogram("float16"),
        "moments": ScoreMoments(),
    }
