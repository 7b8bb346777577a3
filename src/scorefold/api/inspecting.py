"""Inspecting from Python: `train` learns from good images, `inspect` and `inspect_maps` find what is wrong."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scorefold.api.inspection import Inspection
from scorefold.api.model import Model, open_model
from scorefold.api.running import OnProgress, as_sequence, check_options, measure_texts, new_location
from scorefold.cluster import (
    create_inspection,
    create_training,
    drive,
    executor,
)
from scorefold.errors import InputError
from scorefold.planning.inspect_job import MeasureOptions
from scorefold.planning.inspect_request import InspectRequest, TrainRequest
from scorefold.planning.prepare_inspect import prepare_inspect, prepare_train

MEASURE = tuple(field.name for field in dataclasses.fields(MeasureOptions))


def train(
    images: Any = (),
    *,
    add: Sequence[Model | str | Path] = (),
    out: str | Path | None = None,
    client: object | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    render: bool = True,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Model:
    """Learn from good images what an image looks like, and how much it varies.

    Parameters
    ----------
    images : path or sequence of paths
        Good images: files, directories or globs; a stack is a batch of images. None are needed with `add`.
    add : sequence of Model or path
        Models whose images are learned, too; they must have been learned in the same way.
    out : path, optional
        Where the training is stored; a new directory (or URL). Default: a new temporary directory.
    client, scheduler, workers
        Who works; see `scorefold.match`.
    render : bool
        Whether pictures are made.
    on_progress : callable, optional
        Told after every piece of work.
    **options
        The fields of `scorefold.planning.inspect_request.TrainRequest`: `method`, `template`, `tolerance`, ….

    Returns
    -------
    Model
        For `inspect`.

    Raises
    ------
    InputError
        If an input or option cannot be used.
    StoreError
        If the training could not be finished; it can be resumed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> surface = rng.integers(60, 180, size=(32, 40))
    >>> def photograph():
    ...     return np.rint(surface + rng.normal(0, 2, surface.shape)).astype(np.uint8)
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "good.npy", [photograph() for _ in range(8)])
    >>> model = train(folder / "good.npy", render=False)
    >>> model
    <Model: standard model of 8 images, at ...>
    >>> lot = np.array([photograph() for _ in range(3)])
    >>> lot[1, 10:14, 20:26] += 60
    >>> np.save(folder / "lot.npy", lot)
    >>> found = inspect(folder / "lot.npy", model, render=False)
    >>> found.images[["name", "verdict"]].to_numpy().tolist()
    [['lot_0', 'OK'], ['lot_1', 'NG'], ['lot_2', 'OK']]
    >>> found.defects[["name", "y0", "x0", "y1", "x1", "polarity"]].to_numpy().tolist()
    [['lot_1', 10, 20, 14, 26, 'bright']]
    """
    check_options(options, TrainRequest, {"images", "add", "workers"})
    paths = _paths("images", images)
    added = [open_model(model.location if isinstance(model, Model) else model) for model in add]
    location = new_location(out)
    with executor(scheduler=scheduler, workers=workers, client=client) as (working, _):
        request = TrainRequest(images=paths, add=added, workers=working.workers, **options)
        run = create_training(location, prepare_train(request))
        drive(run, working, render=render, on_progress=on_progress)
    return Model(location)


def inspect(
    images: Any,
    model: Model | str | Path,
    *,
    out: str | Path | None = None,
    client: object | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    render: bool = True,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Inspection:
    """Find what is wrong in images: compare them with a model.

    Parameters
    ----------
    images : path or sequence of paths
        Files, directories or globs; a stack is a batch of images.
    model : Model or path
        What `train` made.
    out : path, optional
        Where the run is stored; a new directory (or URL). Default: a new temporary directory.
    client, scheduler, workers
        Who works; see `scorefold.match`.
    render : bool
        Whether pictures and the report are made.
    on_progress : callable, optional
        Told after every piece of work.
    **options
        `threshold` and `min_area`; `masks` or `labels` of what is known; the fields of
        `scorefold.planning.inspect_request.InspectRequest`: `polarity`, `export`, `precision`, ….

    Returns
    -------
    Inspection
        With lazy `images`, `defects` and score maps.

    Raises
    ------
    InputError
        If an input or option cannot be used.
    StoreError
        If the model is not finished, or the run could not be finished; it can be resumed.

    Examples
    --------
    See `scorefold.train`.
    """
    request = _request(options, images=_paths("images", images))
    request["model"] = open_model(model.location if isinstance(model, Model) else model)
    return _inspect(request, out, client, scheduler, workers, on_progress, render=render)


def inspect_maps(
    maps: Any,
    *,
    images: Any = (),
    out: str | Path | None = None,
    client: object | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    render: bool = True,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Inspection:
    """Find defects in the anomaly maps of another tool; high scores are anomalous.

    Parameters
    ----------
    maps : path or sequence of paths
        Files, directories or globs: npy, npz, TIFF, PNG, Zarr; a stack is a batch of maps.
    images : path or sequence of paths
        The images of the maps, named as they are; for pictures only.
    out, client, scheduler, workers, render, on_progress
        As in `inspect`.
    **options
        As in `inspect`. Without labels or masks `threshold` must be a score.

    Returns
    -------
    Inspection
        As `inspect` gives.

    Raises
    ------
    InputError
        If an input or option cannot be used.
    StoreError
        If the run could not be finished; it can be resumed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> maps = np.zeros((2, 24, 32), np.float32)
    >>> maps[1, 5:9, 10:16] = 0.8
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.savez(folder / "maps.npz", first=maps[0], second=maps[1])
    >>> found = inspect_maps(folder / "maps.npz", threshold=0.5, kernel_size=0, render=False)
    >>> found.images[["name", "verdict", "area"]].to_numpy().tolist()
    [['maps_first', 'OK', 0], ['maps_second', 'NG', 24]]
    >>> int(found.mask("maps_second").sum())
    24
    """
    request = _request(options, maps=_paths("maps", maps), images=_paths("images", images))
    return _inspect(request, out, client, scheduler, workers, on_progress, render=render)


def _request(options: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """Return the fields of an `InspectRequest`."""
    measure = {name: options[name] for name in MEASURE if name in options}
    others = {name: value for name, value in options.items() if name not in MEASURE}
    own = {"images", "maps", "model", "measure", "workers", "truth_table"}
    known = {field.name for field in dataclasses.fields(InspectRequest)} - own | {"labels", *MEASURE}
    unknown = set(options) - known
    if unknown:
        raise InputError(f"option {min(unknown)}: unknown. Use {', '.join(sorted(known))}.")
    others["truth_table"] = others.pop("labels", None)
    others["export"] = tuple(as_sequence(others.get("export", ())))
    return {**others, **inputs, "measure": MeasureOptions(**measure_texts(measure))}


def _inspect(
    request: dict[str, Any],
    out: str | Path | None,
    client: object | None,
    scheduler: str | None,
    workers: int | None,
    on_progress: OnProgress | None,
    *,
    render: bool,
) -> Inspection:
    location = new_location(out)
    with executor(scheduler=scheduler, workers=workers, client=client) as (working, _):
        prepared = prepare_inspect(InspectRequest(**request, workers=working.workers))
        run = create_inspection(location, prepared)
        drive(run, working, render=render, on_progress=on_progress)
    return Inspection(location)


def _paths(name: str, inputs: Any) -> Sequence[Any]:
    paths = as_sequence(inputs)
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise InputError(
                f"{name}: {type(path).__name__} is no path. Give files, directories or globs; numpy.save makes a file "
                "of an array."
            )
    return paths
