"""Reading images and volumes, and writing tables, in the field's formats."""

from scorefold.io.formats.decoding_limit import MAX_DECODED_PIXELS, at_most_pixels
from scorefold.io.ome_zarr import ome_multiscales_metadata
from scorefold.io.picks import (
    PICK_COLUMNS_2D,
    PICK_COLUMNS_3D,
    empty_picks,
    pick_columns,
    pick_convention,
    read_picks,
    tabulate_picks,
    tabulate_targets,
    write_picks,
)
from scorefold.io.reading import TargetReadError, find_array, read_array, read_region, read_target
from scorefold.io.tables import read_table, write_table
from scorefold.io.targets import TargetSource, UnreadableTarget, find_targets

__all__ = [
    "MAX_DECODED_PIXELS",
    "PICK_COLUMNS_2D",
    "PICK_COLUMNS_3D",
    "TargetReadError",
    "TargetSource",
    "UnreadableTarget",
    "at_most_pixels",
    "empty_picks",
    "find_array",
    "find_targets",
    "ome_multiscales_metadata",
    "pick_columns",
    "pick_convention",
    "read_array",
    "read_picks",
    "read_region",
    "read_table",
    "read_target",
    "tabulate_picks",
    "tabulate_targets",
    "write_picks",
    "write_table",
]
