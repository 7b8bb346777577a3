"""What the axes of a stored array mean, and which part of it is one target."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scorefold.errors import InputError

Pages = Literal["auto", "batch", "volume"]

#: Axis letters of `StoredArray.axes`; every other letter is an axis over which targets are listed.
SPATIAL_AXES = "ZYX"
CHANNEL_AXES = "CS"

#: Weights of red, green and blue in luma, Recommendation ITU-R BT.601-7, section 2.5.1.
LUMA_WEIGHTS = (0.299, 0.587, 0.114)


class FormatError(ValueError):
    """A file that cannot be read; the message is a short reason without the file's name."""


@dataclass(frozen=True)
class StoredArray:
    """One array as a file holds it.

    Parameters
    ----------
    shape : tuple of int
        Shape in the file.
    axes : str
        One capital letter an axis: ``Z``, ``Y``, ``X`` in space, ``C`` or ``S`` for channels; any other
        letter is an axis over which targets are listed.
    dtype : numpy.dtype
        Type of the stored values.
    part : str, optional
        Which array of the file this is, where there can be several.
    pixel_size : mapping of str to float
        Size of a pixel along the spatial axes whose size is known, all in `pixel_unit`.
    pixel_unit : str, optional
        Name of the unit.

    Raises
    ------
    FormatError
        If no target can be cut out of such an array.
    """

    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    part: str | None = None
    pixel_size: Mapping[str, float] = field(default_factory=dict)
    pixel_unit: str | None = None

    def __post_init__(self) -> None:
        if len(self.axes) != len(self.shape) or "Y" not in self.axes or "X" not in self.axes:
            raise FormatError(f"shape {self.shape} with axes {self.axes!r} is neither an image nor a volume")
        if 0 in self.shape:
            raise FormatError(f"holds no pixels (shape {self.shape})")
        if self.dtype.kind not in "biuf" or self.dtype.itemsize > 8:
            raise FormatError(f"values are {self.dtype}; real numbers of at most 64 bits are needed")
        if len(self._channel_axes()) > 1:
            raise FormatError(f"two channel axes (axes {self.axes!r}, shape {self.shape})")

    def _channel_axes(self) -> list[int]:
        return [
            axis for axis, letter in enumerate(self.axes) if letter in CHANNEL_AXES and self.shape[axis] > 1
        ]

    @property
    def channels(self) -> int:
        """Number of channels; 1 where there is no channel axis."""
        return math.prod(self.shape[axis] for axis in self._channel_axes())


@dataclass(frozen=True)
class Roles:
    """Positions of a stored array's axes by what they are to a target.

    Parameters
    ----------
    batch : tuple of int
        Axes over which targets are listed; `page` counts them in C order.
    spatial : tuple of int
        The target's own axes, in the order (y, x) or (z, y, x).
    channel : int or None
        The channel axis.
    """

    batch: tuple[int, ...]
    spatial: tuple[int, ...]
    channel: int | None


def assign_roles(stored: StoredArray, *, pages: Pages) -> Roles:
    """Decide which axes of a stored array are space, channel and batch.

    Axes of length one other than y and x are dropped.

    Parameters
    ----------
    stored : StoredArray
        The array.
    pages : {"auto", "batch", "volume"}
        Whether a stack is a volume: as its z axis says, never, or always. A stack without z axis read as a
        volume takes its last batch axis as z.

    Returns
    -------
    Roles
        The axes' roles.
    """
    longer = [
        axis for axis, letter in enumerate(stored.axes) if stored.shape[axis] > 1 and letter not in "YX"
    ]
    channel = next((axis for axis in longer if stored.axes[axis] in CHANNEL_AXES), None)
    batch = [axis for axis in longer if axis != channel]
    depth = [axis for axis in batch if stored.axes[axis] == "Z"]
    if pages == "volume" and not depth:
        depth = batch[-1:]
    elif pages == "batch":
        depth = []
    return Roles(
        batch=tuple(axis for axis in batch if axis not in depth),
        spatial=(*depth, stored.axes.index("Y"), stored.axes.index("X")),
        channel=channel,
    )


def check_channel(label: str, channels: int, channel: int | None, *, gray: bool) -> None:
    """Refuse a choice of channel that does not leave exactly one.

    Parameters
    ----------
    label : str
        What the message calls the file.
    channels : int
        Number of channels in the file.
    channel : int or None
        The channel chosen, counted from 0.
    gray : bool
        Whether the channels are to be mixed into luma.

    Raises
    ------
    InputError
        If the choice leaves none or several.
    """
    if channel is not None and gray:
        raise InputError(
            f"{label}: both channel {channel} and gray asked for. Pass --channel or --gray, not both."
        )
    if channel is not None and not 0 <= channel < channels:
        only = (
            "it has one channel; leave --channel out"
            if channels == 1
            else f"pass --channel 0 to {channels - 1}"
        )
        raise InputError(f"{label}: no channel {channel}; {only}.")
    if channels == 1 or channel is not None:
        return
    colour = channels in (3, 4)
    if gray and not colour:
        raise InputError(f"{label}: {channels} channels have no luma. Pass --channel 0 to {channels - 1}.")
    if not gray:
        remedy = "--channel 0 or --gray" if colour else "--channel 0"
        raise InputError(f"{label}: {channels} channels; one is needed. Pass {remedy}.")


