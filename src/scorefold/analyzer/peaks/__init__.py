"""Peak callers: the best positions of score maps, far enough from each other."""

from scorefold.analyzer.peaks.caller import PeakCaller, PeakState
from scorefold.analyzer.peaks.candidates import PeakCandidates
from scorefold.analyzer.peaks.finders import (
    PeakCallerFast,
    PeakCallerMaximumFilter,
    PeakCallerRecursiveMasking,
    PeakCallerScipy,
    PeakCallerSort,
    PeakClustering,
    maximum_radius,
)
from scorefold.analyzer.peaks.selection import Peaks

__all__ = [
    "PeakCaller",
    "PeakCallerFast",
    "PeakCallerMaximumFilter",
    "PeakCallerRecursiveMasking",
    "PeakCallerScipy",
    "PeakCallerSort",
    "PeakCandidates",
    "PeakClustering",
    "PeakState",
    "Peaks",
    "maximum_radius",
]
