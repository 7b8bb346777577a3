"""Registration: from a pose that is nearly right to the one with the highest correlation coefficient."""

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from scorefold.compiled import compiled
from scorefold.inspection.alignment import resample
from scorefold.inspection.pose import Pose
from scorefold.rotations import angle_to_matrix

Array = NDArray[np.float32]

SMOOTHING = 1.0
"""Standard deviation, in pixels of a level, of the blur before differences are taken: it widens what converges."""

MOST_STEPS = 20
LARGEST_STEP = 2.0
SMALLEST_STEP = 0.01
"""Steps of a refinement: their number, the largest, and the one after which it ends, in pixels of a level."""

ROBUST_ROUNDS = 2
"""How often the pixels that agree are told from those that do not."""

LEAST_DIFFERENCE = 0.1
"""A third of the difference that always counts as agreement, in standard deviations of the template."""


def reduced(image: Array, factor: int) -> Array:
    """Return the means of blocks of factor × factor pixels; the last ones are continued by the border."""
    if factor == 1:
        return image
    rows, columns = (-(-n // factor) for n in image.shape)
    below, right = rows * factor - image.shape[0], columns * factor - image.shape[1]
    whole = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def reduced_mask(mask: Array, factor: int) -> Array:
    """Return the mean weight of the same blocks; outside of the mask the weight is zero."""
    rows, columns = (-(-n // factor) for n in mask.shape)
    whole = np.zeros((rows * factor, columns * factor), np.float32)
    whole[: mask.shape[0], : mask.shape[1]] = mask
    return reduced(whole, factor)


def smoothed(image: Array) -> Array:
    """Return the image as `Level.refine` expects it."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), SMOOTHING, borderType=cv2.BORDER_REFLECT), np.float32)


class Level:
    """A template at one reduction, against which poses in images of that reduction are refined.

    Poses are those of the whole template in the whole image at every level.

    Parameters
    ----------
    template, mask : ndarray of float32, shape (h, w)
        The whole template and its weights between 0 and 1.
    factor : int
        Edge of the blocks that are averaged.
    angle_range : (float, float) or None
        Range of angles that a pose may have, None for all.
    """

    def __init__(
        self, template: Array, mask: Array, factor: int, angle_range: tuple[float, float] | None
    ) -> None:
        self.factor = factor
        weights = inner(reduced_mask(mask, factor)).astype(np.float64)
        values = smoothed(reduced(template, factor)).astype(np.float64)
        self.shape = (weights.shape[0], weights.shape[1])
        self._angle_range = angle_range
        # Block i covers pixels from factor·i on: its middle lies at factor·i + (factor - 1)/2.
        self._inset = (factor - 1) / 2
        middle = factor * (np.array(self.shape) - 1) / 2 + self._inset
        self._from_centre = middle - (np.array(template.shape) - 1) / 2
        y, x = (np.arange(n) - (n - 1) / 2 for n in self.shape)
        self._radius = max(math.hypot(y[-1], x[-1]), 1.0)
        along_y = cv2.Sobel(values, cv2.CV_64F, 0, 1, ksize=3, scale=1 / 8)
        along_x = cv2.Sobel(values, cv2.CV_64F, 1, 0, ksize=3, scale=1 / 8)
        # A turn by δ moves (y, x) by δ·(-x, y); it is measured by how far it moves a corner.
        turning = (along_x * y[:, None] - along_y * x) / self._radius
        # Weight, template and slopes of every pixel, side by side for `_products`.
        centred = values - np.average(values, weights=weights)
        self._terms = np.ascontiguousarray(np.stack([weights, centred, along_y, along_x, turning], axis=-1))

    def to_level(self, pose: Pose) -> Pose:
        """Return the pose of the reduced template in the reduced image."""
        middle = np.array(pose.centre) + pose.rotation @ self._from_centre
        centre = (middle - self._inset) / self.factor
        return replace(pose, centre=(float(centre[0]), float(centre[1])))

    def to_whole(self, pose: Pose) -> Pose:
        """Return the pose of the whole template in the whole image, the inverse of `to_level`."""
        middle = np.array(pose.centre) * self.factor + self._inset
        centre = middle - pose.rotation @ self._from_centre
        return replace(pose, centre=(float(centre[0]), float(centre[1])))

    def refine(self, image: Array, pose: Pose, *, robustly: bool = False) -> Pose:
        """Climb to the nearest maximum of the correlation coefficient.

        Gauss-Newton steps on the difference of template and image, both with mean 0 and norm 1 under the mask,
        in the inverse compositional form of Baker & Matthews (2004), IJCV 56:221.

        Parameters
        ----------
        image : ndarray of float32
            The image at this reduction, `smoothed` and finite.
        pose : Pose
            Where to start, off by a few pixels of the level at most.
        robustly : bool
            Go on without the pixels that disagree with the template, so that a defect does not pull at the pose.

        Returns
        -------
        Pose
            The best pose on the way, its score the coefficient at this level of the pixels that took part.
        """
        found = self._climb(image, self.to_level(pose), self._terms)
        if robustly:
            for _ in range(ROBUST_ROUNDS):
                found = self._climb(image, found, self._agreeing(image, found))
        return self.to_whole(found)

    def _climb(self, image: Array, start: Pose, terms: NDArray[np.float64]) -> Pose:
        current, best = start, replace(start, score=-1.0)
        for _ in range(MOST_STEPS):
            score, step = self._step(image, current, terms)
            if score > best.score:
                best = replace(current, score=score)
            moved = self._moved(current, step)
            turned = abs((moved.angle - current.angle + 180) % 360 - 180)
            shift = math.dist(moved.centre, current.centre) + math.radians(turned) * self._radius
            current = moved
            if shift < SMALLEST_STEP:
                break
        return best

    def _agreeing(self, image: Array, pose: Pose) -> NDArray[np.float64]:
        """Return the terms with weight 0 where the image differs from the template by more than noise does."""
        seen, valid = resample(image, pose, self.shape)
        weights = self._terms[..., 0] * valid
        f, norm = _standardised(seen.astype(np.float64), weights)
        g, template_norm = _standardised(self._terms[..., 1], weights)
        if norm == 0 or template_norm == 0:
            return self._terms
        differences = np.abs(f - g)
        noise = 1.4826 * float(np.median(differences[weights > 0]))
        # Without noise the interpolation at edges would be all that differs; edges are what tells the pose.
        ordinary = max(noise, LEAST_DIFFERENCE / math.sqrt(float(weights.sum())))
        terms = self._terms.copy()
        terms[..., 0] *= differences <= 3 * ordinary
        return terms

    def _step(
        self, image: Array, pose: Pose, terms: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the coefficient at a pose, and how far (y, x, corner) the template seems to have moved."""
        covariance = _covariance(_products(*resample(image, pose, self.shape), terms))
        f, g, slopes = 0, 1, slice(2, None)
        variance, template_variance = covariance[f, f], covariance[g, g]
        if variance <= 0 or template_variance <= 0:
            return -1.0, np.zeros(3)
        score = covariance[f, g] / math.sqrt(variance * template_variance)
        # Of a step's effect, what changes the template's mean or norm is taken away by standardising.
        along = covariance[g, slopes]
        hessian = covariance[slopes, slopes] - np.outer(along, along) / template_variance
        gradient = covariance[f, slopes] * math.sqrt(template_variance / variance) - along * score
        # Parts that look the same when they are turned or shifted leave some steps undetermined: take none.
        step: NDArray[np.float64] = np.linalg.lstsq(hessian, gradient, rcond=1e-6)[0]
        length = float(np.linalg.norm(step))
        if length > LARGEST_STEP:
            step *= LARGEST_STEP / length
        return float(score), step

    def _moved(self, pose: Pose, step: NDArray[np.float64]) -> Pose:
        """Return the pose after the inverse of a step of the template."""
        angle = pose.angle - math.degrees(step[2] / self._radius)
        if self._angle_range is None:
            angle %= 360
        else:
            middle = sum(self._angle_range) / 2
            angle = middle + (angle - middle + 180) % 360 - 180
            angle = min(max(angle, self._angle_range[0]), self._angle_range[1])
        centre = np.array(pose.centre) - angle_to_matrix(angle) @ step[:2]
        return replace(pose, centre=(float(centre[0]), float(centre[1])), angle=float(angle))


def inner(weights: Array) -> Array:
    """Return a mask without its rim, where pixels mix the part with what is around it, if enough is left."""
    inside = np.asarray(
        cv2.erode(weights, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0),
        np.float32,
    )
    return inside if inside.sum() > weights.sum() / 2 else weights


@compiled
def _products(seen: Array, valid: NDArray[np.bool_], terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weighted sums over the valid pixels of all products of (1, image, template, slopes)."""
    sums = np.zeros((6, 6))
    pixel = np.ones(6)
    for i in range(terms.shape[0]):
        for j in range(terms.shape[1]):
            weight = terms[i, j, 0]
            if weight == 0 or not valid[i, j]:
                continue
            pixel[1] = seen[i, j]
            pixel[2:] = terms[i, j, 1:]
            for k in range(6):
                scaled = weight * pixel[k]
                for m in range(k, 6):
                    sums[k, m] += scaled * pixel[m]
    return sums


def _covariance(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products about the means of (image, template, slopes); zero variance if it is rounding."""
    if sums[0, 0] == 0:
        return np.zeros((5, 5))
    squares = sums[1:, 1:] + np.triu(sums[1:, 1:], 1).T
    covariance: NDArray[np.float64] = squares - np.outer(sums[0, 1:], sums[0, 1:]) / sums[0, 0]
    for k in range(2):
        if covariance[k, k] <= 1e-10 * squares[k, k]:
            covariance[k, k] = 0
    return covariance


def coefficient(image: Array, template: Array, mask: Array, pose: Pose) -> tuple[float, float]:
    """Return the correlation coefficient at a pose, and the part of the mask that shows valid pixels.

    Parameters
    ----------
    image : ndarray of float32
        The whole image; pixels that are not finite do not count.
    template, mask : ndarray of float32, shape (h, w)
        The whole template and its weights between 0 and 1.
    pose : Pose
        Where the template lies.
    """
    seen, valid = resample(image, pose, (template.shape[0], template.shape[1]))
    weights = mask.astype(np.float64) * valid
    part = float(weights.sum() / mask.sum(dtype=np.float64))
    f, norm = _standardised(seen.astype(np.float64), weights)
    g, template_norm = _standardised(template.astype(np.float64), weights)
    if norm == 0 or template_norm == 0:
        return 0.0, part
    return float((weights * f * g).sum()), part


def _standardised(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the values with mean 0 and norm 1 under the weights, and the norm; norm 0 if they are constant."""
    total = float(weights.sum())
    if total == 0:
        return values, 0.0
    centred = values - float((weights * values).sum()) / total
    norm = math.sqrt(float((weights * centred**2).sum()))
    if norm <= 1e-6 * math.sqrt(total) * max(float(np.abs(values).max()), 1e-30):
        return values, 0.0
    return centred / norm, norm
