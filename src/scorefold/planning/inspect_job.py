"""Jobs of inspection: learning a model from good images, and inspecting images or the maps of another tool."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from scorefold.errors import InputError
from scorefold.inspection.inspector import Location
from scorefold.inspection.polarity import check_polarity
from scorefold.inspection.recipe import Recipe
from scorefold.inspection.threshold_rules import ThresholdRule
from scorefold.planning.job import canonical_digest

AUTO = "auto"
"""The threshold above which less than one of many good images lies; see `MeasureOptions`."""


@dataclass(frozen=True)
class TrainJob:
    """Learning a model from good images.

    Attributes
    ----------
    images : str
        `images_digest` of the good images.
    image_count : int
        How many there are.
    recipe : Recipe
        How the model is learned.
    location : Location or None
        How parts are located.
    arrays : mapping of str to str
        SHA-256 of the arrays that come with the job: "template", "template_mask", "reference".
    added : tuple of str
        Fingerprints of the models whose images are learned, too.
    labels : mapping of str to str
        How the user named things, for reports only.
    """

    images: str
    image_count: int
    recipe: Recipe
    location: Location | None = None
    arrays: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides the model."""
        value = self.to_json()
        del value["labels"]
        return canonical_digest({"kind": "train", **value})

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON values."""
        return {
            "images": self.images,
            "image_count": self.image_count,
            "recipe": self.recipe.to_json(),
            "location": None if self.location is None else self.location.to_json(),
            "arrays": dict(self.arrays),
            "added": list(self.added),
            "labels": dict(self.labels),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        location = value["location"]
        return cls(
            **{
                **value,
                "recipe": Recipe.from_json(value["recipe"]),
                "location": None if location is None else Location.from_json(location),
                "added": tuple(value["added"]),
            }
        )


@dataclass(frozen=True)
class MeasureOptions:
    """How defects and verdicts follow from score maps; changing these computes no map anew.

    Attributes
    ----------
    threshold : str
        "auto", or a `ThresholdRule`. "auto" is 1, where a model's own tolerance ends, but no less than the mean plus
        three standard deviations of the scores of good images.
    min_area : int
        Defects of fewer pixels are left out; an image with none left is good.
    """

    threshold: str = AUTO
    min_area: int = 1

    def __post_init__(self) -> None:
        """Refuse values outside of their range."""
        if self.threshold != AUTO:
            ThresholdRule.parse(self.threshold)
        if self.min_area < 1:
            raise InputError(f"minimum area {self.min_area}: give a number of pixels, 1 or more.")

    @property
    def needs_labels(self) -> bool:
        """Whether the threshold follows from labelled images."""
        return self.threshold != AUTO and ThresholdRule.parse(self.threshold).kind == "f1"

    @property
    def needs_good_images(self) -> bool:
        """Whether the threshold follows from the scores of good images."""
        return self.threshold == AUTO or ThresholdRule.parse(self.threshold).kind in (
            "quantile",
            "sigma",
            "false_positives",
        )


@dataclass(frozen=True)
class InspectJob:
    """Inspecting images with a model, or the anomaly maps of another tool.

    Attributes
    ----------
    images : str
        `images_digest` of what is inspected: images, or maps.
    image_count : int
        How many there are.
    source : {"model", "maps"}
        Whether score maps are computed, or read.
    recipe : Recipe or None
        Of the model.
    location : Location or None
        How parts are located.
    model : str
        Fingerprint of the model; empty for maps.
    arrays : mapping of str to str
        SHA-256 of the arrays that come with the job: what the model learned, and its calibration.
    polarity : str
        What counts as anomalous.
    kernel_size : int
        Radius of the opening that removes specks, in pixels; 0 for none.
    precision : {"half", "single"}
        Of the score maps in the store.
    truth : str
        Digest of what is known of the images; empty if nothing is.
    export : tuple of str
        What is written as files beside the store: "maps", "masks".
    measure : MeasureOptions
        How defects and verdicts follow.
    labels : mapping of str to str
        How the user named things, for reports only.
    """

    images: str
    image_count: int
    source: Literal["model", "maps"]
    recipe: Recipe | None = None
    location: Location | None = None
    model: str = ""
    arrays: Mapping[str, str] = field(default_factory=dict)
    polarity: str = "both"
    kernel_size: int = 1
    precision: Literal["half", "single"] = "half"
    truth: str = ""
    export: tuple[str, ...] = ()
    measure: MeasureOptions = MeasureOptions()
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values outside of their range."""
        (check_polarity if self.recipe is None else self.recipe.check_polarity)(self.polarity)
        if self.kernel_size < 0:
            raise InputError(f"kernel size {self.kernel_size}: give a radius in pixels, 0 or more.")
        if self.precision not in ("half", "single"):
            raise InputError(f'precision "{self.precision}": use half or single.')
        for name in self.export:
            if name not in ("maps", "masks"):
                raise InputError(f'export "{name}": use maps or masks.')

    @property
    def signed(self) -> bool:
        """Whether scores tell what is brighter than allowed, positive, from what is darker, negative."""
        return self.recipe is not None and self.recipe.signed

    @property
    def dtype(self) -> str:
        """Type of the score maps."""
        return "float16" if self.precision == "half" else "float32"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides the score maps."""
        value = self.to_json()
        for name in ("labels", "measure", "truth", "export"):
            del value[name]
        return canonical_digest({"kind": "inspect", **value})

    @property
    def measure_digest(self) -> str:
        """Eight hexadecimal digits that name, in keys, how defects and verdicts follow from the maps."""
        options = {"measure": asdict(self.measure), "truth": self.truth, "export": list(self.export)}
        return canonical_digest(options)[:8]

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON values."""
        value = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            **value,
            "recipe": None if self.recipe is None else self.recipe.to_json(),
            "location": None if self.location is None else self.location.to_json(),
            "arrays": dict(self.arrays),
            "export": list(self.export),
            "measure": asdict(self.measure),
            "labels": dict(self.labels),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            **{
                **value,
                "recipe": None if value["recipe"] is None else Recipe.from_json(value["recipe"]),
                "location": None if value["location"] is None else Location.from_json(value["location"]),
                "export": tuple(value["export"]),
                "measure": MeasureOptions(**value["measure"]),
            }
        )
