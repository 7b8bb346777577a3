"""Images side by side, titled, in one picture: for a file, a notebook or a logger."""

import sys
import warnings
from functools import lru_cache
from importlib import import_module
from math import isfinite
from operator import index as whole_number
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorefold.errors import InputError, ScorefoldWarning
from scorefold.post_processing.levels import NO_VALUE, as_levels
from scorefold.rendering.colour import INK
from scorefold.rendering.ink import text_picture, text_size
from scorefold.rendering.picture import Picture, encode_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 100
"""Pixels of a picture per inch of `figure_size`."""

_GAP = 12
_PAPER = 255
_FRAME = 212
_SMALLEST_PANEL = 16
_LARGEST_TEXT = 16
_SMALLEST_TEXT = 9
_CRISP_FROM = 8
"""Enlarged this much, pixels are shown as squares."""


class Visualizer:
    """A grid of images with titles.

    Panels are filled row by row. An image keeps its aspect and is resized when it is added, so that a
    visualizer holds no more than its picture. There is no global state: nothing stays behind that `close`
    would have to be called for.

    Parameters
    ----------
    num_rows, num_cols : int
        Panels below and beside one another; at least 1.
    figure_size : (float, float)
        Width and height of the picture in inches of 100 pixels.

    Raises
    ------
    InputError
        If there are no panels, or the picture is too small for them.

    Examples
    --------
    >>> image = np.zeros((64, 64, 3), np.uint8)
    >>> visualizer = Visualizer(num_rows=1, num_cols=5, figure_size=(12, 3))
    >>> visualizer.add_image(image=image, title="Image")
    >>> visualizer.add_image(image[..., 0] == 0, title="Mask", color_map="gray", index=4)
    >>> visualizer.generate().shape
    (300, 1200, 3)
    >>> visualizer.close()
    """

    def __init__(self, num_rows: int, num_cols: int, figure_size: tuple[float, float]) -> None:
        self._rows, self._columns = (
            _counted(name, number) for name, number in (("num_rows", num_rows), ("num_cols", num_cols))
        )
        if not all(isfinite(inches) and inches > 0 for inches in figure_size):
            raise InputError(f"figure size {figure_size}: give a positive width and height in inches.")
        self._width, self._height = (round(DOTS_PER_INCH * inches) for inches in figure_size)
        # What a panel has for itself: the picture less a gap around every panel.
        self._cell_height = (self._height - _GAP) // self._rows - _GAP
        self._cell_width = (self._width - _GAP) // self._columns - _GAP
        self._text = min(_LARGEST_TEXT, max(_SMALLEST_TEXT, self._cell_width // 14))
        self._title_height = text_size("", self._text)[0] + self._text // 3
        self._image_height = self._cell_height - self._title_height - 2  # a pixel of frame on both sides
        self._image_width = self._cell_width - 2
        if min(self._image_height, self._image_width) < _SMALLEST_PANEL:
            raise InputError(
                f"figure size {figure_size} for {self._rows} × {self._columns} panels: "
                "too small to see an image; enlarge it."
            )
        self._panels: dict[int, tuple[str, Picture]] = {}
        self._closed = False

    def add_image(
        self, image: ArrayLike, title: str, color_map: str | None = None, index: int | None = None
    ) -> None:
        """Show an image in a panel.

        Parameters
        ----------
        image : (H, W) or (H, W, 3) array_like
            Gray or RGB. What is black and white follows from its type: False and True of bool, 0 and 255 of
            uint8, 0 and 1 of other types; of these, images beyond 0 to 1 are stretched from their smallest
            to their largest finite value. Pixels that are not finite are gray.
        title : str
            One line above the image; its middle is left out if it is too long.
        color_map : str, optional
            Name of a Matplotlib colour map for an image with one channel. Gray without it.
        index : int, optional
            Panel, from 0, counted along the rows; what it shows is replaced. By default the first free one.

        Raises
        ------
        InputError
            If the image, the colour map or the panel does not exist, or no panel is free.
        """
        self._check_open()
        panels = self._rows * self._columns
        if index is None:
            index = next((panel for panel in range(panels) if panel not in self._panels), panels)
            if index == panels:
                raise InputError(f"all {panels} panels are taken: give an index to replace one.")
        elif not 0 <= index < panels:
            raise InputError(
                f"panel {index}: {self._rows} × {self._columns} panels count from 0 to {panels - 1}."
            )
        colours = _colours(color_map)
        array = np.asarray(image)
        picture = self._fitted(as_levels(array))
        if picture.ndim == 2:
            picture = colours[picture]
            if array.dtype.kind == "f":
                missing = ~np.isfinite(array.reshape(array.shape[:2]))
                picture[self._fitted(missing.astype(np.uint8), crisp=True) != 0] = NO_VALUE
        self._panels[index] = (title, picture)

    def generate(self) -> Picture:
        """Return the picture.

        Returns
        -------
        (H, W, 3) uint8 array
            Red, green, blue; panels without an image are white.

        Raises
        ------
        InputError
            After `close`.
        """
        self._check_open()
        page = np.full((self._height, self._width, 3), _PAPER, dtype=np.uint8)
        for number, (title, picture) in self._panels.items():
            row, column = divmod(number, self._columns)
            height, width = picture.shape[:2]
            top = _GAP + row * (self._cell_height + _GAP) + (self._image_height - height) // 2
            middle = _GAP + column * (self._cell_width + _GAP) + self._cell_width // 2
            heading = _heading(title, self._text, self._cell_width)
            left = middle - self._cell_width // 2
            page[top : top + heading.shape[0], left : left + heading.shape[1]] = heading
            top, left = top + self._title_height + 1, middle - width // 2
            # Without a frame a white mask would be lost on white paper.
            page[top - 1 : top + height + 1, left - 1 : left + width + 1] = _FRAME
            page[top : top + height, left : left + width] = picture
        return page

    @property
    def figure(self) -> "Figure":
        """The picture as a new Matplotlib figure, for loggers that take one.

        Unknown to pyplot, hence freed with its last reference.
        """
        inches = (self._width / DOTS_PER_INCH, self._height / DOTS_PER_INCH)
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=inches, dpi=DOTS_PER_INCH)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(self.generate(), aspect="auto", interpolation="nearest")
        return figure

    def show(self) -> None:
        """Display the picture in the notebook that is running.

        Outside a notebook nothing opens, and a `ScorefoldWarning` says what to do instead.
        """
        self._check_open()
        # A notebook has imported IPython; anything else does without it.
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        if getattr(shell, "kernel", None) is None:
            message = "show() outside a notebook: no window is opened. Use save(filename) instead."
            warnings.warn(message, ScorefoldWarning, stacklevel=2)
            return
        import_module("IPython.display").display(self)

    def save(self, filename: str | Path, compression: int = 0) -> None:
        """Write the picture to a file; the same panels give the same bytes.

        Parameters
        ----------
        filename : str or Path
            Its suffix says the format: .png, .jpg, .tif, .webp or another that OpenCV writes. Folders are
            made as needed.
        compression : int
            Of .png files, 0 to 9. Compressing takes longer than all the rest: with 1, `save` takes about twice
            as long as with 0, and a picture of photographs is about five times smaller.

        Raises
        ------
        InputError
            If the suffix is missing or unknown, the compression is not in 0 to 9, or after `close`.
        """
        path = Path(filename)
        if not path.suffix or not cv2.haveImageWriter(path.name):
            raise InputError(f'"{path}": no picture format has the suffix "{path.suffix}"; use .png.')
        if compression not in range(10):
            raise InputError(f"compression {compression}: give a whole number from 0 to 9.")
        # Differences to the left neighbour compress better than pixels and cost little.
        prediction = cv2.IMWRITE_PNG_FILTER_SUB if compression else cv2.IMWRITE_PNG_FILTER_NONE
        options = (cv2.IMWRITE_PNG_COMPRESSION, compression, cv2.IMWRITE_PNG_FILTER, prediction)
        png = path.suffix.lower() == ".png"
        picture = cv2.cvtColor(self.generate(), cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(path.suffix, picture, options if png else ())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())

    def close(self) -> None:
        """Free the images; the visualizer cannot be used any more."""
        self._panels.clear()
        self._closed = True

    def _repr_png_(self) -> bytes:
        """Return the picture as notebooks display it."""
        return encode_png(self.generate())

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("closed visualizer: make a new one.")

    def _fitted(self, levels: NDArray[np.uint8], *, crisp: bool = False) -> NDArray[np.uint8]:
        """Return levels resized to what a panel allows, their aspect kept."""
        height, width = levels.shape[:2]
        zoom = min(self._image_height / height, self._image_width / width)
        size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
        method = cv2.INTER_LINEAR
        if crisp or zoom >= _CRISP_FROM:
            method = cv2.INTER_NEAREST
        elif zoom <= 0.5:
            # Linear interpolation sees two pixels along each axis: where more meet in one, they are averaged;
            # by a whole number, where it divides the image, which is ten times as fast as by a fraction.
            factor = int(1 / zoom)
            if height % factor == width % factor == 0:
                averaged = (width // factor, height // factor)
                levels = np.asarray(cv2.resize(levels, averaged, interpolation=cv2.INTER_AREA))
            else:
                method = cv2.INTER_AREA
        return np.asarray(cv2.resize(levels, size, interpolation=method), dtype=np.uint8)


def _counted(name: str, number: int) -> int:
    try:
        whole = whole_number(number)
    except TypeError:
        whole = 0
    if whole < 1:
        raise InputError(f"{name} {number}: give a whole number of panels, at least 1.")
    return whole


@lru_cache(maxsize=16)
def _colours(name: str | None) -> Picture:
    """Return the colours of 256 levels in a colour map."""
    if name is None:
        return np.arange(256, dtype=np.uint8)[:, np.newaxis].repeat(3, axis=1)
    import matplotlib as mpl

    if name not in mpl.colormaps:
        raise InputError(f'colour map "{name}": Matplotlib has no such map; try "jet", "turbo" or "gray".')
    table: Picture = np.rint(mpl.colormaps[name](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return table


@lru_cache(maxsize=64)
def _heading(title: str, size: int, width: int) -> Picture:
    """Return a title on paper; figures of a data set have the same ones again and again."""
    return text_picture(title, size, width, colour=INK, align="centre")
