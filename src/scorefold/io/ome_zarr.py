"""OME-Zarr 0.5 metadata of a multiscale image."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from scorefold.errors import InputError

_AXIS_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def ome_multiscales_metadata(
    name: str,
    axes: str,
    pixel_size: Sequence[float] | None,
    unit: str | None,
    levels_scale: Sequence[Sequence[float]],
    translation: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Return the attributes that make a Zarr group an OME-Zarr 0.5 image.

    Parameters
    ----------
    name : str
        Name of the image.
    axes : str
        One letter an axis out of t, c, z, y, x, in this order.
    pixel_size : sequence of float or None
        Size of a pixel of level 0 along each axis; None for 1.
    unit : str or None
        Unit of the spatial axes, such as angstrom or micrometer.
    levels_scale : sequence of sequence of float
        For each level, finest first, how many pixels of level 0 a pixel spans along each axis. Level i is the
        array named ``str(i)`` in the group.
    translation : sequence of float, optional
        Position of the centre of the first pixel of level 0, in `unit`; by default the origin.

    Returns
    -------
    dict
        The group's attributes. A pixel of a coarser level is placed at the centre of the block it spans.

    Raises
    ------
    InputError
        If axes are unknown, lengths do not agree, or a level is finer than the one before it.

    References
    ----------
    OME-NGFF specification 0.5, sections "axes", "coordinateTransformations" and "multiscales",
    https://ngff.openmicroscopy.org/0.5/

    Examples
    --------
    >>> from scorefold.io import ome_multiscales_metadata
    >>> attributes = ome_multiscales_metadata("scores", "yx", (2.0, 2.0), "angstrom", [(1, 1), (2, 2)])
    >>> attributes["ome"]["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    [{'type': 'scale', 'scale': [4.0, 4.0]}, {'type': 'translation', 'translation': [1.0, 1.0]}]
    """
    order = [list(_AXIS_TYPES).index(axis) if axis in _AXIS_TYPES else -1 for axis in axes]
    if -1 in order or order != sorted(set(order)) or not axes.endswith("yx"):
        raise InputError(
            f'image "{name}": axes "{axes}". Pass letters out of "tczyx" in this order, with y and x.'
        )
    size = [1.0] * len(axes) if pixel_size is None else [float(step) for step in pixel_size]
    origin = [0.0] * len(axes) if translation is None else [float(place) for place in translation]
    levels = [[float(factor) for factor in level] for level in levels_scale]
    if not levels or any(len(values) != len(axes) for values in (size, origin, *levels)):
        raise InputError(f'image "{name}": pixel size, levels and translation need {len(axes)} values each.')
    for finer, coarser in pairwise(levels):
        if any(after < before for before, after in zip(finer, coarser, strict=True)):
            raise InputError(
                f'image "{name}": level {coarser} is finer than {finer}. Pass the finest level first.'
            )
    described = [
        {"name": axis, "type": _AXIS_TYPES[axis]}
        | ({"unit": unit} if unit is not None and _AXIS_TYPES[axis] == "space" else {})
        for axis in axes
    ]
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [
                {"type": "scale", "scale": [step * factor for step, factor in zip(size, level, strict=True)]},
                {
                    "type": "translation",
                    "translation": [
                        place + (factor - 1) / 2 * step
                        for place, step, factor in zip(origin, size, level, strict=True)
                    ],
                },
            ],
        }
        for number, level in enumerate(levels)
    ]
    return {
        "ome": {"version": "0.5", "multiscales": [{"name": name, "axes": described, "datasets": datasets}]}
    }
