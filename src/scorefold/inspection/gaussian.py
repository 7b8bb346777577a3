"""The Gaussian model: per cell, how texture features of good images are distributed."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri

from scorefold.errors import InputError
from scorefold.inspection.features import FEATURE_LEVELS, FEATURES, cell_features, cell_grid
from scorefold.inspection.grid import ImageGrid
from scorefold.inspection.half_precision import LARGEST_SCORE

LIMIT_QUANTILE = 0.999
"""The part of good cells that scores below 1, were features normally distributed."""


@dataclass(frozen=True, eq=False)
class GaussianModel:
    r"""A multivariate normal distribution of features in every cell, and the comparison of images with it.

    A cell's score is the Mahalanobis distance of its features f, as in PaDiM (Defard et al. (2021), ICPR) but on
    classical features, over the distance that 99.9 % of normally distributed cells stay within:

    .. math:: s = \sqrt{(f - \mu)^T (\Sigma + \lambda^2 I)^{-1} (f - \mu)\, /\, \chi^2_D(0.999)}

    Parameters
    ----------
    mean : ndarray, shape (cells, D)
        μ, in the units of `cell_features`.
    covariance : ndarray, shape (cells, D, D)
        Σ.
    valid : ndarray of bool, shape (cells,)
        Cells that are compared. Cells whose mean or covariance is not finite never are.
    shape : (int, int)
        Height and width of the images.
    grid : ImageGrid
        Of the images.
    cell : int
        Edge of the cells in pixels.
    regularization : float
        λ, a standard deviation that every feature is granted, as part of the images' range; more than 0.

    Raises
    ------
    InputError
        If shapes disagree or a parameter is out of its range.

    Examples
    --------
    >>> from scorefold.inspection.grid import image_grid
    >>> grid = image_grid(np.uint8)
    >>> good = np.full((8, 8), 100, np.uint8)
    >>> features, valid = cell_features(good, grid)
    >>> model = GaussianModel(features, np.zeros((1, 8, 8)), valid, (8, 8), grid)
    >>> float(model.compare(good).max()), bool(model.compare(good + 20).min() > 1)
    (0.0, True)
    """

    mean: NDArray[Any]
    covariance: NDArray[Any]
    valid: NDArray[np.bool_]
    shape: tuple[int, int]
    grid: ImageGrid
    cell: int = 8
    regularization: float = 0.01

    def __post_init__(self) -> None:
        cells, features = math.prod(cell_grid(self.shape, self.cell)), len(FEATURES)
        shapes = tuple(np.shape(array) for array in (self.mean, self.covariance, self.valid))
        if shapes != ((cells, features), (cells, features, features), (cells,)):
            raise InputError(
                f"Gaussian model: mean, covariance and valid of shapes {shapes}; "
                f"images of shape {self.shape} have {cells} cells of {features} features."
            )
        if not (np.isfinite(self.regularization) and self.regularization > 0):
            raise InputError(
                f"regularization {self.regularization:g}: give a part of the range, more than 0."
            )
        mean, covariance = np.asarray(self.mean, np.float64), np.asarray(self.covariance, np.float64)
        usable = np.asarray(self.valid, bool) & np.isfinite(mean).all(1) & np.isfinite(covariance).all((1, 2))
        object.__setattr__(self, "mean", np.where(usable[:, None], mean, 0.0))
        object.__setattr__(self, "covariance", np.where(usable[:, None, None], covariance, 0.0))
        object.__setattr__(self, "valid", usable)

    @classmethod
    def from_moments(
        cls,
        count: ArrayLike,
        mean: ArrayLike,
        covariance: ArrayLike,
        shape: tuple[int, int],
        grid: ImageGrid,
        *,
        minimum_count: int = 2,
        **options: Any,
    ) -> "GaussianModel":
        """Return the model of the features of good images.

        Parameters
        ----------
        count : array_like of int, shape (cells,) or ()
            How many images were valid in each cell.
        mean, covariance : array_like, shapes (cells, D) and (cells, D, D)
            Of their features, the covariance as it is: the model regularises it.
        shape, grid
            As for the model.
        minimum_count : int
            Cells seen less often are not compared.
        **options
            Passed on: `cell`, `regularization`.
        """
        centre = np.asarray(mean, np.float64)
        valid = np.broadcast_to(np.asarray(count) >= minimum_count, centre.shape[:1])
        return cls(centre, np.asarray(covariance, np.float64), valid, shape, grid, **options)

    @cached_property
    def _whitening(self) -> NDArray[np.float64]:
        """Matrices W with |W (f - μ)| = s."""
        features = len(FEATURES)
        granted = (self.regularization * FEATURE_LEVELS) ** 2
        factors = np.linalg.cholesky(self.covariance + granted * np.eye(features))
        limit = math.sqrt(float(chdtri(features, 1 - LIMIT_QUANTILE)))
        inverse: NDArray[np.float64] = np.linalg.inv(factors) / limit
        return inverse

    def cell_scores(
        self, features: NDArray[np.integer[Any]], valid: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the score of every cell from what `cell_features` returned, NaN where not valid."""
        whitened = np.matmul(self._whitening, (features - self.mean)[:, :, None])[:, :, 0]
        scores = np.sqrt((whitened**2).sum(axis=1))
        return np.where(self.valid & valid, scores, np.nan)

    def compare(self, image: ArrayLike, valid: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Score every pixel of an image, by linear interpolation between the centres of cells.

        Parameters
        ----------
        image : array_like, shape (H, W)
            Grey levels, aligned with the model.
        valid : ndarray of bool, shape (H, W), optional
            Pixels of the image that count, by default all.

        Returns
        -------
        ndarray of float32, shape (H, W)
            Scores of at least 0; above 1 is more than the model allows. NaN where the image is not finite or it
            or the cell is not valid. Limited to what half precision can hold.

        Raises
        ------
        InputError
            If the image or `valid` has another shape than the model.
        """
        given = np.asarray(image)
        for name, shape in (("image", given.shape), ("valid", self.shape if valid is None else valid.shape)):
            if shape != tuple(self.shape):
                raise InputError(
                    f"{name} of shape {shape}: the model has {tuple(self.shape)}. Align it first."
                )
        scores = self.cell_scores(*cell_features(given, self.grid, valid, cell=self.cell))
        cells = scores.reshape(cell_grid(self.shape, self.cell))
        known = ~np.isnan(cells)
        result = self._enlarged(np.where(known, cells, 0.0))
        usable = np.isfinite(given) if valid is None else np.isfinite(given) & valid
        if not known.all():
            # Cells that are not valid take no part: their neighbours' scores are continued.
            part = self._enlarged(known.astype(np.float64))
            np.divide(result, part, out=result, where=part > 0)
            whole = np.repeat(np.repeat(known, self.cell, axis=0), self.cell, axis=1)
            usable = usable & whole[: self.shape[0], : self.shape[1]]
        np.minimum(result, LARGEST_SCORE, out=result)
        result[~usable] = np.nan
        return result.astype(np.float32)

    def _enlarged(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (cells.shape[1] * self.cell, cells.shape[0] * self.cell)
        enlarged = np.asarray(cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR), np.float64)
        return enlarged[: self.shape[0], : self.shape[1]]
