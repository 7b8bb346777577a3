"""The Python interface: `match` searches, `train` and `inspect` find what is wrong, `open_run` opens what they left."""

from scorefold.api.inspecting import inspect, inspect_maps, train
from scorefold.api.inspection import Inspection
from scorefold.api.match import Match, match
from scorefold.api.model import Model
from scorefold.api.opening import open_run

__all__ = ["Inspection", "Match", "Model", "inspect", "inspect_maps", "match", "open_run", "train"]
