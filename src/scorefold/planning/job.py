"""The job: what is searched for where and how, as frozen values with one canonical form and fingerprint."""

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from scorefold.errors import InputError
from scorefold.io.listing import is_object
from scorefold.object_stores import is_url, object_status

Threshold = float | str

LOWPASS_VALUES = "give a part of the Nyquist frequency, between 0 and 1, or auto."


@dataclass(frozen=True)
class SearchOptions:
    """How score maps are made; a change of any of these is another search.

    Attributes
    ----------
    score : str
        Name of the score ("auto" was resolved).
    order : int
        Interpolation order of the template's rotation, 1 or 3.
    lowpass : float or None
        Cutoff of the template's detail, as a part of the Nyquist frequency ("auto" was resolved).
    precision : str
        "single" or "double": working precision of the correlation.
    fft : str
        Name of the Fourier provider.
    pad_edges : bool
        Extend targets by reflection, so that templates reaching over the border are scored too.
    score_threshold : float
        Positions whose best score is not above it are recorded as this value with rotation -1.
    engine : str
        "exact" or "compressed" ("auto" was resolved).
    tolerance : float or None
        Of the compressed engine: largest root mean square residual of a cell's basis.
    cell_angle : float or None
        Of the compressed engine: spacing of the cells' centres in degrees.
    """

    score: str
    order: int = 3
    lowpass: float | None = None
    precision: str = "single"
    fft: str = "scipy"
    pad_edges: bool = False
    score_threshold: float = 0.0
    engine: str = "exact"
    tolerance: float | None = None
    cell_angle: float | None = None

    def __post_init__(self) -> None:
        """Refuse values outside of their range."""
        if self.precision not in ("single", "double"):
            raise InputError(f'precision "{self.precision}": use single or double.')
        if self.lowpass is not None and not 0 < self.lowpass < 1:
            raise InputError(f"lowpass {self.lowpass:g}: {LOWPASS_VALUES}")
        if not math.isfinite(self.score_threshold):
            raise InputError(f"score threshold {self.score_threshold}: give a finite number.")
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise InputError(f"tolerance {self.tolerance:g}: give a number between 0 and 1.")
        if self.cell_angle is not None and not 0 < self.cell_angle <= 90:
            raise InputError(f"cell angle {self.cell_angle:g}: give degrees, more than 0 and at most 90.")

    @property
    def description(self) -> str:
        """Score and engine, for people."""
        of_what = self.score
        if self.lowpass is not None:
            of_what += f", template low-passed at {self.lowpass:g} of Nyquist"
        if self.engine == "exact":
            return of_what
        return f"{of_what}, {self.engine} to {self.tolerance:g} in cells of {self.cell_angle:g}°"

    @property
    def dtype(self) -> str:
        """Working dtype."""
        return "float32" if self.precision == "single" else "float64"


