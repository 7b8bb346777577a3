"""Location: where in an image a part lies and how it is turned, or that it is not there."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from skimage.feature import peak_local_max

from scorefold.analyzer import (
    AnalyzerProduct,
    MaxScoreOverRotations,
    MaxScoreOverTranslations,
    MaxScoreResult,
    MaxTranslationResult,
)
from scorefold.errors import InputError
from scorefold.inspection.pose import Pose
from scorefold.inspection.registration import Level, coefficient, inner, reduced, reduced_mask, smoothed
from scorefold.rotations import matrix_to_angle, plane_rotations
from scorefold.scoring.correlator import Correlator
from scorefold.scoring.fft import provider
from scorefold.scoring.fused import fold_terms
from scorefold.scoring.masks import check_mask
from scorefold.scoring.score import choose_score
from scorefold.scoring.template import Template
from scorefold.scoring.tile import Tile

Array = NDArray[np.float32]
Shape = tuple[int, ...]

COARSE_SIZE = 20
"""Geometric mean of the template's sides, in pixels, in the search of all positions and angles."""

COARSE_WIDTH = 6
"""Its shorter side is not made shorter than this."""

COARSE_TURN = 1.5
"""How far, in pixels of that search, a step of the angle moves the corners of the template."""

CONTRAST_KEPT = 0.5
"""The template is reduced no further than to this part of its contrast."""

CANDIDATES = 6
"""Positions of the coarse search, and as many angles, that are looked at closely."""

CLEAR_LEAD = 0.15
"""A candidate whose coefficient is so much lower than the best one's is not followed to the next size."""


