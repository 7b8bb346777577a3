"""Mean and covariance of the features at every position of an image, over a stream of images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.analyzer.abstract import checked_shape
from scorefold.analyzer.statistics.central_sums import central_sums
from scorefold.analyzer.statistics.stream import (
    SummingAnalyzer,
    Sums,
    checked_mask,
    integer_levels,
    warn_unless_of_image,
)
from scorefold.errors import InputError


@dataclass(frozen=True, eq=False)
class FeatureSums:
    """Result of `FeatureGaussian`: sums of integer features by position.

    Parameters
    ----------
    count : ndarray of int64, shape (P,)
        Number of images in which a position was valid.
    total : ndarray of int64, shape (P, D)
        Sums of the features.
    products : ndarray of int64, shape (P, D, D)
        Sums of the products of two features, modulo 2⁶⁴.
    """

    count: NDArray[np.int64]
    total: NDArray[np.int64]
    products: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean features, shape (P, D); NaN at positions without any."""
        with np.errstate(invalid="ignore"):
            mean: NDArray[np.float64] = self.total / self.count[:, np.newaxis]
        return mean

    def covariance(self, regularization: float = 0.0) -> NDArray[np.float64]:
        """Return the covariance matrices of the features, over n − 1.

        Parameters
        ----------
        regularization : float
            Added to the variances, in squared units of the features, so that few images give a matrix that can be
            inverted.

        Returns
        -------
        ndarray of float64, shape (P, D, D)
            NaN at positions with fewer than two images. See `central_sums` for the rounding.
        """
        if not (np.isfinite(regularization) and regularization >= 0):
            raise InputError(f"regularization {regularization}: give a variance, 0 or more")
        count = self.count[:, np.newaxis, np.newaxis]
        sums = central_sums(count, self.total[:, :, np.newaxis], self.total[:, np.newaxis, :], self.products)
        covariance: NDArray[np.float64] = sums / np.where(count > 1, count - 1, np.nan)
        covariance += regularization * np.eye(self.total.shape[1])
        return covariance


class FeatureGaussian(SummingAnalyzer[FeatureSums]):
    """Mean and covariance of integer features by position, of which a Mahalanobis distance is made.

    The model is that of PaDiM (T. Defard et al., PaDiM: a patch distribution modeling framework for anomaly
    detection and localization, 2021); the sums are integers, so that any order gives the same bytes.

    Parameters
    ----------
    positions, features : int
        Number of positions P, of cells of an image say, and of features D.

    Examples
    --------
    >>> import numpy as np
    >>> analyzer = FeatureGaussian(positions=1, features=2)
    >>> state = analyzer.init_state()
    >>> for features in ([[1, 2]], [[3, 2]], [[5, 8]]):
    ...     state = analyzer(state, np.array(features))
    >>> sums = analyzer.result(state)
    >>> sums.mean, sums.covariance(regularization=0.5)
    (array([[3., 4.]]), array([[[ 4.5,  6. ], [ 6. , 12.5]]]))
    """

    result_type = FeatureSums

    def __init__(self, positions: int, features: int) -> None:
        self.shape = checked_shape((positions, features))

    def _zeros(self) -> Sums:
        positions, features = self.shape
        return {
            "count": np.zeros(positions, np.int64),
            "total": np.zeros((positions, features), np.int64),
            "products": np.zeros((positions, features, features), np.int64),
        }

    def __call__(
        self,
        state: Sums,
        scores: NDArray[Any],
        rotation_matrix: NDArray[Any] | None = None,  # noqa: ARG002
        *,
        valid: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Sums:
        """Add the features of one image.

        Parameters
        ----------
        state : dict of ndarray
            Sums to go on from.
        scores : ndarray of shape (P, D)
            Features: whole numbers below 2³¹ in size, of any real type.
        rotation_matrix : ndarray, optional
            Does not matter.
        valid : ndarray of bool, shape (P,), optional
            Which positions count; all by default.
        **kwargs
            `IMAGE_KEYWORDS` do not matter; others are ignored with a warning.
        """
        warn_unless_of_image(type(self).__name__, kwargs)
        counted = checked_mask(True if valid is None else valid, self.shape[:1], "valid")
        of_features = None if valid is None else np.broadcast_to(counted[:, np.newaxis], self.shape)
        features = integer_levels(scores, self.shape, of_features)
        state["count"] += counted
        state["total"] += features
        state["products"] += features[:, :, np.newaxis] * features[:, np.newaxis, :]
        return state