def result_dtype(stored: StoredArray, *, gray: bool) -> np.dtype[Any]:
    """Return the type of the pixels a target is read as.

    Parameters
    ----------
    stored : StoredArray
        The array.
    gray : bool
        Whether channels are mixed into luma.

    Returns
    -------
    numpy.dtype
        float32 for luma, uint8 for bool, otherwise the stored type in native byte order.
    """
    if gray and stored.channels > 1:
        return np.dtype(np.float32)
    if stored.dtype.kind == "b":
        return np.dtype(np.uint8)
    return stored.dtype.newbyteorder("=")


def cut(
    stored: StoredArray,
    data: Any,
    roles: Roles,
    region: tuple[slice, ...] | EllipsisType,
    *,
    page: int | None,
    channel: int | None,
    gray: bool,
) -> NDArray[Any]:
    """Read a region of one target out of a stored array.

    Parameters
    ----------
    stored : StoredArray
        Description of `data`.
    data : array-like
        Anything that takes a tuple of integers and slices; only that selection is asked of it.
    roles : Roles
        The axes' roles.
    region : tuple of slice, or ...
        Region in the target's axes.
    page, channel : int or None
        Position along the batch axes (in C order) and the channel axis.
    gray : bool
        Whether to mix the channels into luma.

    Returns
    -------
    numpy.ndarray
        A new C-contiguous array of type `result_dtype`.
    """
    spatial = roles.spatial
    slices = (slice(None),) * len(spatial) if region is ... else region
    index: list[int | slice] = [0] * len(stored.shape)
    lengths = tuple(stored.shape[axis] for axis in roles.batch)
    for axis, position in zip(
        roles.batch, np.unravel_index(page or 0, lengths) if lengths else (), strict=True
    ):
        index[axis] = int(position)
    for axis, part in zip(spatial, slices, strict=True):
        index[axis] = part
    mixed = gray and roles.channel is not None
    if roles.channel is not None:
        index[roles.channel] = slice(0, 3) if mixed else (channel or 0)
    pixels = np.asarray(data[tuple(index)])

    kept = [axis for axis, part in enumerate(index) if isinstance(part, slice)]
    wanted = ((roles.channel,) if mixed else ()) + spatial
    pixels = pixels.transpose([kept.index(axis) for axis in wanted if axis is not None])
    if mixed:
        pixels = luma(pixels)
    return np.array(pixels, dtype=result_dtype(stored, gray=gray), order="C")


def luma(colour: NDArray[Any]) -> NDArray[np.float32]:
    """Mix red, green and blue into luma after ITU-R BT.601.

    Parameters
    ----------
    colour : numpy.ndarray
        Array whose first axis is red, green, blue.

    Returns
    -------
    numpy.ndarray of float32
        The weighted sum, without the first axis.

    Examples
    --------
    >>> import numpy as np
    >>> from scorefold.io.formats.layout import luma
    >>> luma(np.array([[255], [255], [255]], dtype=np.uint8))
    array([255.], dtype=float32)
    """
    red, green, blue = (
        np.float32(weight) * band.astype(np.float32)
        for weight, band in zip(LUMA_WEIGHTS, colour, strict=True)
    )
    mixed: NDArray[np.float32] = red + green + blue
    return mixed


def positional_axes(shape: tuple[int, ...]) -> str:
    """Name the axes of an array whose file does not.

    Two axes are (y, x), three (z, y, x), up to five (t, c, z, y, x). A last axis of length 3 or 4 behind two
    of at least 16 is taken as colour.

    Parameters
    ----------
    shape : tuple of int
        The array's shape.

    Returns
    -------
    str
        One letter an axis.

    Raises
    ------
    FormatError
        If there are fewer than two axes or more than five.

    Examples
    --------
    >>> from scorefold.io.formats.layout import positional_axes
    >>> positional_axes((64, 512, 512)), positional_axes((512, 512, 3))
    ('ZYX', 'YXS')
    """
    if not 2 <= len(shape) <= 5:
        raise FormatError(f"{len(shape)} axes (shape {shape}); an image has 2 and a volume 3")
    if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= 16:
        return "YXS"
    return "TCZYX"[-len(shape) :]
