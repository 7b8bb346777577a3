"""From anomaly maps to heat maps, overlays and masks; labels and boxes on pictures."""

from functools import partial
from operator import index
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.morphology import disk

from scorefold.errors import InputError
from scorefold.post_processing.lazy import AnyArray, aligned, blockwise, is_lazy
from scorefold.post_processing.levels import NO_VALUE, as_maps, as_pictures, extremes, fraction
from scorefold.rendering.ink import draw_text, shortened, text_size
from scorefold.rendering.picture import Colour, Picture

_LEVELS = np.arange(256, dtype=np.uint8)
JET: Picture = np.asarray(cv2.applyColorMap(_LEVELS, cv2.COLORMAP_JET), dtype=np.uint8).reshape(256, 3)[
    :, ::-1
]
"""OpenCV's colour map: row i is the red, green and blue of level i."""

_NORMAL: Colour = (225, 252, 134)
_ANOMALOUS: Colour = (255, 100, 100)
_INK: Colour = (0, 0, 0)
_SMALLEST_TEXT = 9
_LARGEST_TEXT = 64


def anomaly_map_to_color_map(anomaly_map: ArrayLike, normalize: bool = True) -> NDArray[np.uint8]:
    """Colour anomaly maps with OpenCV's JET: from blue, for low scores, to red.

    With `normalize`, every map is stretched over the colours on its own, x ↦ (x − min) / (max − min);
    maps that are to be compared should share a scale instead (see `scorefold.post_processing.normalization`).
    The level of a pixel is the integer part of 255 x.

    Parameters
    ----------
    anomaly_map : (H, W) or (N, H, W) array_like, or Dask array
        Real scores of any type, one map or a batch; a last axis, or in a batch a second axis, of length 1
        is dropped. (1, H, W) is a batch of one.
    normalize : bool
        Stretch every map from its smallest to its largest finite score; a constant map takes the colour of
        0. Otherwise scores are taken as they are and clipped: uint8 from 0 to 255, other types from 0 to 1.

    Returns
    -------
    (H, W, 3) or (N, H, W, 3) uint8 array
        Red, green, blue; gray (128, 128, 128) where a score is NaN or infinite. A Dask array, in blocks of
        the same size, if the map is one.

    Raises
    ------
    InputError
        If the map has other axes, no pixels, or no real numbers.

    Examples
    --------
    >>> anomaly_map_to_color_map(np.array([[0.2, 0.4, np.nan, 0.6]]))
    array([[[  0,   0, 128],
            [126, 255, 130],
            [128, 128, 128],
            [128,   0,   0]]], dtype=uint8)
    """
    maps = as_maps(anomaly_map)
    low: AnyArray
    high: AnyArray
    if normalize:
        low, high = extremes(maps)
    else:
        low, high = 0, 255 if maps.dtype == np.uint8 else 1
    colours: NDArray[np.uint8] = blockwise(_heat, maps, low, high, dtype=np.uint8, channels=3)
    return colours


