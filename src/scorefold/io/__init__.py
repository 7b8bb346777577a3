"""Reading images and volumes, and writing tables, in the field's formats."""

from scorefold.io.reading import TargetReadError, read_array, read_region, read_target
from scorefold.io.targets import TargetSource, UnreadableTarget, find_targets

__all__ = [
    "TargetReadError",
    "TargetSource",
    "UnreadableTarget",
    "find_targets",
    "read_array",
    "read_region",
    "read_target",
]
