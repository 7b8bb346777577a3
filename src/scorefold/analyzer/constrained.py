"""The maximum over rotations where each region of the target allows only rotations near a known one."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from scorefold.analyzer.abstract import checked_scores, warn_unknown
from scorefold.analyzer.functional import FunctionalState
from scorefold.analyzer.max_over_rotations import MaxScoreOverRotations
from scorefold.analyzer.max_score_state import MaxScoreState
from scorefold.analyzer.rotation_table import Matrix, checked_matrix
from scorefold.errors import InputError

# A rotation on the edge of a cone belongs to it; degrees, far above rounding and far below any angular step.
_ANGULAR_ROUNDING = 1e-6


class MaxScoreOverRotationsConstrained(MaxScoreOverRotations):
    """Best score of every position over the rotations that are allowed there.

    Seeds say what is known beforehand, for instance the positions of membrane proteins and the normals of the
    membrane. A position within `acceptance_radius` of a seed allows the rotations within `cone_angle` of that
    seed's reference rotation; one near several seeds allows those of each; one near none allows none and
    keeps the score threshold. A rotation that is not allowed scores −∞: it never beats an allowed one,
    however low.

    Parameters
    ----------
    shape : tuple of int
        Shape of the score maps, (y, x) or (z, y, x).
    positions : array_like of shape (k, d)
        Seeds in target coordinates, so that tiles of one target share them.
    reference_rotations : array_like of shape (k, d, d) or (d, d)
        Rotation matrix of each seed, or one for all; orthonormal within 1e-6.
    cone_angle : float
        Largest allowed deviation in degrees, inclusive. In 3D the angle between the directions that the two
        rotations give to `axis`; in 2D the angle between the rotations.
    acceptance_radius : float
        Radius of a seed's region in voxels, inclusive.
    in_plane_angle : float, optional
        Largest allowed rotation about `axis`, in degrees, inclusive: the twist of the swing–twist
        decomposition of the relative rotation. 3D only. By default any is allowed.
    axis : array_like of shape (3,), optional
        Direction in the template, in array-axis order, that the cone is about; the z axis, (1, 0, 0), by
        default.
    **kwargs
        All further parameters of `MaxScoreOverRotations` except `jax_mode`.

    Examples
    --------
    One seed that allows rotations within 10°; a forbidden rotation does not count even if it scores higher:

    >>> import numpy as np
    >>> analyzer = MaxScoreOverRotationsConstrained(
    ...     (1, 3), positions=[[0, 0]], reference_rotations=np.eye(2), cone_angle=10, acceptance_radius=1,
    ...     score_threshold=-np.inf)
    >>> state = analyzer.init_state()
    >>> state = analyzer(state, scores=np.full((1, 3), -0.4), rotation_matrix=np.eye(2))
    >>> state = analyzer(state, scores=np.full((1, 3), 0.9), rotation_matrix=[[0, -1], [1, 0]])
    >>> analyzer.result(state).scores
    array([[-0.4, -0.4, -inf]], dtype=float32)
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        positions: ArrayLike,
        reference_rotations: ArrayLike,
        cone_angle: float,
        acceptance_radius: float,
        in_plane_angle: float | None = None,
        axis: ArrayLike | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(shape, **kwargs)
        dimensions = len(self.shape)
        if self._jax_mode:
            raise InputError("jax_mode: constraints need the values of rotation matrices; leave jax_mode out")
        if dimensions not in (2, 3):
            raise InputError(f"shape {self.shape}: constraints are defined for two or three dimensions")
        if dimensions == 2 and (in_plane_angle is not None or axis is not None):
            raise InputError("in_plane_angle and axis: for 3D only; in 2D cone_angle limits the rotation")
        for name, limit in (("cone_angle", cone_angle), ("acceptance_radius", acceptance_radius)):
            if not limit >= 0:
                raise InputError(f"{name} {limit}: expected a number that is not negative")
        self._cone_angle = float(cone_angle)
        self._in_plane_angle = None if in_plane_angle is None else float(in_plane_angle)
        self._axis = _unit_axis(axis) if dimensions == 3 else None
        seeds = np.asarray(positions, dtype=np.float64)
        if seeds.ndim != 2 or seeds.shape[1] != dimensions or not np.isfinite(seeds).all():
            raise InputError(f"positions of shape {seeds.shape}: expected (k, {dimensions}) finite numbers")
        self._references = _reference_rotations(reference_rotations, len(seeds), dimensions)
        self._regions = [self._region(seed, float(acceptance_radius)) for seed in seeds]

    def __call__(
        self,
        state: MaxScoreState | FunctionalState,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any],
        *,
        rotation_id: int | None = None,
        **kwargs: Any,
    ) -> MaxScoreState | FunctionalState:
        """Fold the score map of one rotation where it is allowed; see `MaxScoreOverRotations`."""
        warn_unknown(type(self).__name__, kwargs)
        checked = checked_scores(scores, self.shape, self.dtype)
        allowed = self.allowed_positions(rotation_matrix)
        return super().__call__(
            state, np.where(allowed, checked, -np.inf), rotation_matrix, rotation_id=rotation_id
        )

    def allowed_positions(self, rotation_matrix: ArrayLike) -> NDArray[np.bool_]:
        """Return where a rotation is allowed.

        Parameters
        ----------
        rotation_matrix : array_like of shape (d, d)
            The rotation.

        Returns
        -------
        ndarray of bool, the analyzer's shape
            True at positions near a seed whose cone contains the rotation.
        """
        allowed = np.zeros(self.shape, dtype=bool)
        for seed in np.flatnonzero(self._within_cone(checked_matrix(rotation_matrix, len(self.shape)))):
            allowed.reshape(-1)[self._regions[seed]] = True
        return allowed

    def _region(self, seed: NDArray[np.float64], radius: float) -> NDArray[np.intp]:
        """Return the flat indices of the tile's positions within a radius of a seed."""
        centre = seed - self.offset
        first = np.clip(np.ceil(centre - radius), 0, self.shape).astype(int)
        last = np.clip(np.floor(centre + radius) + 1, 0, self.shape).astype(int)
        box = np.ix_(*(np.arange(start, stop) for start, stop in zip(first, last, strict=True)))
        squared = sum((index - middle) ** 2 for index, middle in zip(box, centre, strict=True))
        inside = np.nonzero(squared <= radius**2)
        coordinates = tuple(index + start for index, start in zip(inside, first, strict=True))
        indices: NDArray[np.intp] = np.ravel_multi_index(coordinates, self.shape)
        return indices

    def _within_cone(self, matrix: Matrix) -> NDArray[np.bool_]:
        """Return for each seed whether its cone contains a rotation."""
        relative = np.swapaxes(self._references, 1, 2) @ matrix
        if self._axis is None:
            deviation = np.arctan2(np.abs(relative[:, 1, 0]), relative[:, 0, 0])
        else:
            direction = relative @ self._axis
            # The arctangent, unlike the arccosine, is exact for small angles.
            deviation = np.arctan2(
                np.linalg.norm(np.cross(direction, self._axis), axis=1), direction @ self._axis
            )
        within: NDArray[np.bool_] = np.degrees(deviation) <= self._cone_angle + _ANGULAR_ROUNDING
        if self._in_plane_angle is not None:
            quaternions = Rotation.from_matrix(relative).as_quat()
            twist = 2 * np.arctan2(np.abs(quaternions[:, :3] @ self._axis), np.abs(quaternions[:, 3]))
            within &= np.degrees(twist) <= self._in_plane_angle + _ANGULAR_ROUNDING
        return within


