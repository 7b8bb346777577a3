"""What runs over images have in common: job, plan, the table of images, and reading one."""

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import Coverage
from scorefold.cluster.run import Run, RunReference, keys_with_failures, one_line
from scorefold.errors import DamagedPartialError, InputError, StoreError
from scorefold.io import read_target
from scorefold.planning.image_plan import ImagePlan
from scorefold.planning.images import ImageEntry, ImageTable
from scorefold.planning.job import canonical_digest, file_stamp
from scorefold.store import RunStore

IMAGES = "job/images.parquet"
PLAN = "job/plan.json"


class ImageJob(Protocol):
    """What all jobs over images have."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides the results."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON values."""
        ...


Job = TypeVar("Job", bound=ImageJob)


class ImageRun(Run):
    """A run over many images.

    Parameters
    ----------
    store : RunStore
        Where the run is stored.
    """

    job_type: ClassVar[Any]

    def __init__(self, store: RunStore) -> None:
        super().__init__(store)
        try:
            self.job = self.job_type.from_json(store.attributes["job"])
            self.plan = ImagePlan.from_json(json.loads(store.read_given(PLAN) or b"null"))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f'run "{store.location}": its job cannot be read ({error!r}).') from None
        if self.job.fingerprint != store.fingerprint:
            raise StoreError(
                f'run "{store.location}": the stored job has fingerprint {self.job.fingerprint[:12]}, the run '
                f"{store.fingerprint[:12]}. The store was changed by hand; start a new run."
            )

    @cached_property
    def reference(self) -> RunReference:
        """How tasks refer to this run."""
        revision = canonical_digest({"plan": self.plan.to_json(), "job": self.job.to_json()})
        return RunReference(self.store.location, self.store.fingerprint, revision)

    @cached_property
    def images(self) -> ImageTable:
        """The images, by id."""
        return ImageTable(self.store.read_given(IMAGES) or b"")

    def array(self, name: str) -> NDArray[Any]:
        """Return an array of the job, verified."""
        return self.store.read_array(f"arrays/{name}", self.job.arrays[name])

    def given(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what the run was given: also the arrays of the job; see `Run.given`."""
        yield from super().given()
        for name in self.job.arrays:
            yield f"arrays/{name}", partial(self.array, name)

    @property
    @abstractmethod
    def region(self) -> str:
        """Name of the data set in coverages."""

    def covered(self, leaf: int) -> Coverage:
        """Return the coverage of a leaf."""
        images = self.plan.images_of(leaf)
        return Coverage.of(self.region, images.start, images.stop)

    @property
    def whole(self) -> Coverage:
        """Coverage of all images."""
        return Coverage.of(self.region, 0, self.plan.image_count)

    def read_image(self, entry: ImageEntry) -> NDArray[Any]:
        """Return the pixels of an image.

        Raises
        ------
        InputError
            If it could not be listed, was changed since, is larger than planned for, or cannot be read.
        """
        if entry.failure:
            raise InputError(entry.failure)
        pixels = entry.source.shape[0] * entry.source.shape[1]
        if pixels > self.plan.max_pixels:
            raise InputError(
                f"it has {pixels / 1e6:.0f} million pixels, and {self.plan.max_pixels / 1e6:.0f} fit the memory limit"
            )
        stamp = file_stamp(entry.source.path)
        if entry.stamp is not None and stamp is not None and stamp != entry.stamp:
            raise InputError(
                f"the file changed after the run was planned ({_of_stamp(stamp)}; was {_of_stamp(entry.stamp)})"
            )
        return np.asarray(read_target(entry.source))

    def failures_of(self, key: str) -> dict[str, str]:
        """Return the images that failed in a piece of work, with the reasons; none if it is not done."""
        try:
            record = self.store.read_commit(key)
        except DamagedPartialError:
            return {}  # found and repaired by whoever needs it
        return {} if record is None else dict(record.summary.get("failures", {}))

    def keys_to_retry(self, prefixes: tuple[str, ...]) -> set[str]:
        """Return the committed keys with one of the prefixes in which images failed that may be readable by now."""
        for_good = self.unreadable().keys()
        failed = keys_with_failures(self.store, prefixes)
        return {key for key in failed if not self.failures_of(key).keys() <= for_good}

    def unreadable(self) -> dict[str, str]:
        """Return the images whose headers could not be read."""
        return {entry.name: entry.failure for entry in self.images if entry.failure}


def _of_stamp(stamp: tuple[int, int]) -> str:
    """Return size and time of the last change of a file in words."""
    size, changed = stamp
    return f"{size:,} bytes of {datetime.fromtimestamp(changed / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def reason(error: BaseException, name: str) -> str:
    """Return an error of an image in one line, without the image's name."""
    return one_line(error).removeprefix(f'target "{name}": ').removeprefix("image: ")
