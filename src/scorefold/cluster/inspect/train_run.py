"""Learning a model as a run: what is folded, merged and learned, and the model it leaves."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from scorefold.analyzer import ScoreMoments
from scorefold.analyzer.statistics import ScoreHistogram
from scorefold.cluster.inspect.image_run import ImageRun
from scorefold.cluster.inspect.states import Analyzers, Arrays, Results, pack, read_results, unpack
from scorefold.cluster.run import keys_with_failures, unfinished
from scorefold.errors import DamagedPartialError, StoreError
from scorefold.inspection.inspector import Inspector
from scorefold.inspection.learned import LearnedModel
from scorefold.inspection.recipe import METHODS, Recipe
from scorefold.planning.image_plan import merged
from scorefold.planning.inspect_job import TrainJob
from scorefold.planning.node import Node, merge_count
from scorefold.store import RunStore

LEARN = "learn-model"
REPORT = "report-model"


class TrainRun(ImageRun):
    """Learning a model from good images."""

    kind = "train"
    job_type = TrainJob
    job: TrainJob

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

    @cached_property
    def inspector(self) -> Inspector:
        """What compares images with what was learned."""
        return Inspector(self.recipe, {**self.aligner.arrays, **self.learned()}, self.job.location)

    def learned(self) -> Arrays:
        """Return what was learned, verified."""
        return self.store.read_partial(LEARN)[0]

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
        if root:
            yield from unfinished(nodes, [root], committed)
        if REPORT not in committed:
            yield Node("report", REPORT, (LEARN, *((root,) if root else ())))

    def needed(self) -> set[str]:
        """Return all committed keys: what was folded is what a later training adds to."""
        return self.store.committed()

    def failures(self) -> dict[str, str]:
        """Return the good images that could not be used."""
        found = self.unreadable()
        committed = self.store.committed()
        for leaf in self.plan.leaves("calibrate"):
            record = self.store.read_commit(leaf.key) if leaf.key in committed else None
            if record is not None:
                found |= record.summary["failures"]
        return found

    def retry_failed(self) -> "TrainRun":
        """Learn again if images could not be read, in case they can be by now."""
        if keys_with_failures(self.store, ("fold_images-", "calibrate-")):
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
        arrays, record = self.store.read_partial(LEARN)
        return LearnedModel(
            fingerprint=self.store.fingerprint,
            recipe=self.recipe,
            location=self.job.location,
            arrays={**self.aligner.arrays, **arrays},
            good=pack(self.calibration_analyzers, self.good_scores()),
            states=[
                self.fold_analyzers(band)["band"].to_arrays(self.folded(band))
                for band in range(len(self.recipe.bands))
            ],
            image_count=int(record.summary["images"]),
        )

    def folded(self, band: int) -> Any:
        """Return what was folded of a band: of the images, and of the models that were added."""
        analyzer = self.fold_analyzers(band)["band"]
        parts = [analyzer.from_arrays(self._added(number, f"band{band}")) for number in self._models]
        root = self.band_root(band)
        if root:
            results, coverage, _ = read_results(self.store, root, {"band": analyzer})
            if coverage.count != self.job.image_count:
                raise DamagedPartialError(root, f"it covers {coverage}, not every image")
            parts.insert(0, results["band"])
        return analyzer.merge(parts)

    def good_scores(self) -> Results:
        """Return the scores of the good images: of this training, and of the models that were added."""
        analyzers = self.calibration_analyzers
        parts = [unpack(analyzers, self._added(number, "good")) for number in self._models]
        root = self.calibration_root
        if root:
            parts.insert(0, read_results(self.store, root, analyzers)[0])
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
