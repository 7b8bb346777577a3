"""The options that several commands share, declared once."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from scorefold.errors import InputError
from scorefold.planning.request import DEFAULT_MEMORY_LIMIT, MatchRequest

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
INPUTS, MASKS, ROTATIONS, SCORES, ENGINE, PICKS, RESOURCES = (
    "Inputs",
    "Template mask",
    "Rotations",
    "Scores",
    "Engine",
    "Picks",
    "Resources",
)

MATCH_OPTIONS: dict[str, Any] = {
    "template": Annotated[
        str,
        typer.Option(
            "--template", "-t", help="Image or volume to search for; never a target itself.", metavar="FILE"
        ),
    ],
    "channel": Annotated[
        int | None, typer.Option(help="Channel of colour images, from 0.", rich_help_panel=INPUTS)
    ],
    "gray": Annotated[
        bool, typer.Option("--gray", help="Use the luma of colour images.", rich_help_panel=INPUTS)
    ],
    "pages": Annotated[
        str, typer.Option(help="Multi-page files: auto, batch or volume.", rich_help_panel=INPUTS)
    ],
    "pixel_size": Annotated[
        float | None, typer.Option(help="Pixel size, if files do not tell.", rich_help_panel=INPUTS)
    ],
    "max_pixels": Annotated[
        int | None,
        typer.Option(
            help="Images with more pixels are not decoded; default: 1073741824.", rich_help_panel=INPUTS
        ),
    ],
    "target_mask": Annotated[
        str | None,
        typer.Option(
            help="Weights: where targets count (score MCC).", metavar="FILE", rich_help_panel=INPUTS
        ),
    ],
    "mask": Annotated[
        str,
        typer.Option(
            help="none, disk, sphere, ellipse, box, or a file.", metavar="WORD|FILE", rich_help_panel=MASKS
        ),
    ],
    "mask_radius": Annotated[
        str | None,
        typer.Option(help="Radius in voxels, or one per axis: 10,20.", rich_help_panel=MASKS),
    ],
    "mask_edge": Annotated[
        float, typer.Option(help="Width of a soft edge in voxels.", rich_help_panel=MASKS)
    ],
    "step": Annotated[
        float | None,
        typer.Option(
            help="Angular step in degrees; default: the rim moves by 2 voxels.", rich_help_panel=ROTATIONS
        ),
    ],
    "angle_range": Annotated[
        str, typer.Option(help="First and last angle of a 2D search.", rich_help_panel=ROTATIONS)
    ],
    "symmetry": Annotated[
        str, typer.Option(help="Symmetry of a 3D template: C1, C4, D2, T, O, I, …", rich_help_panel=ROTATIONS)
    ],
    "rotations": Annotated[
        str | None,
        typer.Option(help="Rotations: npy, STAR or csv.", metavar="FILE", rich_help_panel=ROTATIONS),
    ],
    "score": Annotated[
        str,
        typer.Option(help="CC, LCC, NCC, CAM, FLC, FLCSphericalMask, MCC or auto.", rich_help_panel=SCORES),
    ],
    "interpolation": Annotated[
        int, typer.Option(help="Order of the template's interpolation: 1 or 3.", rich_help_panel=SCORES)
    ],
    "lowpass": Annotated[
        str | None,
        typer.Option(
            help="Leave out what is finer in the template: a part of Nyquist, such as 0.5, or auto.",
            rich_help_panel=SCORES,
        ),
    ],
    "precision": Annotated[str, typer.Option(help="single or double.", rich_help_panel=SCORES)],
    "fft": Annotated[str, typer.Option(help="scipy, fftw or auto.", rich_help_panel=SCORES)],
    "pad_edges": Annotated[
        bool,
        typer.Option("--pad-edges", help="Also score where the template sticks out.", rich_help_panel=SCORES),
    ],
    "score_threshold": Annotated[
        float, typer.Option(help="Scores up to this are not recorded.", rich_help_panel=SCORES)
    ],
    "threshold": Annotated[str, typer.Option(help="Lowest score of a pick, or auto.", rich_help_panel=PICKS)],
    "false_positives": Annotated[
        float,
        typer.Option(help="Expected false positives per target, for auto.", rich_help_panel=PICKS),
    ],
    "min_distance": Annotated[
        float | None,
        typer.Option(help="Smallest distance of picks; default: half the mask.", rich_help_panel=PICKS),
    ],
    "boundary": Annotated[
        int, typer.Option(help="Drop picks this close to the border, in voxels.", rich_help_panel=PICKS)
    ],
    "top": Annotated[
        int | None, typer.Option(help="At most so many picks per target.", rich_help_panel=PICKS)
    ],
    "subpixel": Annotated[
        bool,
        typer.Option(
            "--subpixel/--whole-pixel", help="Refine positions below the voxel.", rich_help_panel=PICKS
        ),
    ],
    "refine": Annotated[
        bool,
        typer.Option(
            "--refine/--no-refine",
            help="Refine rotations between those of the rotation set.",
            rich_help_panel=PICKS,
        ),
    ],
    "engine": Annotated[
        str, typer.Option(help="exact, compressed, or auto for the faster one.", rich_help_panel=ENGINE)
    ],
    "tolerance": Annotated[
        float,
        typer.Option(
            help="Compressed: what bases leave out of the turned templates.", rich_help_panel=ENGINE
        ),
    ],
    "cell_angle": Annotated[
        float | None,
        typer.Option(help="Compressed: degrees between cells; default: measured.", rich_help_panel=ENGINE),
    ],
    "memory_limit": Annotated[
        str, typer.Option(help="Memory per worker, such as 600MiB or 4GB.", rich_help_panel=RESOURCES)
    ],
}
"""Options of a search by their field in `MatchRequest`."""

WORKPLACE_OPTIONS: dict[str, Any] = {
    "workers": Annotated[
        int | None,
        typer.Option(
            help="Processes on this machine, default: one per core; or in jobs of a --cluster.",
            rich_help_panel=RESOURCES,
        ),
    ],
    "scheduler": Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler (also in DASK_SCHEDULER_ADDRESS), or serial: no cluster at all.",
            rich_help_panel=RESOURCES,
        ),
    ],
    "scheduler_file": Annotated[
        str | None,
        typer.Option(
            help="File in which a Dask scheduler wrote its address.",
            metavar="FILE",
            rich_help_panel=RESOURCES,
        ),
    ],
    "cluster": Annotated[
        str | None,
        typer.Option(
            help="Start the workers as jobs: slurm, pbs, sge, lsf, htcondor, oar or moab.",
            rich_help_panel=RESOURCES,
        ),
    ],
    "cluster_config": Annotated[
        str | None,
        typer.Option(
            help="YAML file of what those jobs ask for: queue, account, walltime, …",
            metavar="FILE",
            rich_help_panel=RESOURCES,
        ),
    ],
    "tls_ca": Annotated[
        str | None,
        typer.Option(
            help="Certificate of the authority that schedulers and workers are known by.",
            metavar="FILE",
            rich_help_panel=RESOURCES,
        ),
    ],
    "tls_cert": Annotated[
        str | None,
        typer.Option(
            help="Our certificate, which that authority has signed.",
            metavar="FILE",
            rich_help_panel=RESOURCES,
        ),
    ],
    "tls_key": Annotated[
        str | None,
        typer.Option(
            help="Its key; default: in the certificate's file.", metavar="FILE", rich_help_panel=RESOURCES
        ),
    ],
}
"""Options of where work is done."""

TEXT_DEFAULTS = {
    "mask_radius": None,
    "lowpass": None,
    "angle_range": "0,360",
    "threshold": "auto",
    "memory_limit": f"{DEFAULT_MEMORY_LIMIT // 2**30}GiB",
}
"""Defaults of options that are given as text and read by `request_from`."""

SHOWN = 20
"""Picks that are printed; the tables have all of them."""

AnyThreshold = Annotated[
    str | None,
    typer.Option(
        help="Lowest score of a pick, or auto; of an inspection a score or a rule, see inspect run.",
        rich_help_panel=PICKS,
    ),
]
FalsePositives = Annotated[float | None, *MATCH_OPTIONS["false_positives"].__metadata__]
MinDistance = Annotated[float | None, *MATCH_OPTIONS["min_distance"].__metadata__]
Boundary = Annotated[int | None, *MATCH_OPTIONS["boundary"].__metadata__]
Top = Annotated[int | None, *MATCH_OPTIONS["top"].__metadata__]
Subpixel = Annotated[bool | None, *MATCH_OPTIONS["subpixel"].__metadata__]
Refine = Annotated[bool | None, *MATCH_OPTIONS["refine"].__metadata__]
Targets = Annotated[
    list[str], typer.Argument(help="Files, directories or globs to search.", metavar="TARGETS...")
]
Out = Annotated[
    str, typer.Option("--out", "-o", help="Directory (or URL) for the run; must be new.", metavar="RUN")
]
Run = Annotated[str, typer.Argument(help="Directory (or URL) of a run.", metavar="RUN")]
Render = Annotated[bool, typer.Option("--render/--no-render", help="Make pictures and the report.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def with_options(
    options: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    keyword: str = "options",
    made: Callable[..., Any] = dict,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds options to a command, which receives them as one keyword.

    Parameters
    ----------
    options : mapping
        Annotations by name.
    defaults : mapping
        Default values by name; what has none is required.
    keyword : str
        What the command calls them.
    made : callable
        What the command receives is made of them by this; default: a dictionary.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        own = [p for p in inspect.signature(function).parameters.values() if p.name != keyword]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        shared = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation
            )
            for name, annotation in options.items()
        ]

        @functools.wraps(function)
        def wrapper(**given: Any) -> Any:
            values = {name: given.pop(name) for name in options}
            return function(**given, **{keyword: made(**values)})

        wrapper.__signature__ = inspect.Signature(own + shared)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in own + shared}
        return wrapper

    return decorate


def defaults_of(request: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of a request's fields."""
    return {name: parameter.default for name, parameter in inspect.signature(request).parameters.items()}