def _unit_axis(axis: ArrayLike | None) -> NDArray[np.float64]:
    given = np.asarray([1, 0, 0] if axis is None else axis, dtype=np.float64)
    length = np.linalg.norm(given)
    if given.shape != (3,) or not np.isfinite(length) or length == 0:
        raise InputError(f"axis {given.tolist()}: expected three numbers that are not all zero")
    unit: NDArray[np.float64] = given / length
    return unit


def _reference_rotations(rotations: ArrayLike, count: int, dimensions: int) -> Matrix:
    given = np.asarray(rotations, dtype=np.float64)
    if given.shape not in ((dimensions, dimensions), (count, dimensions, dimensions)):
        raise InputError(
            f"reference_rotations of shape {given.shape}: expected ({dimensions}, {dimensions}), or one "
            f"such matrix for each of {count} seeds"
        )
    references: Matrix = np.broadcast_to(given, (count, dimensions, dimensions))
    products = references @ np.swapaxes(references, 1, 2)
    deviations = np.abs(products - np.eye(dimensions)).max(axis=(1, 2), initial=0)
    for seed in np.flatnonzero(~(deviations <= 1e-6)):
        raise InputError(
            f"reference_rotations: row {seed} deviates from orthonormal by {deviations[seed]:.2g}"
        )
    return references
