"""For authors of extensions: test classes that prove an analyzer and a store, strategies, planted truth, and faults.

The test classes and the strategies need `hypothesis` and `pytest`, which the extra ``scorefold[test]`` brings.
They are imported when they are asked for, so that `scorefold.testing.planting` and
`scorefold.testing.faults` do without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorefold.testing.analyzer_tests import AnalyzerTests
    from scorefold.testing.store_tests import StoreTests
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
    "StoreTests",
    "merge_along",
    "merge_trees",
    "observations",
    "rotation_matrices",
    "rotation_stacks",
    "score_maps",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"AnalyzerTests": "analyzer_tests", "StoreTests": "store_tests"}.get(name, "strategies")
    return getattr(import_module(f"{__name__}.{module}"), name)
