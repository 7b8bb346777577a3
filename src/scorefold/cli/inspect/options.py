"""The options of inspection, declared once, and the requests they describe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorefold.cli.options import (
    INPUTS,
    MATCH_OPTIONS,
    RESOURCES,
    TEXT_DEFAULTS,
    parse_bytes,
    parse_pair,
)

if TYPE_CHECKING:
    from scorefold.inspection.learned import LearnedModel
    from scorefold.planning.inspect_request import InspectRequest, TrainRequest

MODEL, LOCATION, VERDICTS, TRUTH, OUTPUTS = (
    "Model",
    "Location of a part",
    "Verdicts",
    "Known images",
    "Outputs",
)

TRAIN_OPTIONS: dict[str, Any] = {
    "method": Annotated[
        str | None,
        typer.Option(help="standard, robust, single or gaussian; default: standard.", rich_help_panel=MODEL),
    ],
    "add": Annotated[
        list[str] | None,
        typer.Option(help="A model whose images are learned, too; may be repeated.", metavar="MODEL"),
    ],
    "absolute": Annotated[
        float | None,
        typer.Option(
            help="Tolerance in grey levels; default: 10 of 255 of the range.", rich_help_panel=MODEL
        ),
    ],
    "factor": Annotated[
        float,
        typer.Option(help="Tolerance in spreads of the good images, where more.", rich_help_panel=MODEL),
    ],
    "tolerance": Annotated[
        int, typer.Option(help="Pixels by which edges may be displaced.", rich_help_panel=MODEL)
    ],
    "polarity": Annotated[
        str, typer.Option(help="What is anomalous: bright, dark or both.", rich_help_panel=MODEL)
    ],
    "jitter": Annotated[
        float, typer.Option(help="Pixels by which edges move, for method single.", rich_help_panel=MODEL)
    ],
    "cell": Annotated[
        int, typer.Option(help="Pixels of a cell, for method gaussian.", rich_help_panel=MODEL)
    ],
    "gain_offset": Annotated[
        bool,
        typer.Option("--gain-offset", help="Fit each image's brightness first.", rich_help_panel=MODEL),
    ],
    "kernel_size": Annotated[
        int, typer.Option(help="Radius of specks that do not count, in pixels.", rich_help_panel=MODEL)
    ],
    "template": Annotated[
        str | None,
        typer.Option(
            "--template",
            "-t",
            help="Picture of a part to locate first.",
            metavar="FILE",
            rich_help_panel=LOCATION,
        ),
    ],
    "mask": Annotated[
        str,
        typer.Option(
            help="Where the part is in it: none, disk, ellipse, box or a file.",
            metavar="WORD|FILE",
            rich_help_panel=LOCATION,
        ),
    ],
    "angle_range": Annotated[
        str, typer.Option(help="First and last angle at which it may lie.", rich_help_panel=LOCATION)
    ],
    "angle_step": Annotated[
        float | None, typer.Option(help="Degrees; default: as its size needs.", rich_help_panel=LOCATION)
    ],
    "min_score": Annotated[
        float, typer.Option(help="Least correlation of a part that is found.", rich_help_panel=LOCATION)
    ],
    "value_range": Annotated[
        str | None,
        typer.Option(
            help="Darkest and brightest grey level, if their type does not tell: 0,4095.",
            rich_help_panel=INPUTS,
        ),
    ],
    "channel": MATCH_OPTIONS["channel"],
    "gray": MATCH_OPTIONS["gray"],
    "max_pixels": MATCH_OPTIONS["max_pixels"],
    "memory_limit": MATCH_OPTIONS["memory_limit"],
}
"""Options of a training by their field in `TrainRequest`."""

MEASURE_OPTIONS: dict[str, Any] = {
    "threshold": Annotated[
        str,
        typer.Option(
            help="auto, a score, quantile:Q, sigma:K or fp:F of good images, or f1 (needs labels).",
            rich_help_panel=VERDICTS,
        ),
    ],
    "min_area": Annotated[
        int, typer.Option(help="Pixels of the smallest defect that counts.", rich_help_panel=VERDICTS)
    ],
}
"""Options by their field in `MeasureOptions`."""

MinArea = Annotated[int | None, *MEASURE_OPTIONS["min_area"].__metadata__]

Masks = Annotated[
    str | None,
    typer.Option(
        help="Folder of masks named as the images: what is truly bad.",
        metavar="FOLDER",
        rich_help_panel=TRUTH,
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(help="csv file of names and labels: good or bad.", metavar="FILE", rich_help_panel=TRUTH),
]

_PRECISION = Annotated[
    str, typer.Option(help="half or single: of the stored score maps.", rich_help_panel=RESOURCES)
]
_EXPORT = Annotated[
    str,
    typer.Option(help="Files to write for every image: maps, masks or maps,masks.", rich_help_panel=OUTPUTS),
]
_KERNEL_SIZE = Annotated[
    int | None,
    typer.Option(
        help="Radius of specks that do not count, in pixels; default: the model's.", rich_help_panel=VERDICTS
    ),
]

RUN_OPTIONS: dict[str, Any] = {
    **MEASURE_OPTIONS,
    "polarity": Annotated[
        str | None,
        typer.Option(
            help="What is anomalous: bright, dark or both; default: the model's.", rich_help_panel=VERDICTS
        ),
    ],
    "kernel_size": _KERNEL_SIZE,
    "masks": Masks,
    "labels": Labels,
    "export": _EXPORT,
    "channel": MATCH_OPTIONS["channel"],
    "gray": MATCH_OPTIONS["gray"],
    "max_pixels": MATCH_OPTIONS["max_pixels"],
    "precision": _PRECISION,
    "memory_limit": MATCH_OPTIONS["memory_limit"],
}
"""Options of an inspection with a model."""

MAPS_OPTIONS: dict[str, Any] = {
    "images": Annotated[
        list[str] | None,
        typer.Option(
            help="The images of the maps, to be drawn; may be repeated.",
            metavar="IMAGES",
            rich_help_panel=INPUTS,
        ),
    ],
    **{name: annotation for name, annotation in RUN_OPTIONS.items() if name != "polarity"},
    "kernel_size": Annotated[
        int | None,
        typer.Option(
            help="Radius of specks that do not count, in pixels; default: 1.", rich_help_panel=VERDICTS
        ),
    ],
}
"""Options of an inspection of another tool's maps."""

