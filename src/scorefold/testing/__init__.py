"""For authors of extensions: test classes and Hypothesis strategies that prove the laws of an analyzer.

Needs `hypothesis` and `pytest`, which the extra ``scorefold[test]`` brings.
"""

from scorefold.testing.analyzer_tests import AnalyzerTests
from scorefold.testing.strategies import (
    Observation,
    merge_along,
    merge_trees,
    observations,
    rotation_matrices,
    rotation_stacks,
    score_maps,
)

__all__ = [
    "AnalyzerTests",
    "Observation",
    "merge_along",
    "merge_trees",
    "observations",
    "rotation_matrices",
    "rotation_stacks",
    "score_maps",
]
