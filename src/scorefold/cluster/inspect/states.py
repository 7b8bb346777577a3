"""The states of several analyzers side by side, as one set of arrays in a record."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer import AbstractAnalyzer, Coverage
from scorefold.errors import DamagedPartialError
from scorefold.store import RunStore

Analyzers = Mapping[str, AbstractAnalyzer[Any, Any]]
Results = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


def empty_states(analyzers: Analyzers) -> dict[str, Any]:
    """Return a fresh state of every analyzer."""
    return {name: analyzer.init_state() for name, analyzer in analyzers.items()}


def fold(analyzers: Analyzers, states: dict[str, Any], name: str, scores: Any, **keywords: Any) -> None:
    """Fold scores into the state of one analyzer."""
    states[name] = analyzers[name](states[name], np.asarray(scores), _NO_ROTATION, **keywords)


_NO_ROTATION: NDArray[np.float64] = np.eye(2)


def results_of(analyzers: Analyzers, states: Mapping[str, Any]) -> Results:
    """Return the results of all states."""
    return {name: analyzer.result(states[name]) for name, analyzer in analyzers.items()}


def pack(analyzers: Analyzers, results: Mapping[str, Any]) -> Arrays:
    """Return the arrays of all results, named ``analyzer.field``."""
    return {
        f"{name}.{field}": array
        for name, analyzer in analyzers.items()
        for field, array in analyzer.to_arrays(results[name]).items()
    }


def unpack(analyzers: Analyzers, arrays: Mapping[str, NDArray[Any]]) -> Results:
    """Return the results that `pack` took apart; arrays with other names are passed over."""
    results = {}
    for name, analyzer in analyzers.items():
        own = {key.split(".", 1)[1]: array for key, array in arrays.items() if key.startswith(f"{name}.")}
        results[name] = analyzer.from_arrays(own)
    return results


def read_results(store: RunStore, key: str, analyzers: Analyzers) -> tuple[Results, Coverage, dict[str, Any]]:
    """Return the verified results of a record with its coverage and summary.

    Raises
    ------
    DamagedPartialError
        If it cannot be trusted.
    """
    arrays, record = store.read_partial(key)
    if record.coverage is None:
        raise DamagedPartialError(key, "its record has no coverage")
    return unpack(analyzers, arrays), record.coverage, dict(record.summary)


def read_whole(store: RunStore, key: str, analyzers: Analyzers, whole: Coverage) -> Results:
    """Return the verified results of a record that must cover all images.

    Raises
    ------
    DamagedPartialError
        If it cannot be trusted, or does not cover them.
    """
    results, coverage, _ = read_results(store, key, analyzers)
    if coverage != whole:
        raise DamagedPartialError(key, f"it covers {coverage}, not every image")
    return results


def merge_records(
    store: RunStore, key: str, inputs: Iterable[str], analyzers: Analyzers, region: str
) -> None:
    """Merge the results of records in their order and commit the union, with the failures of all."""
    merged: Results | None = None
    coverage = Coverage.empty(region)
    failures: dict[str, str] = {}
    for part in inputs:
        results, covered, summary = read_results(store, part, analyzers)
        coverage = coverage.union(covered)
        failures |= summary.get("failures", {})
        merged = (
            results
            if merged is None
            else {name: analyzers[name].merge([merged[name], results[name]]) for name in analyzers}
        )
    if merged is None:
        raise ValueError(f"{key}: a merge without inputs")
    store.commit(key, arrays=pack(analyzers, merged), coverage=coverage, summary={"failures": failures})