INSPECT_DEFAULTS: dict[str, Any] = {
    "threshold": "auto",
    "min_area": 1,
    "images": None,
    "polarity": None,
    "kernel_size": None,
    "masks": None,
    "labels": None,
    "export": "",
    "channel": None,
    "gray": False,
    "max_pixels": None,
    "precision": "half",
    "memory_limit": TEXT_DEFAULTS["memory_limit"],
}


def train_request(
    images: Sequence[str], added: "Sequence[LearnedModel]", options: dict[str, Any], workers: int
) -> "TrainRequest":
    """Return the training that the options of a command describe.

    Raises
    ------
    InputError
        If one of the options that are given as text cannot be read.
    """
    from scorefold.planning.inspect_request import TrainRequest

    read = {name: value for name, value in options.items() if name != "add"}
    read["memory_limit"] = parse_bytes(options["memory_limit"])
    read["angle_range"] = parse_pair("angle range", options["angle_range"], "angles, such as 0,180")
    if options["value_range"] is not None:
        read["value_range"] = parse_pair("value range", options["value_range"], "grey levels, such as 0,4095")
    return TrainRequest(images=list(images), add=added, workers=workers, **read)


def inspect_request(options: dict[str, Any], workers: int, **inputs: Any) -> "InspectRequest":
    """Return the inspection that the options of a command describe.

    Raises
    ------
    InputError
        If one of the options that are given as text cannot be read.
    """
    from scorefold.planning.inspect_job import MeasureOptions
    from scorefold.planning.inspect_request import InspectRequest

    read = dict(options)
    measure = MeasureOptions(threshold=read.pop("threshold").strip(), min_area=read.pop("min_area"))
    labels, export = read.pop("labels"), read.pop("export")
    read["memory_limit"] = parse_bytes(options["memory_limit"])
    read["export"] = tuple(dict.fromkeys(part.strip() for part in export.split(",") if part.strip()))
    return InspectRequest(measure=measure, truth_table=labels, workers=workers, **read, **inputs)