class Locator:
    """Finds one part in images: its position to a fraction of a pixel, its rotation to a fraction of a degree.

    All positions and angles are searched at reduced size by fast local correlation. The best positions, and the best
    angles (a part may nearly look the same upside down), are refined at rising size; the one that correlates best
    at full size is the pose. The same image always gives the same pose.

    Parameters
    ----------
    template : array_like, shape (h, w)
        Picture of the part.
    mask : array_like, shape (h, w), optional
        Where the part is in the picture, as weights between 0 and 1; by default everywhere.
    angle_range : (float, float)
        Angles in degrees, counter-clockwise as seen on screen, at which the part may lie: from the first to the
        second, 360° for any. Two equal angles: it never turns.
    angle_step : float, optional
        Spacing of the angles that are searched at reduced size; by default as the size of the part needs it.
    min_score : float
        Least correlation coefficient, at full size and under the mask, of a part that counts as found.
    min_overlap : float
        Least part of the mask that must lie on valid pixels of the image.

    Raises
    ------
    InputError
        If the template is constant or not finite, the mask does not fit, or a parameter is out of its range.

    Notes
    -----
    A locator keeps buffers and the spectra of the turned template for the last shape of images: it serves one
    thread at a time.

    Examples
    --------
    >>> from scorefold.testing.planting import plant
    >>> rng = np.random.default_rng(0)
    >>> part = np.kron(rng.normal(size=(6, 8)), np.ones((5, 5)))
    >>> image = rng.normal(scale=0.3, size=(120, 140))
    >>> plant(image, part, np.ones(part.shape), [[61.3, 70.8]], plane_rotations(1, 37, 37))
    >>> pose = Locator(part).locate(image)
    >>> bool(np.hypot(*np.subtract(pose.centre, (61.3, 70.8))) < 0.2), bool(abs(pose.angle - 37) < 0.2)
    (True, True)
    >>> Locator(part).locate(rng.normal(size=(120, 140))) is None
    True
    """

    def __init__(
        self,
        template: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        angle_range: tuple[float, float] = (0.0, 360.0),
        angle_step: float | None = None,
        min_score: float = 0.5,
        min_overlap: float = 0.8,
    ) -> None:
        self.template = np.ascontiguousarray(template, np.float32)
        if self.template.ndim != 2 or not self.template.size:
            raise InputError(f"template of shape {self.template.shape}: give a picture with the axes (y, x).")
        shape = self.template.shape
        self.mask = np.ones(shape, np.float32)
        if mask is not None:
            self.mask = np.ascontiguousarray(check_mask(np.asarray(mask), shape, "template mask"))
        for name, value in (("minimum score", min_score), ("minimum overlap", min_overlap)):
            if not 0 < value <= 1:
                raise InputError(f"{name} {value:g}: give a number above 0, at most 1.")
        self.min_score, self.min_overlap = float(min_score), float(min_overlap)
        factor = _coarse_factor(self.template, self.mask)
        coarse_values, coarse_mask = reduced(self.template, factor), inner(reduced_mask(self.mask, factor))
        if angle_step is None:
            radius = max(math.hypot(*coarse_values.shape) / 2, 1.0)
            angle_step = min(math.degrees(COARSE_TURN / radius), 30.0)
        self.rotations = plane_rotations(angle_step, *angle_range)
        self._turns = math.isclose(angle_range[1] - angle_range[0], 360)
        self._scan = _Scan(Template(coarse_values, coarse_mask, self.rotations), self.rotations)
        limits = None if self._turns else (float(angle_range[0]), float(angle_range[1]))
        factors = [factor]
        while factors[-1] > 1:
            factors.append(factors[-1] // 2)
        self._levels = [Level(self.template, self.mask, f, limits) for f in factors]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the template."""
        height, width = self.template.shape
        return height, width

    def locate(self, image: ArrayLike) -> Pose | None:
        """Find the part in an image.

        Parameters
        ----------
        image : array_like, shape (rows, columns)
            Grey levels. The part may stick out of it as far as `min_overlap` allows; pixels that are not finite
            do not count.

        Returns
        -------
        Pose or None
            Where the part lies, with the correlation coefficient at full size as its score; None if it is not
            found.

        Raises
        ------
        InputError
            If the image does not have two axes.
        """
        pixels = np.ascontiguousarray(image, np.float32)
        if pixels.ndim != 2 or not pixels.size:
            raise InputError(f"image of shape {pixels.shape}: give an image with the axes (y, x).")
        finite = np.isfinite(pixels)
        if not finite.any():
            return None
        mean = pixels.mean(dtype=np.float64, where=finite)
        filled = pixels if finite.all() else np.where(finite, pixels, np.float32(mean))
        if not _varies(filled):
            return None
        poses = self._candidates(filled)
        for level in self._levels:
            smaller = smoothed(reduced(filled, level.factor))
            poses = [level.refine(smaller, pose, robustly=level.factor == 1) for pose in poses]
            poses = sorted(poses, key=lambda pose: -pose.score)[: max(2, len(poses) // 2)]
            poses = [pose for pose in poses if pose.score >= poses[0].score - CLEAR_LEAD]
        best = None
        for pose in poses:
            score, part = coefficient(pixels, self.template, self.mask, pose)
            if score >= self.min_score and part >= self.min_overlap and (best is None or score > best.score):
                best = replace(pose, score=score, angle=pose.angle % 360)
        return best

    def _candidates(self, image: Array) -> list[Pose]:
        """Return the best positions of any angle, and the best angles of any position."""
        level = self._levels[0]
        by_position, by_angle = self._scan.search(reduced(image, level.factor))
        distance = max(min(level.shape) // 2, 1)
        peaks = peak_local_max(  # type: ignore[no-untyped-call]
            by_position.scores, distance, exclude_border=False, num_peaks=CANDIDATES
        )
        found = [(int(by_position.rotations[y, x]), int(y), int(x)) for y, x in peaks]
        around = np.pad(by_angle.scores, 1, mode="wrap")
        if not self._turns:
            around[[0, -1]] = -np.inf
        best = np.flatnonzero((by_angle.scores >= around[:-2]) & (by_angle.scores >= around[2:]))
        best = best[np.argsort(-by_angle.scores[best], kind="stable")][:CANDIDATES]
        found += [(int(index), *by_angle.positions[index].tolist()) for index in best]
        poses = []
        for index, y, x in dict.fromkeys(found):
            centre = (y + self._scan.half_voxels[0], x + self._scan.half_voxels[1])
            poses.append(level.to_whole(Pose(centre, float(matrix_to_angle(self.rotations[index])))))
        return poses


class _Scan:
    """The search of every position and angle at reduced size; spectra are kept from image to image."""

    def __init__(self, template: Template, rotations: NDArray[np.float64]) -> None:
        self._template = template
        self._rotations = rotations
        self._score = choose_score("auto", invariant=template.invariant)
        self._provider = provider()
        self._spectra: tuple[Shape, Correlator, list[Any]] | None = None
        # A position names the pixel at, or half a pixel before, the template's centre.
        self.half_voxels = tuple((n - 1) % 2 / 2 for n in template.box)

    def search(self, image: Array) -> tuple[MaxScoreResult, MaxTranslationResult]:
        """Return the best score of every position with its rotation, and of every rotation with its position."""
        correlator, spectra = self._prepared(image.shape)
        tile = Tile((0, 0), image.shape, image.shape)
        pixels = tile.read(
            lambda region: image[region],
            self._template.box,
            mean=float(image.mean(dtype=np.float64)),
            std=float(image.std(dtype=np.float64)),
            pad_edges=True,
        )
        target = self._score.prepare_tile(pixels, self._template, correlator)
        analyzer = AnalyzerProduct(
            MaxScoreOverRotations(image.shape, score_threshold=-np.inf, rotations=self._rotations),
            MaxScoreOverTranslations(image.shape, score_threshold=-np.inf, rotations=self._rotations),
        )
        state = analyzer.init_state()
        inside = tuple(slice(0, n) for n in image.shape)
        for rotation_id, spectrum in enumerate(spectra):
            numerator, weight = self._score.terms(target, spectrum, correlator)
            weight = None if weight is None else weight[inside]
            rotation = self._rotations[rotation_id]
            state = fold_terms(
                analyzer, state, numerator[inside], weight, tile.everywhere, rotation, rotation_id
            )
        by_position, by_angle = analyzer.result(state)
        return by_position, by_angle

    def _prepared(self, shape: Shape) -> tuple[Correlator, list[Any]]:
        if self._spectra is None or self._spectra[0] != shape:
            box = self._template.box
            lengths = (n + b - 1 for n, b in zip(shape, box, strict=True))
            fft_shape = tuple(next_fast_len(length, real=True) for length in lengths)
            correlator = Correlator(self._provider, fft_shape, box, "float32")
            spectra = [
                self._score.prepare_rotation(self._template.rotated(rotation), correlator)
                for rotation in self._rotations
            ]
            self._spectra = shape, correlator, spectra
        return self._spectra[1:]


def _coarse_factor(template: Array, mask: Array) -> int:
    """Return how far the template can be reduced: to `COARSE_SIZE`, and without losing its contrast."""
    largest = min(math.sqrt(template.size) / COARSE_SIZE, min(template.shape) / COARSE_WIDTH)
    least = CONTRAST_KEPT * _contrast(template, mask)
    for factor in range(int(largest), 1, -1):
        if _contrast(reduced(template, factor), reduced_mask(mask, factor)) >= least:
            return factor
    return 1


def _contrast(values: Array, weights: Array) -> float:
    mean = np.average(values, weights=weights)
    return math.sqrt(float(np.average((values - mean) ** 2, weights=weights)))


def _varies(image: Array) -> bool:
    return bool(np.ptp(image) > 1e-6 * np.abs(image).max())
