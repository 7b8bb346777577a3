"""Coverage: which rotations (or images) of which region a state has folded."""

import json
from dataclasses import dataclass
from itertools import pairwise

from scorefold.errors import InputError

Interval = tuple[int, int]


@dataclass(frozen=True)
class Coverage:
    """The ids of one region that have been folded, each exactly once.

    Parameters
    ----------
    region : str
        Name of the tile batch or data set.
    ids : tuple of (int, int)
        Half-open intervals of ids, ``start <= id < stop``, with ``0 <= start < stop``, sorted, and neither
        overlapping nor touching: one set of ids has one form. `Coverage.of` and `union` keep that form.

    Raises
    ------
    InputError
        If the intervals are not in that form.

    Examples
    --------
    >>> first, second = Coverage.of("tile-0", 0, 10), Coverage.of("tile-0", 10, 16)
    >>> first.union(second)
    Coverage(region='tile-0', ids=((0, 16),))
    >>> first.missing(0, 16)
    [(10, 16)]
    """

    region: str
    ids: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        increasing = all(0 <= start < stop for start, stop in self.ids)
        if not increasing or any(stop >= start for (_, stop), (start, _) in pairwise(self.ids)):
            raise InputError(
                f"coverage of {self.region!r}: intervals {self.ids} are not sorted, disjoint and merged; "
                "build them with Coverage.of and union"
            )

    @classmethod
    def of(cls, region: str, start: int, stop: int) -> "Coverage":
        """Return the coverage of the ids ``start <= id < stop``; empty if both are equal."""
        if not 0 <= start <= stop:
            raise InputError(f"coverage of {region!r}: [{start}, {stop}) is not an interval of ids")
        return cls(region, ((int(start), int(stop)),) if start < stop else ())

    @classmethod
    def empty(cls, region: str) -> "Coverage":
        """Return the coverage of nothing: the identity of `union`."""
        return cls(region)

    @property
    def count(self) -> int:
        """Number of ids covered."""
        return sum(stop - start for start, stop in self.ids)

    def union(self, other: "Coverage") -> "Coverage":
        """Return the coverage of both.

        Raises
        ------
        InputError
            If the regions differ, or an id is covered by both: folding it twice would be an error.
        """
        self._require_same_region(other)
        joined: list[Interval] = []
        for start, stop in sorted(self.ids + other.ids):
            if joined and start < joined[-1][1]:
                raise InputError(
                    f"coverages {self} and {other} overlap at [{start}, {min(stop, joined[-1][1])}); "
                    "merge each part once"
                )
            if joined and start == joined[-1][1]:
                joined[-1] = (joined[-1][0], stop)
            else:
                joined.append((start, stop))
        return Coverage(self.region, tuple(joined))

    def covers(self, other: "Coverage") -> bool:
        """Whether every id of `other`, which must be of the same region, is covered."""
        self._require_same_region(other)
        return all(not self.missing(start, stop) for start, stop in other.ids)

    def missing(self, start: int, stop: int) -> list[Interval]:
        """Return the intervals of ``start <= id < stop`` that are not covered, in order."""
        gaps: list[Interval] = []
        reached = start
        for covered_start, covered_stop in self.ids:
            if reached < min(covered_start, stop):
                gaps.append((reached, min(covered_start, stop)))
            reached = max(reached, covered_stop)
        if reached < stop:
            gaps.append((reached, stop))
        return gaps

    def to_json(self) -> str:
        """Return the coverage as JSON text; equal coverages give equal text."""
        return json.dumps({"region": self.region, "ids": self.ids}, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Coverage":
        """Return the coverage that `to_json` wrote or raise `InputError`."""
        try:
            fields = json.loads(text)
            ids = tuple((int(start), int(stop)) for start, stop in fields["ids"])
            return cls(str(fields["region"]), ids)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"coverage {text!r}: not as to_json writes it ({error})") from error

    def _require_same_region(self, other: "Coverage") -> None:
        if self.region != other.region:
            raise InputError(
                f"coverages {self} and {other} are of different regions; merge within one region"
            )