@dataclass(frozen=True)
class PickOptions:
    """How positions are picked from the finished maps; changing these costs no new search.

    Attributes
    ----------
    threshold : float or "auto"
        Lowest score of a pick, or "auto": the score that `false_positives` of all tested (position, rotation)
        pairs would exceed by chance if scores were normally distributed.
    false_positives : float
        Expected number of false positives per target for the automatic threshold.
    min_distance : float
        Smallest distance between two picks in voxels.
    boundary : int
        Picks closer to the border of the target than this many voxels are dropped.
    top : int or None
        At most this many picks per target.
    subpixel : bool
        Refine positions by a parabola through the neighbouring scores.
    refine : bool
        Refine rotations between those of the rotation set.
    """

    threshold: Threshold = "auto"
    false_positives: float = 1.0
    min_distance: float = 1.0
    boundary: int = 0
    top: int | None = None
    subpixel: bool = True
    refine: bool = True

    def __post_init__(self) -> None:
        """Refuse values outside of their range."""
        if isinstance(self.threshold, str):
            if self.threshold != "auto":
                raise InputError(f'threshold "{self.threshold}": give a number or auto.')
        elif not math.isfinite(self.threshold):
            raise InputError(f"threshold {self.threshold}: give a finite number or auto.")
        if not (math.isfinite(self.false_positives) and self.false_positives > 0):
            raise InputError(f"false positives {self.false_positives:g}: give a positive number.")
        if not (math.isfinite(self.min_distance) and self.min_distance >= 0):
            raise InputError(f"minimum distance {self.min_distance:g}: give a distance in voxels, 0 or more.")
        if self.boundary < 0:
            raise InputError(f"boundary {self.boundary}: give a number of voxels, 0 or more.")
        if self.top is not None and self.top < 1:
            raise InputError(f"top {self.top}: give a number of picks, 1 or more.")

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that name these options in keys."""
        return canonical_digest(asdict(self))[:8]


@dataclass(frozen=True)
class Target:
    """One target of a job with what its content was found to be.

    Attributes
    ----------
    source : mapping
        Where the pixels are (a `scorefold.io.TargetSource` as JSON).
    name : str
        Name in results and tables.
    shape : tuple of int
        (y, x) or (z, y, x).
    digest : str
        SHA-256 of the pixels.
    mean, std : float
        Of all pixels.
    pixel_size : tuple of float or None
        Per axis, in `pixel_unit`.
    stamp : (int, int) or None
        `file_stamp` of the file when it was examined.
    """

    name: str
    shape: tuple[int, ...]
    digest: str
    mean: float
    std: float
    source: Mapping[str, Any]
    pixel_size: tuple[float, ...] | None = None
    pixel_unit: str | None = None
    stamp: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the target as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        pairs = {name: tuple(value[name]) if value[name] else None for name in ("pixel_size", "stamp")}
        return cls(**{**value, **pairs, "shape": tuple(value["shape"])})


def file_stamp(path: str) -> tuple[int, int] | None:
    """Return size and time of the last change (ns) of a file or object; None if there is none, or a Zarr store."""
    if is_url(path) and not is_object(path):
        return None
    try:
        if is_url(path):
            return object_status(path).stamp
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


@dataclass(frozen=True)
class MatchJob:
    """A search of targets for one template.

    The template, its mask, the rotation set and an optional target mask are arrays of the run's store; the
    job holds their digests.

    Attributes
    ----------
    template, mask, rotations : str
        SHA-256 digests.
    target_mask : str or None
        SHA-256 digest of the target mask.
    template_shape : tuple of int
        Shape of the template.
    rotation_count : int
        Length of the rotation set.
    search : SearchOptions
        How score maps are made.
    picks : PickOptions
        How positions are picked from them.
    labels : mapping of str to str
        How the user named things (template file, mask, rotation set), for reports only.
    targets : tuple of Target
        What is searched.
    """

    template: str
    mask: str
    rotations: str
    template_shape: tuple[int, ...]
    rotation_count: int
    search: SearchOptions
    picks: PickOptions
    targets: tuple[Target, ...]
    target_mask: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def half_voxel(self) -> tuple[float, ...]:
        """How far the rotation centre lies beyond its position's index: half a voxel for templates of even size."""
        return tuple(((n - 1) % 2) / 2 for n in self.template_shape)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides the score maps: digests of all contents and the search options."""
        search = asdict(self.search)
        if search["lowpass"] is None:  # as when there was none: earlier runs stay what they are
            del search["lowpass"]
        return canonical_digest(
            {
                "kind": "match",
                "template": self.template,
                "mask": self.mask,
                "rotations": self.rotations,
                "target_mask": self.target_mask,
                "search": search,
                "targets": [[t.name, list(t.shape), t.digest] for t in self.targets],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return the job without its targets as JSON values."""
        value = asdict(replace(self, targets=()))
        del value["targets"]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any], targets: Sequence[Target]) -> Self:
        """Read what `to_json` wrote."""
        known = {f.name for f in fields(cls)}
        return cls(
            **{
                **{name: item for name, item in value.items() if name in known},
                "template_shape": tuple(value["template_shape"]),
                "search": SearchOptions(**value["search"]),
                "picks": PickOptions(**value["picks"]),
                "targets": tuple(targets),
            }
        )


def canonical_digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form: sorted keys, no spaces, shortest float texts.

    Examples
    --------
    >>> canonical_digest({"b": 1, "a": 2.5})[:12] == canonical_digest({"a": 2.5, "b": 1})[:12]
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
