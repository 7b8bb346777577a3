"""A pose: where a part lies in an image, and how it is turned."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.rotations import angle_to_matrix


@dataclass(frozen=True)
class Pose:
    """Position and rotation of a template in an image: x_target = R (x_template − c) + t, c = (shape − 1)/2.

    Attributes
    ----------
    centre : (float, float)
        t, target coordinates (y, x) of the template's rotation centre c.
    angle : float
        Degrees in [0, 360), counter-clockwise as seen on screen with y pointing down.
    score : float
        Correlation coefficient of template and image there.
    """

    centre: tuple[float, float]
    angle: float
    score: float = float("nan")

    @property
    def rotation(self) -> NDArray[np.float64]:
        """The rotation matrix R on (y, x) vectors."""
        return angle_to_matrix(self.angle)

    def to_target(self, points: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return target coordinates of points in a template of the given shape; both (..., 2) as (y, x).

        Examples
        --------
        >>> Pose((10.0, 20.0), 90.0).to_target([0, 2], shape=(3, 3))
        array([ 9., 19.])
        """
        centred = np.asarray(points, np.float64) - _centre(shape)
        result: NDArray[np.float64] = centred @ self.rotation.T + np.array(self.centre)
        return result

    def to_template(self, points: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return template coordinates of points in the target, the inverse of `to_target`.

        Examples
        --------
        >>> Pose((10.0, 20.0), 90.0).to_template([9, 19], shape=(3, 3))
        array([0., 2.])
        """
        centred = np.asarray(points, np.float64) - np.array(self.centre)
        result: NDArray[np.float64] = centred @ self.rotation + _centre(shape)
        return result


def _centre(shape: tuple[int, int]) -> NDArray[np.float64]:
    return (np.array(shape) - 1) / 2