def superimpose_anomaly_map(
    anomaly_map: ArrayLike,
    image: ArrayLike,
    alpha: float = 0.4,
    gamma: float = 0,
    normalize: bool = False,
) -> NDArray[np.uint8]:
    """Blend anomaly maps, in colour, into the images they belong to.

    The result is ``alpha * heat_map + (1 - alpha) * image + gamma``, rounded and clipped to 0 to 255 as
    ``cv2.addWeighted`` does, where the heat map is `anomaly_map_to_color_map` of the map.

    Parameters
    ----------
    anomaly_map : (H, W) or (N, H, W) array_like, or Dask array
        As in `anomaly_map_to_color_map`.
    image : (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3) array_like, or Dask array
        Gray or RGB image for each map. bool and uint8 are drawn as they are. Images of other types are
        drawn from 0 (black) to 1 (white) if all their finite values lie there, and otherwise from their
        smallest to their largest; pixels that are not finite are gray.
    alpha : float
        Weight of the heat map, 0 to 1.
    gamma : float
        Gray levels that are added.
    normalize : bool
        Stretch every map over the colours on its own.

    Returns
    -------
    (H, W, 3) or (N, H, W, 3) uint8 array
        Red, green, blue; a batch if the image is one. A Dask array if the map or the image is one.

    Raises
    ------
    InputError
        If map and image differ in size, or one of the arguments cannot be used.

    Examples
    --------
    >>> image = np.full((1, 2), 200, np.uint8)
    >>> superimpose_anomaly_map(np.array([[0.0, 1.0]]), image)
    array([[[120, 120, 171],
            [171, 120, 120]]], dtype=uint8)
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha {alpha}: the weight of the heat map lies between 0 and 1.")
    if not np.isfinite(gamma):
        raise InputError(f"gamma {gamma}: give a finite number of gray levels.")
    maps = as_maps(anomaly_map)
    size = maps.shape[-2:]
    if maps.ndim == 3 and maps.shape[0] == 1 and np.shape(image)[:2] == size:
        maps = maps[0]
    pictures = as_pictures(image, axes=maps.ndim)
    if pictures.shape[:-1] != maps.shape:
        raise InputError(
            f"anomaly map of shape {maps.shape} and image of shape {pictures.shape[:-1]} (without channels): "
            "resize one to the other."
        )
    heat: AnyArray = anomaly_map_to_color_map(maps, normalize)
    if is_lazy(heat):
        pictures = aligned(pictures, heat)
    elif is_lazy(pictures):
        heat = aligned(heat, pictures)
    blend = partial(_blend, alpha=float(alpha), gamma=float(gamma))
    blended: NDArray[np.uint8] = blockwise(blend, heat, pictures, dtype=np.uint8)
    return blended


def compute_mask(anomaly_map: ArrayLike, threshold: float, kernel_size: int = 4) -> NDArray[np.uint8]:
    """Mark the pixels above a threshold, without specks.

    What is marked is opened with a disk: a group of pixels stays where the disk fits into it. The image's
    border does not erode it (as with ``cv2.MORPH_OPEN``).

    Parameters
    ----------
    anomaly_map : (H, W) or (N, H, W) array_like, or Dask array
        As in `anomaly_map_to_color_map`.
    threshold : float
        A pixel is anomalous if its score is *greater*. Never NaN. It is compared in the type of the map.
    kernel_size : int
        Radius of the disk in pixels, that of `skimage.morphology.disk`; 0 leaves specks.

    Returns
    -------
    (H, W) or (N, H, W) uint8 array
        255 where anomalous, else 0, also where the score is NaN. A Dask array if the map is one, with the
        same values for any chunks.

    Raises
    ------
    InputError
        If the map, the threshold or the kernel size cannot be used.

    Examples
    --------
    >>> scores = np.zeros((5, 6))
    >>> scores[1:4, 1:4] = scores[0, 5] = 1.0
    >>> compute_mask(scores, threshold=0.5, kernel_size=1)
    array([[  0,   0,   0,   0,   0,   0],
           [  0,   0, 255,   0,   0,   0],
           [  0, 255, 255, 255,   0,   0],
           [  0,   0, 255,   0,   0,   0],
           [  0,   0,   0,   0,   0,   0]], dtype=uint8)
    """
    if np.isnan(threshold):
        raise InputError("threshold nan: give a number to compare scores with.")
    try:
        radius = index(kernel_size)
    except TypeError:
        radius = -1
    if radius < 0:
        raise InputError(f"kernel size {kernel_size}: give the disk's radius in whole pixels, 0 or more.")
    maps = as_maps(anomaly_map)
    opened = partial(_opened, threshold=threshold, radius=radius)
    mask: NDArray[np.uint8]
    if not is_lazy(maps):
        mask = opened(maps)
        return mask
    # Erosion and dilation each see `radius` pixels far. An axis shorter than the halo stays in one block.
    rows, columns = (axis for axis in range(maps.ndim - 2, maps.ndim))
    halo = 2 * radius
    maps = maps.rechunk({axis: -1 for axis in (rows, columns) if maps.shape[axis] <= halo})
    depth = {axis: halo if maps.numblocks[axis] > 1 else 0 for axis in (rows, columns)}
    mask = maps.map_overlap(
        opened, depth=depth, boundary="none", dtype=np.uint8, meta=np.empty((0,) * maps.ndim, np.uint8)
    )
    return mask


def add_normal_label(image: ArrayLike, confidence: float | None = None) -> Picture:
    """Return a copy of an image with the label "normal" in its upper left corner.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array_like
        Gray or RGB; drawn as in `superimpose_anomaly_map`.
    confidence : float, optional
        0 to 1; printed as a percentage.

    Returns
    -------
    (H, W, 3) uint8 array

    Raises
    ------
    InputError
        If the image cannot be drawn, or the confidence is not within 0 to 1.

    Examples
    --------
    >>> add_normal_label(np.zeros((100, 200)), confidence=0.97).shape
    (100, 200, 3)
    """
    return _labelled(image, "normal", _NORMAL, confidence)


def add_anomalous_label(image: ArrayLike, confidence: float | None = None) -> Picture:
    """Return a copy of an image with the label "anomalous" in its upper left corner.

    Parameters, result and errors are those of `add_normal_label`.

    Examples
    --------
    >>> add_anomalous_label(np.zeros((100, 200, 3), np.uint8)).dtype
    dtype('uint8')
    """
    return _labelled(image, "anomalous", _ANOMALOUS, confidence)


def draw_boxes(image: ArrayLike, boxes: ArrayLike, color: Colour = (255, 0, 0)) -> Picture:
    """Return a copy of an image with rectangles around its anomalies.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array_like
        Gray or RGB; drawn as in `superimpose_anomaly_map`.
    boxes : (n, 4) array_like
        Two opposite corners of each box in pixels, both on the line: x1, y1, x2, y2. x counts columns.
    color : (int, int, int)
        Red, green, blue.

    Returns
    -------
    (H, W, 3) uint8 array

    Raises
    ------
    InputError
        If the image cannot be drawn, or the boxes are not (n, 4) finite numbers.

    Examples
    --------
    >>> draw_boxes(np.zeros((4, 5)), [[1, 0, 4, 3]])[:, :, 0]
    array([[  0, 255, 255, 255, 255],
           [  0, 255,   0,   0, 255],
           [  0, 255,   0,   0, 255],
           [  0, 255, 255, 255, 255]], dtype=uint8)
    """
    corners = np.asarray(boxes, dtype=np.float64)
    if corners.size == 0:
        corners = corners.reshape(0, 4)
    if corners.ndim != 2 or corners.shape[1] != 4 or not np.isfinite(corners).all():
        raise InputError(f"boxes of shape {corners.shape}: give (n, 4) finite numbers, x1, y1, x2, y2 a box.")
    picture = _copy(image)
    height, width = picture.shape[:2]
    thickness = max(1, round(min(height, width) / 200))
    # Beyond the picture a line is not seen; OpenCV's integers end at 2³¹.
    outside = 2 * thickness
    corners = np.clip(corners, -outside, np.array([width, height, width, height]) + outside)
    for x1, y1, x2, y2 in np.rint(corners).astype(int).tolist():
        cv2.rectangle(picture, (x1, y1), (x2, y2), color, thickness)
    return picture


def _heat(maps: NDArray[Any], low: Any, high: Any) -> NDArray[np.uint8]:
    levels = np.nan_to_num(255 * fraction(maps, low, high), nan=0).astype(np.uint8)
    colours: NDArray[np.uint8] = JET[levels]
    colours[~np.isfinite(maps)] = NO_VALUE
    return colours


def _blend(
    heat: NDArray[np.uint8], pictures: NDArray[np.uint8], alpha: float, gamma: float
) -> NDArray[np.uint8]:
    rows = (heat.shape[0], -1)
    blended = cv2.addWeighted(heat.reshape(rows), alpha, pictures.reshape(rows), 1 - alpha, gamma)
    return np.asarray(blended, dtype=np.uint8).reshape(heat.shape)


def _opened(maps: NDArray[Any], threshold: float, radius: int) -> NDArray[np.uint8]:
    with np.errstate(over="ignore"):  # a threshold beyond the map's type is infinite
        marked = np.ascontiguousarray((maps > threshold) * np.uint8(255))
    if radius == 0:
        return marked
    kernel: NDArray[np.uint8] = disk(radius)  # type: ignore[no-untyped-call]
    for mask in marked.reshape(-1, *marked.shape[-2:]):
        mask[...] = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
    return marked


def _copy(image: ArrayLike) -> Picture:
    return np.array(as_pictures(image), order="C")


def _labelled(image: ArrayLike, name: str, colour: Colour, confidence: float | None) -> Picture:
    """Return a copy of the image with a name and a percentage on a patch of colour."""
    if confidence is not None and not 0 <= confidence <= 1:
        raise InputError(f"confidence {confidence}: give a number from 0 to 1.")
    text = name if confidence is None else f"{name} ({confidence:.0%})"
    picture = _copy(image)
    height, width = picture.shape[:2]
    # An eighteenth of the height, unless the text then leaves the picture.
    wide = text_size(text, 100)[1] / 100 + 1
    size = round(min(max(_SMALLEST_TEXT, min(height / 18, width / wide)), _LARGEST_TEXT))
    margin = size // 3
    text = shortened(text, max(1, width - 2 * margin), size)
    patch = [extent + 2 * margin for extent in text_size(text, size)]
    picture[: patch[0], : patch[1]] = colour
    draw_text(picture, text, (margin, margin), size, colour=_INK)
    return picture
