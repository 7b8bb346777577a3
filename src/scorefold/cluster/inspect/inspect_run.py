"""An inspection as a run: what is scored, evaluated, measured and drawn, and what depends on what."""

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal

from numpy.typing import NDArray

from scorefold.analyzer import Moments, ScoreMoments
from scorefold.analyzer.statistics import Histogram, LabelledHistogram, RegionHistogram, ScoreHistogram
from scorefold.cluster.inspect.image_run import ImageRun
from scorefold.cluster.inspect.scoring import anomaly_scores
from scorefold.cluster.inspect.states import Analyzers, Results, unpack
from scorefold.cluster.inspect.train_run import calibration_analyzers
from scorefold.cluster.run import not_superseded, unfinished
from scorefold.errors import StoreError
from scorefold.inspection.inspector import Inspector
from scorefold.planning.image_plan import merged
from scorefold.planning.images import ImageTable
from scorefold.planning.inspect_job import InspectJob
from scorefold.planning.node import Node, merge_count
from scorefold.planning.truth import TruthTable
from scorefold.store import RunStore, check_free
from scorefold.store.image_maps import ImageMaps

PICTURES = "job/pictures.parquet"


def truth_path(digest: str) -> str:
    """Return where the run holds what is known of the images, by its SHA-256."""
    return f"job/truth-{digest[:16]}.parquet"


SHEETS = ("worst", "borderline", "good")
"""The sheets that are drawn: images with the highest scores, with scores next to the threshold, and others."""

OUTPUTS = ("set_threshold-", "measure-", "render-", "report-", "tables-")
"""Beginnings of the keys of what follows from the threshold."""