with_match_options = with_options(MATCH_OPTIONS, defaults_of(MatchRequest) | TEXT_DEFAULTS)


def request_from(targets: Sequence[str], options: dict[str, Any], workers: int) -> MatchRequest:
    """Return the request that the options of a command describe.

    Raises
    ------
    InputError
        If one of the options that are given as text cannot be read.
    """
    read = dict(options)
    read["memory_limit"] = parse_bytes(options["memory_limit"])
    read["threshold"] = parse_threshold(options["threshold"])
    read["angle_range"] = parse_pair("angle range", options["angle_range"], "angles, such as 0,180")
    if options["mask_radius"] is not None:
        radii = _numbers("mask radius", options["mask_radius"])
        read["mask_radius"] = radii[0] if len(radii) == 1 else tuple(radii)
    return MatchRequest(targets=list(targets), workers=workers, **read)


def parse_bytes(text: str) -> int:
    """Read an amount of memory.

    Raises
    ------
    InputError
        If it is not a positive number with a unit.

    Examples
    --------
    >>> parse_bytes("600MiB") == 600 * 2**20
    True
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmg]i?)?b?\s*", text.lower())
    size = int(float(found[1]) * UNITS[found[2] or ""]) if found else 0
    if size <= 0:
        raise InputError(f'memory limit "{text}": give a number with a unit, such as 600MiB or 4GB.')
    return size


def parse_threshold(text: str) -> float | str:
    """Read a threshold: a number, or "auto".

    Raises
    ------
    InputError
        If it is neither.
    """
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise InputError(f'threshold "{text}": give a number or auto.') from None


def parse_pair(name: str, text: str, kind: str) -> tuple[float, float]:
    """Read two numbers separated by a comma.

    Raises
    ------
    InputError
        If there are not two.
    """
    numbers = _numbers(name, text)
    if len(numbers) != 2:
        raise InputError(f'{name} "{text}": give two {kind}.')
    return numbers[0], numbers[1]


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f'{name} "{text}": give numbers separated by commas.') from None
