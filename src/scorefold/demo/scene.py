"""What a demonstration of a search consists of: its files, and where the template is planted in them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scene:
    """Files of a demonstration and what is planted in them.

    Attributes
    ----------
    targets : list of Path
        Images or the volume.
    template : Path
        What is searched for.
    truth : dict of str to (positions, rotations)
        By name of the target: positions (n, d) and rotation matrices (n, d, d).
    """

    targets: list[Path]
    template: Path
    truth: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