class InspectRun(ImageRun):
    """An inspection of images with a model, or of the maps of another tool."""

    kind = "inspect"
    job_type = InspectJob
    job: InspectJob

    @property
    def memory_limit(self) -> int:
        """Bytes that the work of a worker may take."""
        return self.plan.memory_limit

    @property
    def title(self) -> str:
        """What is inspected."""
        return f"{self.job.image_count:,} {'maps' if self.job.source == 'maps' else 'images'} inspected"

    @property
    def region(self) -> str:
        """Name of the data set in coverages."""
        return "images"

    # What tasks need.

    @cached_property
    def inspector(self) -> Inspector:
        """What compares images with the model."""
        if self.job.recipe is None:
            raise StoreError(f'run "{self.store.location}": maps of another tool have no model.')
        names = [name for name in self.job.arrays if not name.startswith("good_")]
        return Inspector(self.job.recipe, {name: self.array(name) for name in names}, self.job.location)

    @cached_property
    def score_analyzers(self) -> Analyzers:
        """Return what folds score maps: the scores of all pixels, and one score an image."""
        return {"pixels": ScoreHistogram(self.job.dtype), "images": ScoreHistogram(self.job.dtype)}

    @cached_property
    def evaluation_analyzers(self) -> Analyzers:
        """Return what folds score maps with what is known of them."""
        dtype = self.job.dtype
        return {
            "pixels": LabelledHistogram(dtype),
            "images": LabelledHistogram(dtype),
            "regions": RegionHistogram(dtype),
            "normal_images": RegionHistogram(dtype),
            "good_moments": ScoreMoments(),
        }

    @cached_property
    def truths(self) -> TruthTable | None:
        """What is known of every image; None if nothing is known of any.

        Raises
        ------
        StoreError
            If it is missing or damaged.
        """
        if not self.job.truth:
            return None
        data = self.store.blobs.get(truth_path(self.job.truth))
        if data is None or hashlib.sha256(data).hexdigest() != self.job.truth:
            raise StoreError(
                f'run "{self.store.location}": what is known of its images is missing or damaged. Give masks or '
                "labels again: scorefold evaluate."
            )
        return TruthTable(data)

    def given(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what the run was given: also what is known of its images; see `Run.given`."""
        yield from super().given()
        if self.job.truth:
            yield truth_path(self.job.truth), lambda: self.truths

    @cached_property
    def pictures(self) -> ImageTable | None:
        """The images that belong to maps, by the ids of the maps."""
        data = self.store.read_given(PICTURES)
        return None if data is None else ImageTable(data)

    def good_scores(self) -> tuple[Histogram, Moments] | None:
        """Return the scores of the images that the model was learned from; None for maps."""
        arrays = {
            name.removeprefix("good_"): self.array(name) for name in self.job.arrays if name[:5] == "good_"
        }
        if not arrays:
            return None
        results: Results = unpack(calibration_analyzers(), arrays)
        return results["images"], results["moments"]

    @property
    def polarity(self) -> str | None:
        """What counts in score maps; None if they hold anomaly scores."""
        return None if self.job.source == "maps" else self.job.polarity

    def anomaly(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return anomaly scores, higher for what is more anomalous, from score maps."""
        return anomaly_scores(scores, self.polarity)

    def polarity_of(self, bright: object) -> Literal["bright", "dark"] | None:
        """Return what a defect is called by the sign of its peak; None where scores have no sign."""
        if not self.job.signed:
            return None
        return "bright" if bright else "dark"

    def map_path(self, leaf: int, what: str) -> str:
        """Return the path of the array with the maps of a leaf's images: "scores" or "masks"."""
        return f"results/shape-{self.plan.group_index(leaf)}/{what}"

    def create_maps(self, leaf: int, what: str) -> tuple[ImageMaps, dict[str, str]]:
        """Create the array with the maps of a leaf's images unless it is there.

        Parameters
        ----------
        leaf : int
            The leaf.
        what : {"scores", "masks"}
            Which maps.

        Returns
        -------
        maps : ImageMaps
            The array.
        files : dict of str to str
            SHA-256 of its description by name; nothing is created, and described, for images without a size.
        """
        group = self.plan.group_of(leaf)
        maps = ImageMaps(self.store, self.map_path(leaf, what))
        if not all(group.shape):
            return maps, {}
        dtype = self.job.dtype if what == "scores" else "uint8"
        return maps, maps.create((group.count, *group.shape), group.chunk_images, dtype)

    # What there is to do.

    def _scores(self) -> tuple[list[Node], str]:
        leaves = self.plan.leaves("score_images")
        merges, root = merged("merge_scores", leaves, "all")
        return [*leaves, *merges], root

    def _evaluation(self) -> tuple[list[Node], str]:
        """Return the work on what is known of the images, and the key of its result; none if nothing is known."""
        if not self.job.truth:
            return [], ""
        known = self.job.truth[:8]
        leaves = self.plan.leaves(f"evaluate-{known}", each_after="score_images")
        merges, root = merged("merge_evaluations", leaves, known)
        return [*leaves, *merges], root

    @property
    def score_root(self) -> str:
        """Key of the statistics of all score maps."""
        return self._scores()[1]

    @property
    def evaluation_root(self) -> str:
        """Key of what all images' labels and masks tell; empty if nothing is known."""
        return self._evaluation()[1]

    @property
    def threshold_key(self) -> str:
        """Key of the threshold."""
        return f"set_threshold-{self.job.measure_digest}"

    def measure_key(self, leaf: int) -> str:
        """Key of the defects and verdicts of a leaf's images."""
        return f"measure-{self.job.measure_digest}-{leaf:07d}"

    def score_key(self, leaf: int) -> str:
        """Key of the score maps of a leaf's images."""
        return f"score_images-{leaf:07d}"

    def sheet_key(self, sheet: str) -> str:
        """Key of the pictures of a sheet."""
        return f"render-{self.job.measure_digest}-{sheet}"

    def totals(self, *, render: bool) -> dict[str, int]:
        """Return the number of pieces of work by stage."""
        leaves = self.plan.leaf_count
        known = bool(self.job.truth)
        return {
            "score_images": leaves,
            "merge_scores": merge_count(leaves),
            "evaluate": leaves if known else 0,
            "merge_evaluations": merge_count(leaves) if known else 0,
            "set_threshold": 1,
            "measure": leaves,
            "render": len(SHEETS) if render else 0,
            "report": 1,
        }

    def missing(self, committed: set[str], *, render: bool) -> Iterator[Node]:
        """Yield the work that is neither committed nor superseded; see `Run.missing`."""
        options = self.job.measure_digest
        report = f"{'report' if render else 'tables'}-{options}"
        thresholded = self.threshold_key in committed
        scores, root = self._scores()
        leaves = tuple(node.key for node in scores if node.stage == "score_images")
        # The maps of every leaf are needed, whatever has become of its statistics.
        yield from unfinished(scores, leaves if thresholded else (root, *leaves), committed)
        evaluation, evaluated = self._evaluation()
        if not thresholded or report not in committed:
            yield from unfinished(evaluation, [evaluated], committed)
        known = (evaluated,) if evaluated else ()
        if not thresholded:
            yield Node("set_threshold", self.threshold_key, (root, *known))
        measures = self.plan.leaves(
            f"measure-{options}", after=(self.threshold_key,), each_after="score_images"
        )
        yield from (node for node in measures if node.key not in committed)
        # What is read is an input, though something in between depends on it: it may have to be done again.
        last = (*leaves, *known, self.threshold_key, *(node.key for node in measures))
        if render:
            sheets = [Node("render", self.sheet_key(sheet), last) for sheet in SHEETS]
            yield from (node for node in sheets if node.key not in committed)
            last = (*last, *(node.key for node in sheets))
        if report not in committed:
            yield Node("report", report, last)

    def writers_of(self, file: str) -> Iterator[str]:
        """Yield the keys of the work that may have written a file; see `Run.writers_of`."""
        yield from (self.sheet_key(sheet) for sheet in SHEETS if file.startswith(f"figures/{sheet}-"))
        yield from (f"{last}-{self.job.measure_digest}" for last in ("report", "tables"))

    def needed(self) -> set[str]:
        """Return the keys that are still needed: of all but merged statistics, which the threshold follows from."""
        committed = self.store.committed()
        mergeable = ("merge_scores", "merge_evaluations", "evaluate-")
        needed = {key for key in committed if not key.startswith(mergeable)}
        for nodes, root in (self._scores(), self._evaluation()):
            if root:
                needed |= not_superseded(nodes, committed, committed) | ({root} & committed)
        return needed

    def failures(self) -> dict[str, str]:
        """Return the images that could not be inspected, or evaluated; one that does not show the part is neither."""
        found = self.unreadable()
        for leaf in range(self.plan.leaf_count):
            found |= self.failures_of(self.score_key(leaf))
        return {**self.evaluation_failures(), **found}

    def evaluation_failures(self) -> dict[str, str]:
        """Return the images whose masks could not be used, with the reasons."""
        return self.failures_of(self.evaluation_root) if self.evaluation_root else {}

    def retry_failed(self) -> "InspectRun":
        """Put the images and masks up again that could not be read, in case they can be read by now."""
        check_free(self.store)
        failed = self.keys_to_retry(("score_images-",))
        if failed or self.evaluation_failures():
            merges = {key for key in self.store.committed() if key.startswith(("merge_", "evaluate-"))}
            self.store.forget(failed | merges)
            self.forget_outputs()
        return InspectRun(RunStore(self.store.location))

    def give_up(self, node: Node, reason: str) -> bool:  # noqa: ARG002
        """Do without a sheet that cannot be drawn; see `Run.give_up`."""
        if node.stage != "render":
            return False
        self.store.commit(node.key, summary={"files": {}})
        return True

    def forget_outputs(self) -> None:
        """Remove everything that follows from the threshold, so that nothing of an old one is left."""
        self.store.forget(key for key in self.store.committed() if key.startswith(OUTPUTS))
        masks = [f"results/shape-{index}/masks" for index in range(len(self.plan.groups))]
        for name in ("tables", "figures", "export", *masks):
            self.store.blobs.delete_below(name)
        self.store.blobs.delete("report.html")
