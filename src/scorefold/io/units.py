"""Names of length units, and pixel sizes brought to one unit."""

from collections.abc import Mapping

#: Canonical unit names, which are OME-Zarr's, with their length in metres.
METRES = {
    "angstrom": 1e-10,
    "nanometer": 1e-9,
    "micrometer": 1e-6,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "inch": 2.54e-2,
    "meter": 1.0,
}

_SPELLINGS = {
    "å": "angstrom",
    "a": "angstrom",
    "ang": "angstrom",
    "angstroms": "angstrom",
    "nm": "nanometer",
    "nanometre": "nanometer",
    "µm": "micrometer",
    "μm": "micrometer",
    "um": "micrometer",
    "\\u00b5m": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "micrometre": "micrometer",
    "mm": "millimeter",
    "millimetre": "millimeter",
    "cm": "centimeter",
    "centimetre": "centimeter",
    "in": "inch",
    "m": "meter",
    "metre": "meter",
}


def unit_name(text: object) -> str | None:
    """Return the canonical name of a length unit.

    Parameters
    ----------
    text : object
        A unit as files spell it.

    Returns
    -------
    str or None
        The name used throughout scorefold, or None if `text` is no length unit.

    Examples
    --------
    >>> from scorefold.io.units import unit_name
    >>> unit_name("µm"), unit_name("Å"), unit_name("pixel")
    ('micrometer', 'angstrom', None)
    """
    spelled = str(text).strip().lower()
    name = _SPELLINGS.get(spelled, spelled)
    return name if name in METRES else None


def in_one_unit(sizes: Mapping[str, tuple[float, object]]) -> tuple[dict[str, float], str | None]:
    """Express sizes that may differ in unit in the unit of the last axis that has one.

    Parameters
    ----------
    sizes : mapping of str to (float, object)
        Size and unit of a pixel for each axis letter. Sizes that are not positive, and units that are no
        lengths, count as unknown.

    Returns
    -------
    sizes : dict of str to float
        The known sizes.
    unit : str or None
        Their unit; None if no size is known.

    Examples
    --------
    >>> from scorefold.io.units import in_one_unit
    >>> in_one_unit({"Z": (2.0, "µm"), "Y": (500.0, "nm"), "X": (500.0, "nm")})
    ({'Z': 2000.0, 'Y': 500.0, 'X': 500.0}, 'nanometer')
    """
    known = {
        axis: (float(size), name)
        for axis, (size, unit) in sizes.items()
        if (name := unit_name(unit)) is not None and 0 < size < float("inf")
    }
    if not known:
        return {}, None
    _, target = list(known.values())[-1]
    return {axis: size * unit_ratio(unit, target) for axis, (size, unit) in known.items()}, target


def unit_ratio(unit: str, other: str) -> float:
    """Return how many `other` make one `unit`.

    Parameters
    ----------
    unit, other : str
        Canonical names of length units.

    Returns
    -------
    float
        The ratio, rounded to 12 digits: powers of ten come out exact.

    Examples
    --------
    >>> from scorefold.io.units import unit_ratio
    >>> unit_ratio("nanometer", "angstrom")
    10.0
    """
    return float(f"{METRES[unit] / METRES[other]:.12g}")
