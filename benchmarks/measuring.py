"""Timing candidates in turn, and the tables that result."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

Timer = Callable[[], float]
"""Does the work once and returns seconds per unit."""

THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
"""Environment of every process that is measured: one thread each."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    name : str
        What was measured.
    seconds : float
        Median per unit.
    times : mapping of str to float
        How many times as long as the row the others took, by name: the medians of both, from one run.
    note : str
        Conditions that differ.
    """

    name: str
    seconds: float
    times: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Table:
    """What one benchmark found.

    Attributes
    ----------
    title : str
        What was compared, with sizes.
    unit : str
        Of which `Row.seconds` are the seconds: "rotation", "image".
    rows : sequence of Row
        Candidates.
    remarks : sequence of str
        What a reader must know.
    """

    title: str
    unit: str
    rows: Sequence[Row]
    remarks: Sequence[str] = ()

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        others = list(dict.fromkeys(name for row in self.rows for name in row.times))
        head = ["", f"ms per {self.unit}", *(f"÷ {name}" for name in others), "conditions"]
        lines = [f"### {self.title}", "", _line(head), _line(["---"] + ["---:"] * (len(head) - 2) + ["---"])]
        for row in self.rows:
            ratios = [f"{row.times[name]:.2f}" if name in row.times else "" for name in others]
            lines.append(_line([row.name, f"{row.seconds * 1e3:.3g}", *ratios, row.note]))
        return "\n".join([*lines, "", *(f"{remark}\n" for remark in self.remarks)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def alternate(timers: Mapping[str, Timer], repeats: int) -> dict[str, float]:
    """Run all timers in turn, `repeats` times, after a first round that is not counted; return the medians."""
    found: dict[str, list[float]] = {name: [] for name in timers}
    for number in range(repeats + 1):
        for name, timer in timers.items():
            seconds = timer()
            if number:
                found[name].append(seconds)
    return {name: statistics.median(values) for name, values in found.items()}


def compare(medians: Mapping[str, float], against: Sequence[str], notes: Mapping[str, str]) -> list[Row]:
    """Return one row a candidate, each with its ratio to those it is compared with."""
    return [
        Row(
            name,
            seconds,
            {other: seconds / medians[other] for other in against if other in medians},
            notes.get(name, ""),
        )
        for name, seconds in medians.items()
    ]


def seconds_per_call(work: Callable[[], object], calls: int) -> float:
    """Return the mean duration of a call over a few in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def machine() -> str:
    """Return what the numbers were measured on."""
    cores = len(os.sched_getaffinity(0))
    packages = (
        "scorefold",
        "numpy",
        "scipy",
        "numba",
        "zarr",
        "distributed",
        "opencv-python-headless",
        "pyfftw",
    )
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return f"{_processor()}, {cores} cores; Python {platform.python_version()}, {', '.join(found)}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return models[0]
    except (OSError, IndexError):
        return platform.machine()
