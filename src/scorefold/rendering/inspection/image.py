"""An inspected image as the pictures need it: pixels, scores, masks, verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError
from scorefold.rendering.picture import Colour

Verdict: TypeAlias = Literal["OK", "NG", "NOT_FOUND", "ERROR"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

Polarity: TypeAlias = Literal["both", "bright", "dark", "unsigned"]
"""Which scores count: |s|, max(s, 0), max(-s, 0), or s itself (maps of other tools)."""

VERDICT_COLOURS: dict[Verdict, Colour] = {
    "OK": (26, 127, 55),
    "NG": (207, 34, 46),
    "NOT_FOUND": (154, 103, 0),
    "ERROR": (110, 64, 170),
}
"""Dark enough to carry white letters, and to be letters on paper: at least 4.5 : 1."""


@dataclass(frozen=True)
class DrawnDefect:
    """A defect to be drawn.

    Parameters
    ----------
    box : (int, int, int, int)
        Bounding box y0, x0, y1, x1 in pixels of the image; y1 and x1 are outside.
    peak : float
        Highest magnitude of the score within it.
    polarity : {"bright", "dark"} or None
        Brighter or darker than allowed; None where scores have no sign.
    """

    box: tuple[int, int, int, int]
    peak: float
    polarity: Literal["bright", "dark"] | None = None


@dataclass(frozen=True, eq=False)
class InspectedImage:
    """An image with what its inspection found.

    Parameters
    ----------
    name : str
        As the user named it; any text.
    image : (H, W) array
        Any real type. What is not finite is hatched.
    scores : (H, W) array or None
        Scores, positive where brighter than allowed, negative where darker; what is not finite was not
        inspected. None where there are no scores: the part was not found.
    mask : (H, W) bool array or None
        What was found anomalous; needed with scores.
    score : float
        Score of the image; NaN without scores.
    threshold : float
        The image is anomalous when its score is above it.
    verdict : {"OK", "NG", "NOT_FOUND", "ERROR"}
        What was decided.
    truth : (H, W) bool array or None
        What is anomalous, if known.
    label : str or None
        Known class of the image, if any.
    defects : sequence of DrawnDefect
        In any order.
    note : str
        A few words on what is special, such as why there are no scores.
    polarity : {"both", "bright", "dark", "unsigned"}
        Which scores count.

    Raises
    ------
    InputError
        If the image is not 2D or empty, an array differs from it in shape, scores come without a mask,
        the threshold is not finite, or the verdict or polarity is none of those above.

    Examples
    --------
    >>> scores = np.zeros((4, 4))
    >>> InspectedImage("a.png", scores, scores, scores > 1, 0.0, 1.0, "OK").magnitude.max()
    np.float32(0.0)
    """

    name: str
    image: NDArray[Any]
    scores: NDArray[Any] | None
    mask: NDArray[np.bool_] | None
    score: float
    threshold: float
    verdict: Verdict
    truth: NDArray[np.bool_] | None = None
    label: str | None = None
    defects: Sequence[DrawnDefect] = ()
    note: str = ""
    polarity: Polarity = "both"

    def __post_init__(self) -> None:
        if self.image.ndim != 2 or self.image.size == 0 or self.image.dtype.kind not in "biuf":
            raise InputError(
                f'image "{self.name}" of shape {self.image.shape} and type {self.image.dtype}: '
                "a picture needs a 2D array of real numbers."
            )
        for what, array in (("scores", self.scores), ("mask", self.mask), ("truth", self.truth)):
            if array is not None and array.shape != self.image.shape:
                raise InputError(
                    f'image "{self.name}": {what} of shape {array.shape} for an image of shape '
                    f"{self.image.shape}: give them alike."
                )
        if (self.scores is None) != (self.mask is None):
            raise InputError(f'image "{self.name}": give both scores and mask, or neither.')
        if not np.isfinite(self.threshold):
            raise InputError(f'image "{self.name}": threshold {self.threshold}: give a finite score.')
        if self.verdict not in VERDICTS:
            raise InputError(f'image "{self.name}": verdict "{self.verdict}": give one of {VERDICTS}.')
        if self.polarity not in get_args(Polarity):
            raise InputError(
                f'image "{self.name}": polarity "{self.polarity}": give one of {get_args(Polarity)}.'
            )

    @property
    def magnitude(self) -> NDArray[np.float32] | None:
        """Return how anomalous each pixel is, -inf where it was not inspected; None without scores."""
        if self.scores is None:
            return None
        scores = self.scores.astype(np.float32)
        inspected = np.isfinite(scores)
        if self.polarity == "both":
            np.abs(scores, out=scores)
        elif self.polarity == "bright":
            np.maximum(scores, 0, out=scores)
        elif self.polarity == "dark":
            np.maximum(-scores, 0, out=scores)
        if not inspected.all():
            scores[~inspected] = -np.inf
        return scores
